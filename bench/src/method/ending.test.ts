import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'

const ENDING = new URL('ending.js', import.meta.url).href

/** A measurement that is this program. @param signal sent once it has said that it is there */
async function measurement(program: string, signal?: NodeJS.Signals): Promise<{ code: number | null; errors: string }> {
  const child = spawn(process.execPath, ['--import', ENDING, '--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (text: Buffer) => (errors += text.toString()))
  const closed = once(child, 'close')
  if (signal !== undefined) child.stdout.once('data', () => child.kill(signal))
  const [code] = (await closed) as [number | null]
  return { code, errors }
}

const WAITS = "setInterval(() => undefined, 1000); console.log('there');"

describe('a measurement', () => {
  it.each([
    ['an error', "throw new Error('no such peer')"],
    ['a promise that nobody awaits', "Promise.reject(new Error('no such peer')); setInterval(() => undefined, 1000)"],
  ])('that ends with %s says it in a line', async (_what, program) => {
    expect(await measurement(program)).toEqual({ code: 1, errors: 'error: no such peer\n' })
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('that is ended by %s says nothing and ends with %i', async (signal, code) => {
    expect(await measurement(WAITS, signal)).toEqual({ code, errors: '' })
  })

  it('that listens for Ctrl-C clears up first, and what that throws is nobody’s error', async () => {
    const program = `${WAITS} process.once('SIGINT', () => setTimeout(() => { process.stdout.write('cleared'); throw new Error('interrupted') }, 50))`
    expect(await measurement(program, 'SIGINT')).toEqual({ code: 130, errors: '' })
  })
})
