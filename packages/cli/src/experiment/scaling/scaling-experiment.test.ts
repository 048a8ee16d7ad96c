import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawPictures, runLockstep, startLockstep } from '../../lockstep-process.js'
import type { ScalingReport } from './scaling-report.js'

/** Four trainings of a few seconds each, and on a machine that is busy with other things many times that. */
const LONG_MS = 480_000

const RECIPE = `name: tiny
model: {name: vgg-a, width: 0.0625, inputSize: 32, fullyConnected: [16]}
data: {train: pictures, validation: {split: 0.25}}
batch: {global: 8, micro: 2}
steps: 2
`
const ARGS = ['experiment', 'scaling', 'tiny.yaml', '--workers', '1,2', '--repetitions', '2', '--steps', '2', '--warm-up', '1']

describe('the scaling experiment', () => {
  let folder = ''

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-scaling-'))
    await drawPictures(join(folder, 'pictures'), 10)
    await writeFile(join(folder, 'tiny.yaml'), RECIPE)
  })

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  it('measures every count in turn, shows one state, and leaves nothing but the report', { timeout: LONG_MS }, async () => {
    const ended = await runLockstep([...ARGS, '--json'], folder)
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    const report = JSON.parse(ended.stdout) as ScalingReport
    expect(report.samples.map(({ round, workers }) => [round, workers])).toEqual([
      [1, 1],
      [1, 2],
      [2, 2],
      [2, 1],
    ])
    expect(report.state).toMatchObject({ step: 4, same: true })
    expect(report.state.digests).toEqual([
      { stateDigest: expect.stringMatching(/^[0-9a-f]{64}$/) as string, workers: [1, 2], trainings: 4 },
    ])
    expect(new Set(report.samples.map(({ loss }) => loss)).size).toBe(1)
    for (const { workers, times, bytes, parameters, cpuSeconds, images } of report.samples) {
      expect(images).toBe(16)
      expect(cpuSeconds).toBeGreaterThan(0)
      for (const key of ['compute', 'reduce'] as const) expect(times[key], key).toBeGreaterThan(0)
      // every worker sends its part's sum, a node or more, and receives the weights; a span's word may fall into the step after
      expect(bytes.sent).toBeGreaterThan(0)
      expect(bytes.received).toBeGreaterThan(0)
      expect(bytes.received).toBeLessThanOrEqual(2 * workers * parameters * 4)
    }
    expect((await readdir(join(folder, 'runs', 'scaling-tiny'))).sort()).toEqual([
      ...['hosts.svg', 'report.html', 'report.json', 'report.md', 'speedup.svg'],
      'step-times.svg',
    ])
    const read = (name: string): Promise<string> => readFile(join(folder, 'runs', 'scaling-tiny', name), 'utf8')
    expect(JSON.parse(await read('report.json'))).toEqual(report)
    expect(await read('report.md')).toContain(`stateDigest ${report.state.digests[0]?.stateDigest ?? '?'}`)
    expect(await read('report.html')).toMatch(/<svg [^]*<\/html>/)
  })

  it('ends at Ctrl-C with 130, and leaves no half report', { timeout: LONG_MS }, async () => {
    const running = startLockstep([...ARGS, '--out', 'stopped'], folder)
    await running.said(/1\/4 {2}round 1, 1 worker: [^]*2\/4/)
    running.kill('SIGINT')
    const ended = await running.ended
    expect(ended.stderr).toBe('stopping; nothing is kept; once more to stop now\n')
    expect(ended.code).toBe(130)
    expect(await readdir(folder)).not.toContain('stopped')
  })

  it('ends with the reason of a training that fails, and leaves nothing', { timeout: LONG_MS }, async () => {
    const ended = await runLockstep([...ARGS, '--out', 'failed', '--set', 'data.train=nowhere'], folder)
    expect(ended.code).toBe(1)
    expect(ended.stderr).toMatch(/^error: there is no folder .*nowhere[^\n]*\n$/)
    expect(await readdir(folder)).not.toContain('failed')
  })

  it.each([
    [['--workers', '1,x'], 2, /counts of at least 1, as in 1,2,4.*see `lockstep experiment scaling --help`/],
    [['--workers', '0,2'], 2, /counts of at least 1/],
    [['--workers', '1,8'], 2, /4 leaves .* too few for 8 workers/],
    [['--repetitions', '0'], 2, /at least 1/],
    [['--warm-up', '0'], 2, /at least 1/],
    [['--set', 'steps=3'], 2, /say --steps/],
    [['--out', 'pictures'], 2, /pictures is not empty: name an empty or a new folder with --out/],
    [['--out', 'tiny.yaml'], 2, /tiny\.yaml is not a folder/],
  ])('refuses %j', async (args, code, message) => {
    const ended = await runLockstep(['experiment', 'scaling', 'tiny.yaml', ...args], folder)
    expect(ended.code).toBe(code)
    expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(ended.stderr).toMatch(message)
  })

  it('refuses a recipe that is not there', async () => {
    const ended = await runLockstep(['experiment', 'scaling', 'missing.yaml'], folder)
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: missing\.yaml: there is no such file/) as string })
  })
})
