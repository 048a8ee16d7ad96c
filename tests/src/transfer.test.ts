import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { resume, train } from '@lockstep/coordinator/train.js'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import type { Preprocessing } from '@lockstep/data/preprocessing.js'
import { openTrainingData } from '@lockstep/data/training-data.js'
import { openCheckpoint, type Checkpoint } from '@lockstep/shared/checkpoint/checkpoint.js'
import { computeEnvironment } from '@lockstep/shared/environment/compute-environment.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { trainedPart } from '@lockstep/shared/parameters/layout.js'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import type { Recipe, RecipeInput } from '@lockstep/shared/recipe/schema.js'
import { evaluateCheckpoint } from '@lockstep/worker/standalone/evaluate-checkpoint.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawPicture, type CLASSES } from './support/picture-folder.js'
import { collect, recipeOf, trainToEnd, type Trained } from './support/training.js'

/** A new head on a frozen base that learned other classes: the same bits with any number of workers, and only the head travels. */
const MINUTES = 60_000
const STEPS = 10
const GLOBAL_BATCH = 32
const WORKER = fileURLToPath(new URL('../../packages/worker/dist/main.js', import.meta.url))

let base: string
let weights: string
let pictures: string
let reference: Trained

/** Class folders of pictures that are drawn nowhere else. */
async function drawClasses(folder: string, kinds: readonly (typeof CLASSES)[number][], first: number): Promise<string> {
  for (const kind of kinds) {
    await mkdir(join(folder, kind), { recursive: true })
    for (let number = first; number < first + 40; number++)
      await writeFile(join(folder, kind, `${String(number)}.png`), await drawPicture(kind, number))
  }
  return folder
}

function transferRecipe(workers: number, changes: Parameters<typeof recipeOf>[1] = {}): Recipe {
  return recipeOf(pictures, {
    ...{ name: 'transfer', workers, steps: STEPS, batch: { global: GLOBAL_BATCH, micro: 4 } },
    model: {
      ...{ base: 'vgg-a', width: 0.25, inputSize: 32, weights, includeTop: false, trainable: false },
      head: [{ type: 'flatten' }, { type: 'dropout', rate: 0.5 }, { type: 'dense', units: 32 }],
    },
    ...{ evaluation: { everySteps: 5, batch: 16 } },
    run: {
      ...{ workers: { count: workers, minimum: workers }, checkpoint: { everySteps: 5, digestEverySteps: 1 } },
      exchange: { sharedMemory: 'off' },
    },
    ...changes,
  })
}

const checkpointAt = (run: Trained, step: number): string =>
  join(run.directory, 'checkpoints', `step-${String(step).padStart(8, '0')}.safetensors`)

async function reading<Value>(path: string, use: (checkpoint: Checkpoint) => Promise<Value>): Promise<Value> {
  const checkpoint = await openCheckpoint(path)
  try {
    return await use(checkpoint)
  } finally {
    await checkpoint.close()
  }
}

const proof = ({ digests, summary }: Trained): unknown => [[...digests], summary.stateDigest, summary.weightsDigest, summary.top1]

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-transfer-'))
  const former = await drawClasses(join(base, 'former'), ['circle', 'square'], 0)
  pictures = await drawClasses(join(base, 'pictures'), ['bar', 'square'], 100)
  const first = recipeOf(former, { workers: 1, steps: 4, model: { name: 'vgg-a', width: 0.25, inputSize: 32, fullyConnected: [16] } })
  const { directory } = await trainToEnd(first, { base: join(base, 'runs') })
  weights = join(base, 'base.safetensors')
  await cp(join(directory, 'checkpoints', 'step-00000004.safetensors'), weights)
  reference = await trainToEnd(transferRecipe(1), { base: join(base, 'runs') })
}, 3 * MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

