import { spawn } from 'node:child_process'
import { lstat, mkdir, mkdtemp, readFile, readdir, readlink, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DoomedParent, isRunning } from '../local-workers/doomed-parent.js'
import { RunDirectory } from './run-directory.js'
import type { RunSummary } from './run-summary.js'

let root: string
let base: string
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'lockstep-run-')))
  base = join(root, 'runs')
})
afterEach(async () => {
  await rm(root, { recursive: true })
})

const module = JSON.stringify(new URL('run-directory.js', import.meta.url).href)
const rejection = (code: string, words: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(words) as string })

describe('RunDirectory.create and open', () => {
  it('numbers runs of one name, also when they start together, and opens the newest when none is named', async () => {
    const together = await Promise.all([1, 2, 3].map(() => RunDirectory.create({ base, name: 'vgg' })))
    expect(together.map((run) => basename(run.path)).sort()).toEqual(['vgg', 'vgg-2', 'vgg-3'])
    expect(new Set(together.map((run) => run.id)).size).toBe(3)
    const last = await RunDirectory.create({ base, name: 'other' })
    expect(await readlink(join(base, 'latest'))).toBe('other')
    expect((await RunDirectory.open(undefined, base)).id).toBe(last.id)
    expect((await RunDirectory.open('vgg-2', base)).name).toBe('vgg-2')
    expect((await RunDirectory.open(join(base, 'vgg'), base)).name).toBe('vgg')
    expect((await RunDirectory.open(join(base, 'latest'))).path).toBe(last.path)
    expect((await RunDirectory.create({ base, name: 'latest' })).name).toBe('latest-2')
    expect((await readdir(base)).filter((name) => name.includes('partial'))).toEqual([])
  })

  it('takes the folder that was named if it is new or empty', async () => {
    const path = join(root, 'here', 'run')
    const run = await RunDirectory.create({ base, name: 'vgg', path })
    expect(run.path).toBe(path)
    await expect(RunDirectory.create({ base, name: 'vgg', path })).rejects.toEqual(
      rejection('USAGE', /holds a run already: go on with lockstep resume/),
    )
    await expect(RunDirectory.create({ base, name: 'vgg', path: root })).rejects.toEqual(rejection('USAGE', /is not empty/))
    await expect(lstat(base)).rejects.toThrow() // a folder elsewhere leaves none here
  })

  it.each([
    ['no runs yet', undefined, /no run in .* yet: start one with lockstep train/],
    ['no such folder', 'absent', /absent is no run: name the folder/],
    ['a folder without a run', 'empty', /is no run/],
    ['a broken identity', 'broken', /run\.json cannot be read/],
  ])('says what to do: %s', async (_name, path, words) => {
    await mkdir(join(base, 'empty'), { recursive: true })
    await mkdir(join(base, 'broken'))
    await writeFile(join(base, 'broken', 'run.json'), '{"format":1')
    await expect(RunDirectory.open(path, base)).rejects.toEqual(rejection('RUN_MISSING', words))
  })

  it('says where it cannot make a folder', async () => {
    await writeFile(join(root, 'file'), '')
    await expect(RunDirectory.create({ base: join(root, 'file'), name: 'vgg' })).rejects.toEqual(
      rejection('DISK', /cannot make the run's folder.*--run/),
    )
  })
})

describe('terms and the lock', () => {
  it('counts terms on over processes that are killed', async () => {
    const run = await RunDirectory.create({ base, name: 'vgg' })
    for (const expected of [1, 2]) {
      const { parent, said } = await DoomedParent.start(`
        const { RunDirectory } = await import(${module})
        const run = await RunDirectory.open(${JSON.stringify(run.path)})
        await run.lock()
        say([run.id, await run.nextTerm()])
        setInterval(() => undefined, 1000)`)
      await parent.kill('SIGKILL')
      expect(said).toEqual([run.id, expected])
    }
    await run.lock() // opened before the others' terms, and yet:
    expect(await run.nextTerm()).toBe(3)
    await run.unlock()
  })

  it('refuses a second holder, naming run and process, and is free as soon as the first is killed', async () => {
    const run = await RunDirectory.create({ base, name: 'vgg' })
    // the holder leaves a child behind that lives on: it must not have inherited the lock
    const { parent, said } = await DoomedParent.start(`
      const { spawn } = await import('node:child_process')
      const { RunDirectory } = await import(${module})
      const run = await RunDirectory.open(${JSON.stringify(run.path)})
      await run.lock()
      say(spawn('sleep', ['30'], { detached: true, stdio: 'ignore' }).pid)
      setInterval(() => undefined, 1000)`)
    const child = said as number
    await expect(run.lock()).rejects.toEqual(
      rejection('RUN_LOCKED', new RegExp(`run ${run.path} is going on already \\(process ${String(parent.pid)}\\)`)),
    )
    await parent.kill('SIGKILL')
    expect(await isRunning(child)).toBe(true)
    await run.lock()
    process.kill(child, 'SIGKILL')
    await run.unlock()
  })

  it('holds within one process as well, until it is given up', async () => {
    const run = await RunDirectory.create({ base, name: 'vgg' })
    const again = await RunDirectory.open(run.path)
    await run.lock()
    await expect(again.lock()).rejects.toEqual(rejection('RUN_LOCKED', new RegExp(`process ${String(process.pid)}`)))
    // no process of ours has to live for it
    const others = spawn('true')
    await new Promise((resolve) => others.once('exit', resolve))
    await expect(again.lock()).rejects.toMatchObject({ code: 'RUN_LOCKED' })
    await run.unlock()
    await again.lock()
    await again.unlock()
  })

  it('refuses terms and deletions without the lock', async () => {
    const run = await RunDirectory.create({ base, name: 'vgg' })
    await expect(run.nextTerm()).rejects.toThrow(/under the lock/)
    await expect(run.keep(1)).rejects.toThrow(/under the lock/)
  })
})

describe('what lies in a run', () => {
  it('lists whole checkpoints, newest first, keeps the newest and the best, and sweeps out what a crash left', async () => {
    const run = await RunDirectory.create({ base, name: 'vgg' })
    expect(await run.checkpoints()).toEqual([])
    for (const step of [10, 9, 100, 200]) await writeFile(run.checkpointPath(step), String(step))
    await writeFile(`${run.checkpointPath(300)}.partial`, 'half')
    await run.lock()
    expect((await run.checkpoints()).map(({ step }) => step)).toEqual([200, 100, 10, 9])
    expect(await readdir(join(run.path, 'checkpoints'))).toHaveLength(4)
    await run.linkBest(10)
    await run.linkLatest(100)
    await run.linkLatest(200)
    expect(await readFile(join(run.path, 'checkpoints', 'latest.safetensors'), 'utf8')).toBe('200')
    expect(await readFile(join(run.path, 'checkpoints', 'best.safetensors'), 'utf8')).toBe('10')
    expect(await run.keep(1)).toEqual([100, 9])
    expect((await run.checkpoints()).map(({ step }) => step)).toEqual([200, 10])
    expect(await run.best()).toEqual({ step: 10, path: run.checkpointPath(10) })
    await expect(run.linkBest(77)).rejects.toEqual(rejection('DISK', /step-00000077/))
    await run.unlock()
  })

  it('leaves the partial checkpoint of a run that another process holds', async () => {
    const run = await RunDirectory.create({ base, name: 'vgg' })
    await run.lock()
    await writeFile(`${run.checkpointPath(300)}.partial`, 'half')
    const looker = await RunDirectory.open(run.path)
    expect(await looker.checkpoints()).toEqual([])
    await expect(looker.lock()).rejects.toThrow(/going on/)
    expect(await readdir(join(run.path, 'checkpoints'))).toHaveLength(1)
    await run.unlock()
  })

  it('writes recipe and summary, the recipe without passwords', async () => {
    const run = await RunDirectory.create({ base, name: 'vgg' })
    await run.writeRecipe('run:\n  queue: rediss://me:geheimnis@host:6380/1\n')
    expect(await readFile(run.recipePath, 'utf8')).toBe('run:\n  queue: rediss://me@host:6380/1\n')
    const summary: RunSummary = {
      ...{ steps: 3, loss: 0.5, top1: null, top5: null, weightsDigest: 'a', stateDigest: 'b', wallSeconds: 1, samplesPerSecond: 2 },
      ...{ workers: 2, faults: { workerLost: 1 }, audits: 0, exact: true, fingerprint: 'c' },
    }
    await run.writeSummary(summary)
    await run.writeSummary(summary)
    expect(JSON.parse(await readFile(run.summaryPath, 'utf8'))).toEqual(summary)
    expect((await readdir(run.path)).sort()).toEqual(['checkpoints', 'logs', 'recipe.yaml', 'run.json', 'summary.json'])
    expect(run.logFile('worker/1')).toBe(join(run.path, 'logs', 'worker_1.log'))
  })
})
