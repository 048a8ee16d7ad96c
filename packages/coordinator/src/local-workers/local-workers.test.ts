import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DoomedParent, isRunning, until } from './doomed-parent.js'
import { LocalWorkers, type LocalWorkerExit } from './local-workers.js'

let logDirectory: string
beforeEach(async () => {
  logDirectory = await mkdtemp(join(tmpdir(), 'lockstep-workers-'))
})
afterEach(async () => {
  await rm(logDirectory, { recursive: true })
})

/** Ends politely when its lifeline does, as a worker does. */
const POLITE = `process.stdin.resume().on('end', () => process.exit(0)); process.on('SIGTERM', () => undefined); console.log('ready')`
/** Hears nothing, and has a child of its own. */
const STUBBORN = `process.on('SIGTERM', () => undefined); console.log('child ' + require('node:child_process').spawn('sleep', ['30']).pid); setTimeout(() => undefined, 30_000)`

const command = (text: string): [string, ...string[]] => [process.execPath, '-e', text, '--']
const workersOf = (text: string): LocalWorkers =>
  new LocalWorkers({ join: '127.0.0.1:1', logDirectory, computeThreads: 2, command: command(text) })
const logged = async (name: string): Promise<string> => await readFile(join(logDirectory, `${name}.log`), 'utf8').catch(() => '')

describe('LocalWorkers', () => {
  it('starts a worker with its words and environment, and keeps what it prints', async () => {
    const workers = workersOf(
      `console.log(JSON.stringify(process.argv.slice(1))); console.error(process.env.TF_NUM_INTRAOP_THREADS, process.env.OMP_NUM_THREADS, process.env.MALLOC_TOP_PAD_, process.env.PATH !== undefined)`,
    )
    const exits: LocalWorkerExit[] = []
    workers.onExit((exit) => exits.push(exit))
    const worker = workers.start('local-1')
    expect(workers.running).toEqual([worker])
    await until(() => exits.length === 1)
    expect(exits[0]).toMatchObject({ name: 'local-1', pid: worker.pid, code: 0, signal: null, asked: false })
    expect(workers.running).toEqual([])
    const text = await logged('local-1')
    expect(text).toContain('["--join","127.0.0.1:1","--name","local-1","--compute-threads","2","--lifeline","stdin"]')
    expect(text).toContain('2 2 268435456 true')
  })

  it('gives the first cause of an end, of this life and not of an earlier one', async () => {
    const workers = workersOf(
      `const { size } = require('node:fs').fstatSync(1)\nconsole.log('starting')\nthrow new RangeError(size === 0 ? 'first life' : 'second life')`,
    )
    const exits: LocalWorkerExit[] = []
    workers.onExit((exit) => exits.push(exit))
    for (const life of ['first life', 'second life']) {
      workers.start('local-1')
      await until(() => exits.length > 0)
      expect(exits.pop()).toMatchObject({ code: 1, cause: `RangeError: ${life}` })
    }
    expect(await logged('local-1')).toMatch(/first life[^]*second life/)
  })

  it('tells a kill from without', async () => {
    const workers = workersOf(POLITE)
    const exits: LocalWorkerExit[] = []
    workers.onExit((exit) => exits.push(exit))
    const [a, b] = [workers.start('a'), workers.start('b')]
    process.kill(a.pid, 'SIGKILL')
    await until(() => exits.length === 1)
    expect(exits[0]).toMatchObject({ name: 'a', code: null, signal: 'SIGKILL', asked: false })
    b.kill()
    await until(() => exits.length === 2)
    expect(exits[1]).toMatchObject({ name: 'b', signal: 'SIGKILL', asked: true })
    await workers.stopAll(1000)
  })

  it('stops the polite by closing their lifeline and the others, with their children, after the grace', async () => {
    const exits: LocalWorkerExit[] = []
    const polite = workersOf(POLITE)
    const stubborn = workersOf(STUBBORN)
    for (const workers of [polite, stubborn]) workers.onExit((exit) => exits.push(exit))
    polite.start('polite')
    const worker = stubborn.start('stubborn')
    await until(async () => (await logged('polite')).includes('ready') && (await logged('stubborn')).includes('child'))
    const child = Number(/child (\d+)/.exec(await logged('stubborn'))?.[1])
    expect(await isRunning(child)).toBe(true)
    await polite.stopAll(60_000)
    await stubborn.stopAll(100)
    expect(exits).toMatchObject([
      { name: 'polite', code: 0, asked: true },
      { name: 'stubborn', signal: 'SIGKILL', asked: true },
    ])
    expect(await isRunning(worker.pid)).toBe(false)
    await until(async () => !(await isRunning(child)))
    await stubborn.stopAll(100)
  })

  it('does not carry Ctrl-C to its workers, and they end when the coordinator is killed', async () => {
    const { parent, said } = await DoomedParent.start(`
      const { LocalWorkers } = await import(${JSON.stringify(new URL('local-workers.js', import.meta.url).href)})
      process.on('SIGINT', () => undefined)
      const workers = new LocalWorkers({ join: '127.0.0.1:1', logDirectory: ${JSON.stringify(logDirectory)}, computeThreads: 1, command: ${JSON.stringify(command(POLITE))} })
      say([workers.start('a').pid, workers.start('b').pid])
      setInterval(() => undefined, 1000)`)
    const pids = said as number[]
    await until(async () => (await logged('a')).includes('ready') && (await logged('b')).includes('ready'))
    parent.signalGroup('SIGINT')
    await sleep(200) // a signal that did reach them needs a moment to show
    for (const pid of pids) expect(await isRunning(pid)).toBe(true)
    await parent.kill('SIGKILL')
    for (const pid of pids) await until(async () => !(await isRunning(pid)))
  })

  it('says when the system gives no process', () => {
    const workers = new LocalWorkers({ join: '127.0.0.1:1', logDirectory, computeThreads: 1, command: ['/nonexistent/program'] })
    expect(() => workers.start('a')).toThrow(/cannot start the worker a/)
  })
})
