import { chmod, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DoomedParent, isRunning, until } from '../local-workers/doomed-parent.js'
import { EmbeddedValkey, type ValkeyExit } from './embedded-valkey.js'
import { connectQueue } from './queue-connection.js'
import { findValkey } from './valkey-binary.js'

let directory: string
let options: { directory: string; logFile: string }
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lockstep "valkey\' '))
  options = { directory: join(directory, 'queue'), logFile: join(directory, 'logs', 'queue.log') }
})
afterEach(async () => {
  await rm(directory, { recursive: true })
})

/** Every file below a folder, and the command lines of processes: where a password could have been left. */
async function traces(folder: string): Promise<string> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true })
  const texts = await Promise.all(files.filter((file) => file.isFile()).map((file) => readFile(join(file.parentPath, file.name), 'utf8')))
  return texts.join('\n')
}

describe('EmbeddedValkey', () => {
  it('answers with its password alone, writes nothing to disk, evicts nothing, and leaves the password nowhere', async () => {
    const valkey = await EmbeddedValkey.start(options)
    await expect(connectQueue(`redis://127.0.0.1:${String(valkey.port)}`)).rejects.toThrow(/refuses the password/)
    const client = await connectQueue(valkey.url)
    expect(await client.config('GET', 'appendonly')).toEqual(['appendonly', 'no'])
    expect(await client.config('GET', 'save')).toEqual(['save', ''])
    expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction'])
    expect(await client.config('GET', 'bind')).toEqual(['bind', '127.0.0.1'])
    await client.set('a', 'b')
    expect(await traces(directory)).not.toContain(valkey.password)
    expect(await readFile(`/proc/${String(valkey.pid)}/cmdline`, 'utf8')).not.toContain(valkey.password)
    expect(await readFile(`/proc/${String(valkey.pid)}/environ`, 'utf8')).not.toContain(valkey.password)
    client.disconnect()
    const exits: ValkeyExit[] = []
    valkey.onExit((exit) => exits.push(exit))
    await valkey.stop()
    await valkey.stop()
    expect(await isRunning(valkey.pid)).toBe(false)
    expect(exits).toEqual([])
    expect(await readdir(options.directory)).toEqual([])
  })

  it('reports its death, and comes back empty with port and password', async () => {
    const valkey = await EmbeddedValkey.start(options)
    const client = await connectQueue(valkey.url)
    await client.set('lost', 'yes')
    const death = new Promise<ValkeyExit>((resolve) => {
      valkey.onExit(resolve)
    })
    const { url, pid } = valkey
    process.kill(pid, 'SIGKILL')
    expect(await death).toMatchObject({ code: 128 + 9 })
    await valkey.restart()
    expect(valkey.url).toBe(url)
    expect(valkey.pid).not.toBe(pid)
    expect(await client.get('lost')).toBe(null)
    client.disconnect()
    await valkey.stop()
  })

  it('takes another port when somebody was faster', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as { port: number }
    // The first time it is started its configuration names the port that is taken; the second time its own.
    const real = await findValkey()
    const script = join(directory, 'server')
    await writeFile(
      script,
      `#!/bin/sh\nif [ -e second ]; then exec "${real}" -; fi\n: > second\nsed 's/^port .*/port ${String(port)}/' | "${real}" -\n`,
    )
    await chmod(script, 0o755)
    const valkey = await EmbeddedValkey.start({ ...options, program: script })
    expect(valkey.port).not.toBe(port)
    expect(await readFile(options.logFile, 'utf8')).toMatch(/Address already in use/)
    await valkey.stop()
    await new Promise((resolve) => taken.close(resolve))
  })

  it.each([
    ['missing', undefined, /did not start \(.*not found.*queue\.log/],
    ['one that fails', '#!/bin/sh\necho "no such option" >&2\nexit 3\n', /did not start \(.*no such option.*queue\.log.*run\.queue/],
  ])('says in one line why a program does not serve: %s', async (_name, text, words) => {
    const program = join(directory, 'server')
    if (text !== undefined) {
      await writeFile(program, text)
      await chmod(program, 0o755)
    }
    const start = EmbeddedValkey.start({ ...options, program })
    await expect(start).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE', message: expect.stringMatching(words) as string })
    await expect(start).rejects.not.toThrow(/\n/)
  })

  it('does not hear the Ctrl-C of its coordinator, and ends when that is killed', async () => {
    const { parent, said } = await DoomedParent.start(`
      const { EmbeddedValkey } = await import(${JSON.stringify(new URL('embedded-valkey.js', import.meta.url).href)})
      process.on('SIGINT', () => say('heard'))
      const valkey = await EmbeddedValkey.start(${JSON.stringify(options)})
      say({ pid: valkey.pid, url: valkey.url })
      setInterval(() => undefined, 1000)`)
    const { pid, url } = said as { pid: number; url: string }
    parent.signalGroup('SIGINT')
    const client = await connectQueue(url)
    expect(await client.ping()).toBe('PONG')
    client.disconnect()
    expect(await isRunning(pid)).toBe(true)
    await parent.kill('SIGKILL')
    await until(async () => !(await isRunning(pid)))
  })

  it('ends when the coordinator is killed while the server hangs', async () => {
    const { parent, said } = await DoomedParent.start(`
      const { EmbeddedValkey } = await import(${JSON.stringify(new URL('embedded-valkey.js', import.meta.url).href)})
      say((await EmbeddedValkey.start(${JSON.stringify(options)})).pid)
      setInterval(() => undefined, 1000)`)
    const pid = said as number
    process.kill(pid, 'SIGSTOP')
    await parent.kill('SIGKILL')
    await until(async () => !(await isRunning(pid)))
  })
})
