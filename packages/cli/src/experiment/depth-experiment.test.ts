import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawPictures, runLockstep, startLockstep } from '../lockstep-process.js'
import type { DepthReport } from './depth-report.js'

/** Half a minute, and on a machine that is busy with other things many times that. */
const LONG_MS = 480_000

/** Three trainings of a second each: A from Glorot, A going on, B from A. */
const TINY = [
  ...['--data', 'photos', '--configurations', 'b', '--initializations', 'from-a', '--seeds', '1', '--out', 'depth'],
  ...['--set', 'steps=40', '--set', 'model.width=0.0625', '--set', 'model.fullyConnected=[16]', '--set', 'evaluation.everySteps=20'],
  ...['--set', 'batch.global=8', '--set', 'batch.micro=4', '--set', 'learningRate={initial: 0.01}', '--set', 'run.workers.count=1'],
]

describe('the depth experiment', () => {
  let folder = ''

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-depth-'))
    await drawPictures(join(folder, 'photos'), 10)
  })

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  const read = (name: string): Promise<string> => readFile(join(folder, 'depth', name), 'utf8')

  it('is stopped by Ctrl-C in the middle, goes on where it was, and ends in a report', { timeout: LONG_MS }, async () => {
    const running = startLockstep(['experiment', 'depth', ...TINY], folder)
    // the first training is over, the second has begun
    await running.said(/ {2}1\/3 {2}VGG-A, random, Glorot, seed 1: [^]*\n {3}\d+\/40 loss/)
    running.kill('SIGINT')
    const stopped = await running.ended
    expect(stopped.stderr).toMatch(/^stopping after a checkpoint; go on later with --resume; once more to stop now\n$/)
    expect(stopped.code).toBe(130)
    const first = await read('results/vgg-a-glorot-seed-1.json')
    expect(await readdir(join(folder, 'depth'))).not.toContain('report.md')

    const again = await runLockstep(['experiment', 'depth', ...TINY], folder)
    expect(again).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^error: depth holds an experiment already.*--resume.*--out\n$/) as string,
    })
    const other = await runLockstep(['experiment', 'depth', '--out', 'depth', '--resume', '--set', 'steps=70'], folder)
    expect(other).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^error: depth holds another experiment \(--set was steps=40 /) as string,
    })

    const resumed = await runLockstep(['experiment', 'depth', '--out', 'depth', '--resume', '--json'], folder)
    expect(resumed).toMatchObject({ code: 0, stderr: '' })
    const report = JSON.parse(resumed.stdout) as DepthReport
    // what was over was not done again
    expect(await read('results/vgg-a-glorot-seed-1.json')).toBe(first)
    expect(JSON.parse(await read('runs/vgg-a-glorot-seed-1/run.json'))).toMatchObject({ term: 1 })

    expect(report.trainings.map(({ id, source, steps, diverged }) => [id, source, steps, diverged])).toEqual([
      ['vgg-a-glorot-seed-1', null, 40, null],
      ['vgg-a-from-a-seed-1', 'vgg-a-glorot-seed-1', 40, null],
      ['vgg-b-from-a-seed-1', 'vgg-a-glorot-seed-1', 40, null],
    ])
    for (const { evaluations, losses } of report.trainings) {
      expect(evaluations.map(({ step }) => step)).toEqual([20, 40])
      expect(losses).toHaveLength(40)
    }
    expect(new Set(report.trainings.map(({ stateDigest }) => stateDigest)).size).toBe(3)
    expect(report.signals.map(({ configuration, beginning }) => `${configuration} ${beginning}`)).toEqual([
      ...['vgg-a glorot', 'vgg-a from-a'],
      'vgg-b from-a',
    ])
    expect(report.yardsticks).toMatchObject({ classes: 3, chance: { top1: 1 / 3 } })
    expect(JSON.parse(await read('report.json'))).toEqual(report)
    expect(await read('report.md')).toMatch(/\| B \| from A \| .*\| 28\.7 \/ 9\.9 \|/)
    for (const figure of ['loss.svg', 'top1.svg', 'signal.svg']) expect(await read(figure)).toMatch(/^<svg /)
  })

  it('takes a loss that is not finite for a result, and goes on', { timeout: LONG_MS }, async () => {
    const wild = ['--set', 'learningRate={initial: 1.0e+20}', '--out', 'wild', '--json']
    const ended = await runLockstep(['experiment', 'depth', ...TINY, ...wild], folder)
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    const report = JSON.parse(ended.stdout) as DepthReport
    expect(report.trainings.map(({ source, diverged }) => [source, diverged])).toEqual([
      [null, expect.stringMatching(/not finite/) as string],
      [null, expect.stringMatching(/every training of A .* diverged/) as string],
      [null, expect.stringMatching(/every training of A .* diverged/) as string],
    ])
    expect(report.rows.map(({ fates }) => fates)).toEqual([['diverges'], ['diverges'], ['diverges']])
  })

  it.each([
    [['--seeds', '1,x'], /whole numbers.*see `lockstep experiment depth --help`/],
    [['--configurations', 'a,f'], /Expected some of a, a-lrn, b, c, d or e/],
    [['--set', 'seed=3'], /say --seeds/],
    [['--data', 'nowhere'], /expected digits, emoji, or a folder of pictures that is there/],
    [['--out', 'photos'], /photos is not empty, and no experiment/],
  ])('refuses %j', async (args, message) => {
    const ended = await runLockstep(['experiment', 'depth', ...args], folder)
    expect(ended.code).toBe(2)
    expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(ended.stderr).toMatch(message)
  })
})
