import { execFileSync } from 'node:child_process'
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { packFolder } from '@lockstep/data/pack-folder.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Recipe, RecipeInput } from '@lockstep/shared/recipe/schema.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawFolder } from './support/picture-folder.js'
import { recipeOf, trainToEnd, type Trained } from './support/training.js'

/** The first cause is what the person reads: which step, which layer, which record, which worker. */
const MINUTES = 60_000

let base: string
let pictures: string

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-errors-'))
  pictures = await drawFolder(join(base, 'pictures'), 40)
}, MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

/** Trains until it fails. @returns the error, and the folder */
async function failureOf(
  recipe: Recipe,
  onEvent: (event: TrainEvent) => void = () => undefined,
): Promise<{ error: TrainError; run: string }> {
  let run = ''
  try {
    await trainToEnd(recipe, { base: join(base, 'runs') }, (event) => {
      if (event.type === 'started') run = event.directory
      onEvent(event)
    })
  } catch (error) {
    if (error instanceof TrainError) return { error, run }
    throw error
  }
  throw new Error('the training should have failed')
}

/** Every step is saved, so that the one before the failure can be looked for. */
function savingAll(recipe: Recipe): Recipe {
  return { ...recipe, run: { ...recipe.run, checkpoint: { ...recipe.run.checkpoint, everySteps: 1 } } }
}

describe('a loss that is not finite', () => {
  const wild: Partial<RecipeInput> = { learningRate: { initial: 1e7 }, steps: 12, evaluation: { everySteps: 1000 } }

  it(
    'stops the run with the step and the layer, the same for any number of workers, and keeps the checkpoint before it',
    async () => {
      const messages: string[] = []
      for (const workers of [1, 3]) {
        const { error, run } = await failureOf(savingAll(recipeOf(pictures, { ...wild, workers })))
        expect(error.code).toBe('NON_FINITE')
        const [, step = '', good = ''] =
          /no longer finite at step (\d+) .*; it began in layer \w+, the first whose.*the checkpoint of step (\d+) is good/.exec(
            error.message,
          ) ?? []
        expect(Number(step)).toBeGreaterThan(1)
        expect(Number(good)).toBe(Number(step) - 1)
        expect(await readdir(join(run, 'checkpoints'))).toContain(`step-${good.padStart(8, '0')}.safetensors`)
        messages.push(error.message)
      }
      expect(messages[1]).toBe(messages[0])
    },
    2 * MINUTES,
  )

  it(
    'ends a run that leaves such steps out after ten in a row',
    async () => {
      const { error } = await failureOf(recipeOf(pictures, { ...wild, steps: 40, nonFinite: 'skip' }))
      expect(error).toMatchObject({ code: 'NON_FINITE', message: expect.stringMatching(/10th step in a row/) as string })
    },
    2 * MINUTES,
  )

  it(
    'leaves such steps out, counted, with the same bits for any number of workers',
    async () => {
      const runs: Trained[] = []
      for (const workers of [1, 3])
        runs.push(await trainToEnd(recipeOf(pictures, { ...BORDERLINE, workers }), { base: join(base, 'runs') }))
      const [one, three] = runs
      const skipped = await skippedSteps(one?.directory ?? '')
      expect(skipped.length).toBeGreaterThanOrEqual(2)
      expect(skipped.length).toBeLessThanOrEqual(10)
      expect(one?.summary.faults).toEqual({ stepSkipped: skipped.length })
      expect(await skippedSteps(three?.directory ?? '')).toEqual(skipped)
      expect([...(three?.digests ?? [])]).toEqual([...(one?.digests ?? [])])
      const after = [...(one?.digests.keys() ?? [])].at(-1)
      expect(after).toBe(12)
    },
    3 * MINUTES,
  )
})

/** Weights so large that some pictures make sums overflow and others do not; the rate is float32's smallest normal number. */
const BORDERLINE: Partial<RecipeInput> = {
  ...{ steps: 12, nonFinite: 'skip', evaluation: { everySteps: 1000 } },
  ...{ initialization: { method: 'normal', std: 372 }, learningRate: { initial: 1.2e-38 }, optimizer: { weightDecay: 0 } },
}

async function skippedSteps(run: string): Promise<number[]> {
  const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trim().split('\n')
  return lines
    .map((line) => JSON.parse(line) as { type: string; step: number; loss: number | null; skipped?: boolean })
    .filter(({ type, skipped }) => type === 'step' && skipped === true)
    .map(({ step, loss }) => (loss === null ? step : -step))
}

describe('a record that goes bad while training goes on', () => {
  it(
    'ends the run with shard, record and remedy, and not with a lost worker',
    async () => {
      const packed = join(base, 'packed')
      await packFolder({ input: pictures, output: packed, onBroken: 'stop' })
      const { shards } = JSON.parse(await readFile(join(packed, 'dataset.json'), 'utf8')) as { shards: { file: string }[] }
      const shard = shards[0]?.file ?? ''
      let damaged: Promise<void> | undefined
      const { error } = await failureOf(recipeOf(packed, { workers: 2, steps: 400, evaluation: { everySteps: 1000 } }), (event) => {
        if (event.type === 'step' && event.step === 3) damaged ??= damage(join(packed, shard))
      })
      await damaged
      expect(error.code).toBe('DATA_CORRUPT')
      expect(error.message).toMatch(/^worker-[12]: /)
      expect(error.message).toContain(shard)
      expect(error.message.split('\n')).toHaveLength(1)
    },
    2 * MINUTES,
  )
})

/** Flips a byte in every 256th place of the file: no picture stays whole. */
async function damage(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const { size } = await file.stat()
    const bytes = Buffer.alloc(size)
    await file.read(bytes, 0, size, 0)
    for (let at = 700; at < size; at += 256) bytes.writeUInt8(255 - bytes.readUInt8(at), at)
    await file.write(bytes, 0, size, 0)
  } finally {
    await file.close()
  }
}

describe('a worker that runs out of memory', () => {
  it(
    'is lost with its own reason, and the other goes on to the same bits',
    async () => {
      // a step lives on the memory of the steps before it, for a hundred of them; an evaluation of larger pictures cannot
      const changes: Partial<RecipeInput> = { steps: 10, evaluation: { everySteps: 5, protocol: 'dense', scales: [1024], batch: 2 } }
      const reference = await trainToEnd(recipeOf(pictures, { ...changes, workers: 1 }), { base: join(base, 'runs') })
      const recipe = recipeOf(pictures, { ...changes, workers: 2 })
      recipe.run.workers.minimum = 1
      let pid: number | undefined
      const trained = await trainToEnd(recipe, { base: join(base, 'runs') }, (event) => {
        if (event.type === 'workerJoined') pid = event.pid
        // no further page for it: the next allocation that wants one fails
        if (event.type === 'step' && event.step === 3 && pid !== undefined)
          execFileSync('prlimit', ['--pid', String(pid), '--as=1', '--data=1'])
      })
      const told = trained.events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
      expect(told).toHaveLength(1)
      expect(told[0]).toMatch(/^worker-\d( ended \(\w+\))?: .*(memory|alloc)/i)
      expect(trained.summary.faults).toMatchObject({ workerLost: 1 })
      expect([...trained.digests]).toEqual([...reference.digests])
    },
    3 * MINUTES,
  )
})
