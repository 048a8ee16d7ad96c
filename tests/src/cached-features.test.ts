import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Recipe, RecipeInput } from '@lockstep/shared/recipe/schema.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawFolder } from './support/picture-folder.js'
import { recipeOf, trainToEnd, type Trained } from './support/training.js'

/** Features of a frozen base that are computed once: the same bits whoever computed them, whatever became of their files. */
const MINUTES = 60_000
const STEPS = 8

let base: string
let pictures: string
let weights: string
let reference: Trained

function recipe(workers: number, model: Partial<RecipeInput['model']> = {}, changes: Partial<RecipeInput> = {}): Recipe {
  return recipeOf(pictures, {
    ...{ name: 'cached', steps: STEPS, batch: { global: 32, micro: 4 }, evaluation: { everySteps: 4, batch: 16 } },
    model: {
      ...{ base: 'vgg-a', width: 0.25, inputSize: 32, weights, includeTop: false, trainable: false, cacheFeatures: true },
      head: [{ type: 'flatten' }, { type: 'dropout', rate: 0.5 }, { type: 'dense', units: 32 }],
      ...model,
    },
    data: { train: pictures, validation: { split: 0.2 } },
    run: { workers: { count: workers, minimum: workers }, checkpoint: { everySteps: 4, digestEverySteps: 1 } },
    ...changes,
  })
}

const trained = (given: Recipe, onEvent?: Parameters<typeof trainToEnd>[2]): Promise<Trained> =>
  trainToEnd(given, { base: join(base, 'runs') }, onEvent)
const proof = ({ digests, losses, summary }: Trained): unknown => [[...digests], losses, summary.stateDigest, summary.loss, summary.top1]

/** The folders of features, and the files in the only one. */
async function featureFiles(): Promise<{ folders: string[]; files: string[] }> {
  const root = join(base, 'cache', 'lockstep', 'features')
  const folders = await readdir(root)
  return { folders, files: (await readdir(join(root, folders[0] ?? ''))).map((name) => join(root, folders[0] ?? '', name)).sort() }
}

/** How many batches of features a worker of a run made before it was ready, and how many it had to make again. */
async function made(run: Trained, worker = 1): Promise<{ first: number; again: number }> {
  const log = await readFile(join(run.directory, 'logs', `worker-${String(worker)}.log`), 'utf8')
  const lines = log.split('\n').filter((line) => line.includes('features'))
  const first = lines.flatMap((line) => (line.includes('are there') ? [(JSON.parse(line) as { made: number }).made] : []))
  return { first: first[0] ?? Number.NaN, again: lines.filter((line) => line.includes('are damaged')).length }
}

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-cached-'))
  process.env.XDG_CACHE_HOME = join(base, 'cache')
  pictures = await drawFolder(join(base, 'pictures'), 34)
  const first = recipeOf(pictures, { workers: 1, steps: 4, model: { name: 'vgg-a', width: 0.25, inputSize: 32, fullyConnected: [16] } })
  const { directory } = await trained(first)
  weights = join(base, 'base.safetensors')
  await cp(join(directory, 'checkpoints', 'step-00000004.safetensors'), weights)
  reference = await trained(recipe(1))
}, 10 * MINUTES)

afterAll(async () => {
  delete process.env.XDG_CACHE_HOME
  await rm(base, { recursive: true, force: true })
})

describe('cached features of a frozen base', () => {
  it('are made once, a file a batch over the training pictures, and train a head', async () => {
    expect(reference.losses).toHaveLength(STEPS)
    expect(reference.losses.every(Number.isFinite)).toBe(true)
    expect(new Set(reference.digests.values()).size).toBe(STEPS)
    // 102 pictures less a fifth of each class, in batches of four
    const { folders, files } = await featureFiles()
    expect([folders.length, files.length]).toEqual([1, Math.ceil((102 - 3 * 7) / 4)])
    expect(await made(reference)).toEqual({ first: files.length, again: 0 })
  })

  it(
    'give the same bits with two and three workers, which find them there',
    async () => {
      for (const workers of [2, 3]) {
        const run = await trained(recipe(workers))
        expect(run.summary.workers).toBe(workers)
        expect(proof(run)).toEqual(proof(reference))
        expect(await made(run, workers)).toEqual({ first: 0, again: 0 })
      }
    },
    4 * MINUTES,
  )

  it(
    'are shared by two workers that make them, one of them killed with SIGKILL, and the bits are the same',
    async () => {
      const { files } = await featureFiles()
      await rm(join(base, 'cache', 'lockstep', 'features'), { recursive: true })
      const pids: number[] = []
      const disturbed = recipe(2)
      disturbed.run.workers.minimum = 1
      const run = await trained(disturbed, (event) => {
        if (event.type === 'workerJoined') pids.push(event.pid)
        const victim = pids[1] ?? pids[0]
        if (event.type !== 'step' || event.step < 2 || victim === undefined || pids.length < 2) return
        process.kill(victim, 'SIGKILL')
        pids.length = 0
      })
      expect(run.summary.faults).toMatchObject({ workerLost: 1 })
      expect(proof(run)).toEqual(proof(reference))
      expect(await featureFiles()).toMatchObject({ files })
    },
    3 * MINUTES,
  )

  it(
    'that are damaged on disk are made again, before a run and in the middle of one',
    async () => {
      const { files } = await featureFiles()
      const whole = await Promise.all(files.map((file) => readFile(file)))
      const [damaged = '', cut = '', lost = ''] = files
      const spoil = async (file: string): Promise<void> => {
        const bytes = await readFile(file)
        bytes[100] = (bytes[100] ?? 0) ^ 16
        await writeFile(file, bytes)
      }
      await spoil(damaged)
      await writeFile(cut, (await readFile(cut)).subarray(0, 1000))
      await rm(lost)
      const spoilt: Promise<unknown>[] = []
      const run = await trained(recipe(1), (event) => {
        if (event.type === 'step' && event.step === 2) spoilt.push(...files.map(async (file) => await rm(file)))
      })
      await Promise.all(spoilt)
      expect(proof(run)).toEqual(proof(reference))
      const { first, again } = await made(run)
      expect(first).toBe(3)
      expect(again).toBeGreaterThan(0)
      // what is there again is what was there
      for (const [index, file] of files.entries()) {
        const bytes = await readFile(file).catch(() => undefined)
        if (bytes !== undefined) expect(bytes.equals(whole[index] ?? Buffer.alloc(0))).toBe(true)
      }
      await trained(recipe(1, {}, { steps: 1 }))
      for (const [index, file] of files.entries()) expect((await readFile(file)).equals(whole[index] ?? Buffer.alloc(0))).toBe(true)
    },
    3 * MINUTES,
  )

  it(
    'are those of their base and pictures: another head takes them, another mean does not',
    async () => {
      const head: RecipeInput['model']['head'] = [{ type: 'globalAveragePooling' }]
      const other = await trained(recipe(1, { head }, { steps: 1 }))
      expect(await made(other)).toEqual({ first: 0, again: 0 })
      const statistics: NonNullable<Recipe['data']['statistics']> = { mean: [1, 2, 3], std: [50, 50, 50] }
      const dark = await trained(recipe(1, {}, { steps: 1, data: { train: pictures, validation: { split: 0.2 }, statistics } }))
      expect((await made(dark)).first).toBeGreaterThan(0)
      expect((await featureFiles()).folders).toHaveLength(2)
    },
    3 * MINUTES,
  )
})
