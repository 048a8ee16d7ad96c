import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withLock } from './lock.mjs'
import { fetchWheel, unpackWheel, wheelPath } from './wheels.mjs'

/** A wheel that pip accepts, with a folder to take, a program, and something to leave. */
const MAKE_WHEEL = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as archive:
    program = zipfile.ZipInfo('pretend/bin/server')
    program.external_attr = 0o755 << 16
    archive.writestr(program, 'run me')
    archive.writestr('pretend/include/a.h', 'header')
    archive.writestr('pretend/large.bin', 'leave me')
    archive.writestr('pretend-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: pretend\\nVersion: 1.0\\n')
    archive.writestr('pretend-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    archive.writestr('pretend-1.0.dist-info/RECORD', '')
`
const members = ['pretend/bin/server', 'pretend/include/']

let folder
let wheel
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lockstep-wheels-'))
  const file = join(folder, 'pretend-1.0-py3-none-any.whl')
  execFileSync('python3', ['-c', MAKE_WHEEL, file])
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
  wheel = { package: 'pretend', version: '1.0', platform: 'any', sha256, bytes: statSync(file).size, unpackedBytes: 12, members }
  vi.stubEnv('PIP_NO_INDEX', '1')
  vi.stubEnv('PIP_FIND_LINKS', folder)
  vi.spyOn(console, 'log').mockImplementation(() => undefined)
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true, force: true })
})

describe('wheels', () => {
  it('come through pip, and only the members named are unpacked, programs as programs', async () => {
    const context = { root: folder, lockFd: undefined }
    const path = await fetchWheel(context, wheel, '3.11')
    expect(path).toBe(wheelPath(folder, wheel))
    await unpackWheel(context, wheel, path, join(folder, 'out'), 'pretend')
    expect(readdirSync(join(folder, 'out'), { recursive: true }).sort()).toEqual(['bin', 'bin/server', 'include', 'include/a.h'])
    expect(statSync(join(folder, 'out/bin/server')).mode & 0o777).toBe(0o755)
  })

  it('with another digest are refused and not kept', async () => {
    const other = { ...wheel, sha256: '0'.repeat(64) }
    await expect(fetchWheel({ root: folder }, other, '3.11')).rejects.toThrow(/is not the file that scripts\/runtime-lock.json names/)
    expect(existsSync(wheelPath(folder, other))).toBe(false)
    expect(existsSync(join(folder, '.runtime/downloads/incoming'))).toBe(false)
  })

  it('that lack a member are an error that names it', async () => {
    const lacking = { ...wheel, members: ['pretend/missing'] }
    const path = await fetchWheel({ root: folder }, wheel, '3.11')
    const failure = await unpackWheel({ root: folder }, lacking, path, join(folder, 'out'), 'pretend').catch((error) => error)
    expect(failure.tail).toContain('pretend/missing')
  })
})

describe('the lock', () => {
  it('lets one in at a time, and is free again when its holder is killed', async () => {
    const holder = `import { withLock } from ${JSON.stringify(new URL('./lock.mjs', import.meta.url).href)}
      await withLock(${JSON.stringify(folder)}, () => {}, () => { console.log('held'); return new Promise(() => setInterval(() => {}, 1000)) })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', holder], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const said = []
    let inside = false
    const entered = withLock(
      folder,
      (line) => said.push(line),
      async () => {
        inside = true
      },
    )
    await vi.waitFor(() => expect(said.join()).toContain(`process ${String(child.pid)}`), { timeout: 30_000 })
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(inside).toBe(false)
    child.kill('SIGKILL')
    await entered
    expect(inside).toBe(true)
  })
})
