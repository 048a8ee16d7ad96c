import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { clockIdentity, monotonicUs } from './clock.js'

const CLOCK = fileURLToPath(new URL('clock.js', import.meta.url))

describe('monotonicUs', () => {
  it('is one clock in all processes of a machine, and says so', () => {
    const program = `import(${JSON.stringify(CLOCK)}).then((m) => console.log(JSON.stringify([m.monotonicUs(), m.clockIdentity()])))`
    const before = monotonicUs()
    const [there, identity] = JSON.parse(execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' })) as [number, string]
    const after = monotonicUs()
    expect([there > before, there < after]).toEqual([true, true])
    expect(identity).toBe(clockIdentity())
    expect(identity).not.toBe('')
  })

  it('is what process.hrtime reads', () => {
    const [seconds, nanoseconds] = process.hrtime()
    expect(monotonicUs() - (seconds * 1e6 + nanoseconds / 1e3)).toBeLessThan(1e6)
    expect(monotonicUs()).toBeGreaterThan(seconds * 1e6 + nanoseconds / 1e3)
  })
})