describe('a head on a frozen base', () => {
  it('learns: finite losses, another state at every step', () => {
    expect(reference.losses).toHaveLength(STEPS)
    expect(reference.losses.every(Number.isFinite)).toBe(true)
    expect(new Set(reference.digests.values()).size).toBe(STEPS)
    expect(reference.losses.slice(-3).reduce((a, b) => a + b)).toBeLessThan(reference.losses.slice(0, 3).reduce((a, b) => a + b))
  })

  it('leaves a checkpoint with all weights, the base as it was, and velocities of the head alone', async () => {
    await reading(weights, async (source) => {
      await reading(checkpointAt(reference, STEPS), async (checkpoint) => {
        await checkpoint.verify()
        const { entries } = layoutOf(checkpoint.metadata.network)
        expect(entries.every(({ name }) => checkpoint.tensors.has(name))).toBe(true)
        const frozen = entries.filter((entry) => entry.frozen === true)
        expect(frozen).toHaveLength(16)
        for (const { name } of frozen) expect(await checkpoint.read(name), name).toEqual(await source.read(name))
        const velocities = [...checkpoint.tensors.keys()].filter((name) => name.startsWith('velocity/'))
        expect(velocities).toEqual(['fc1', 'predictions'].flatMap((layer) => [`velocity/${layer}/kernel`, `velocity/${layer}/bias`]))
      })
    })
  })

  it("normalizes pictures as those of the base were, not by the new pictures' own mean, and says so in its recipe", async () => {
    const [source, own] = [weights, checkpointAt(reference, STEPS)]
    const told = async (path: string): Promise<Preprocessing> =>
      await reading(path, async ({ metadata }) => Promise.resolve(metadata.preprocessing as unknown as Preprocessing))
    const [theirs, ours] = [await told(source), await told(own)]
    expect([ours.normalize, ours.mean, ours.std]).toEqual([theirs.normalize, theirs.mean, theirs.std])
    const data = await openTrainingData(transferRecipe(1).data, { seed: 1, inputSize: 32 })
    await data.close()
    expect(data.mean).not.toEqual(theirs.mean)
    const { recipe } = await loadRecipe(join(reference.directory, 'recipe.yaml'))
    expect(recipe.data.statistics).toEqual({ mean: theirs.mean, std: theirs.std })
    const given = { mean: data.mean, std: data.std }
    const recipeWith = (statistics?: typeof given): Recipe => {
      const { data: pictures, ...rest } = transferRecipe(1, { steps: 1 })
      return { ...rest, data: { ...pictures, statistics } }
    }
    const others = await trainToEnd(recipeWith(given), { base: join(base, 'runs') })
    expect((await told(checkpointAt(others, 1))).mean).toEqual(data.mean)
    expect(others.losses[0]).not.toBe(reference.losses[0])
  })

  it('sends and receives the bytes of the head and nothing else', async () => {
    const size = await reading(checkpointAt(reference, STEPS), async ({ metadata }) => trainedPart(layoutOf(metadata.network)).size)
    expect(size).toBe(128 * 32 + 32 + 32 * 2 + 2)
    const log = await readFile(join(reference.directory, 'logs', 'worker-1.log'), 'utf8')
    const line = log.split('\n').find((one) => one.includes('the work of this membership is over'))
    // One worker computes the root of the tree, so a vector goes out a step, and one comes in a version.
    expect(JSON.parse(line ?? '{}')).toMatchObject({ bytesAcknowledged: STEPS * size * 4, bytesReceived: (STEPS + 1) * size * 4 })
  })

  it(
    'is evaluated alone as the run did',
    async () => {
      const { checkpoint, metrics } = await reading(checkpointAt(reference, STEPS), async ({ path, metadata }) =>
        Promise.resolve({ checkpoint: path, metrics: metadata.metrics }),
      )
      const { loss, top1 } = await evaluateCheckpoint({
        checkpoints: [checkpoint],
        computeThreads: 1,
        logFile: join(base, 'evaluation.log'),
      })
      expect({ loss, top1 }).toEqual({ loss: metrics?.loss, top1: metrics?.top1 })
    },
    MINUTES,
  )

  it(
    'has the same bits with two workers',
    async () => {
      const trained = await trainToEnd(transferRecipe(2), { base: join(base, 'runs') })
      expect(trained.summary.workers).toBe(2)
      expect(proof(trained)).toEqual(proof(reference))
    },
    2 * MINUTES,
  )

  it(
    'goes on from a checkpoint with the same bits, and not on another base',
    async () => {
      const copy = join(base, 'runs', 'resumed')
      await cp(reference.directory, copy, { recursive: true })
      await rm(join(copy, 'checkpoints', 'step-00000010.safetensors'))
      const other = join(base, 'other-base.safetensors')
      await rename(weights, other)
      await cp(checkpointAt(reference, 5), weights)
      const resumed = await collect(resume(copy, {}))
      expect(proof(resumed)).toEqual(proof(reference))
      await cp(await spoiled(other), weights)
      await expect(collect(resume(copy, { set: ['steps=12'] }))).rejects.toMatchObject({
        code: 'CHECKPOINT_MISMATCH',
        message: expect.stringMatching(/has other values before the head than the recipe says .*put the file back/) as string,
      })
      await rename(other, weights)
    },
    2 * MINUTES,
  )
})

