import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { train, type TrainOptions } from '@lockstep/coordinator/train.js'
import type { RunSummary } from '@lockstep/coordinator/run-directory/run-summary.js'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { recipeSchema, type Recipe, type RecipeInput } from '@lockstep/shared/recipe/schema.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'

/** A run of a test, as it ended. */
export interface Trained {
  readonly directory: string
  readonly summary: RunSummary
  readonly events: TrainEvent[]
  /** stateDigest of every step, by step. */
  readonly digests: Map<number, string>
  readonly losses: number[]
}

/** A recipe of eight leaves with everything random in it: dropout, crops, flips, colours, shuffling. */
export function recipeOf(pictures: string, changes: Partial<RecipeInput> & { workers?: number } = {}): Recipe {
  const { workers = 2, ...rest } = changes
  return recipeSchema.parse({
    name: 'shapes',
    model: { name: 'vgg-a', width: 0.125, inputSize: 32, fullyConnected: [64], dropout: 0.5 },
    data: {
      train: pictures,
      validation: { split: 0.2 },
      augment: { shortSide: [36, 44], crop: 'random', flip: true, colorShift: 0.1 },
    },
    batch: { global: 32, micro: 4 },
    optimizer: { momentum: 0.9, weightDecay: 5e-4 },
    learningRate: { initial: 0.02, schedule: { type: 'steps', at: [20], factor: 0.1 } },
    steps: 40,
    evaluation: { everySteps: 20, batch: 16 },
    run: { workers: { count: workers, minimum: Math.max(1, workers) }, checkpoint: { everySteps: 15, digestEverySteps: 1 } },
    ...rest,
  } satisfies RecipeInput)
}

/** Trains to the end. @param onEvent sees every event as it comes */
export async function trainToEnd(
  recipe: Recipe,
  options: TrainOptions,
  onEvent: (event: TrainEvent) => void = () => undefined,
): Promise<Trained> {
  return await collect(train(recipe, options), onEvent)
}

/** Collects a run's events until it ends. */
export async function collect(run: AsyncIterable<TrainEvent>, onEvent: (event: TrainEvent) => void = () => undefined): Promise<Trained> {
  const events: TrainEvent[] = []
  for await (const event of run) {
    events.push(event)
    onEvent(event)
  }
  const last = events.at(-1)
  invariant(last?.type === 'summary', 'a training that ends well ends with a summary')
  return { directory: last.directory, summary: last.summary, events, ...(await metricsOf(last.directory)) }
}

/** What metrics.jsonl says of a run's steps. */
export async function metricsOf(directory: string): Promise<{ digests: Map<number, string>; losses: number[] }> {
  const lines = (await readFile(join(directory, 'metrics.jsonl'), 'utf8')).trim().split('\n')
  const steps = lines
    .map((line) => JSON.parse(line) as { type: string; step: number; loss: number; stateDigest: string })
    .filter(({ type }) => type === 'step')
  return { digests: new Map(steps.map(({ step, stateDigest }) => [step, stateDigest])), losses: steps.map(({ loss }) => loss) }
}

/** Faults of a run but for stragglers: on a busy machine a worker is slow, and to say so is right. */
export function faultsOf({ faults }: Pick<RunSummary, 'faults'>): RunSummary['faults'] {
  return Object.fromEntries(Object.entries(faults).filter(([kind]) => kind !== 'straggler'))
}