/** The same file with one bit of its last convolution turned. */
async function spoiled(path: string): Promise<string> {
  const bytes = await readFile(path)
  const at = await reading(path, async ({ tensors }) => Promise.resolve(tensors.get('block5_conv2/kernel')?.offset ?? 0))
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFile(`${path}.spoiled`, bytes)
  return `${path}.spoiled`
}

describe('a worker', () => {
  it(
    'without the weights of the base is refused, and takes part with a copy beside its data',
    async () => {
      const elsewhere = join(base, 'elsewhere')
      const other = join(base, 'other', 'pictures')
      await mkdir(elsewhere)
      await cp(pictures, other, { recursive: true })
      const recipe = transferRecipe(1, { steps: 1_000_000, evaluation: { everySteps: 1_000_000, batch: 16 } })
      const abort = new AbortController()
      const events: TrainEvent[] = []
      let stranger: Promise<string> | undefined
      let companion: Promise<string> | undefined
      for await (const event of train(recipe, { base: join(base, 'runs'), signal: abort.signal })) {
        events.push(event)
        const address = events.flatMap((one) => (one.type === 'started' ? [one.address] : []))[0] ?? ''
        if (event.type === 'workerJoined' && stranger === undefined) {
          await rename(weights, join(elsewhere, 'base.safetensors'))
          stranger = work(address, other)
          companion = stranger.then(async () => {
            await cp(join(elsewhere, 'base.safetensors'), join(base, 'other', 'base.safetensors'))
            return await work(address, other)
          })
        } else if (event.type === 'workerJoined') abort.abort('SIGINT')
      }
      await rename(join(elsewhere, 'base.safetensors'), weights)
      expect(await stranger).toMatch(/does not have the weights of the frozen base .*copy the coordinator's .*base\.safetensors/)
      expect(events.filter(({ type }) => type === 'workerJoined')).toHaveLength(2)
      await companion
    },
    2 * MINUTES,
  )
})

/** A worker with its own data until it ends. @returns all it printed */
async function work(address: string, data: string): Promise<string> {
  const child = spawn(process.execPath, [WORKER, '--join', address, '--name', 'other', '--data', data], {
    env: computeEnvironment(process.env, 1),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (text: Buffer) => (output += text.toString()))
  child.stderr.on('data', (text: Buffer) => (output += text.toString()))
  await new Promise((resolve) => child.on('close', resolve))
  return output
}

describe('one sigmoid unit for two classes', () => {
  it(
    'trains, and its checkpoint tells both classes',
    async () => {
      const model: RecipeInput['model'] = { name: 'vgg-a', width: 0.125, inputSize: 32, fullyConnected: [16], task: 'binary' }
      const { losses, directory, summary } = await trainToEnd(transferRecipe(1, { name: 'binary', model }), { base: join(base, 'runs') })
      expect(losses.every(Number.isFinite)).toBe(true)
      const checkpoint = join(directory, 'checkpoints', 'latest.safetensors')
      await reading(checkpoint, async ({ tensors }) => {
        expect(tensors.get('predictions/kernel')?.shape).toEqual([16, 1])
        return Promise.resolve()
      })
      expect((await evaluateCheckpoint({ checkpoints: [checkpoint], computeThreads: 1, logFile: join(base, 'evaluation.log') })).top1).toBe(
        summary.top1,
      )
    },
    2 * MINUTES,
  )
})
