import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EvaluationViews } from '@lockstep/shared/sampling/evaluation-views.js'
import { evaluateCheckpoint } from '@lockstep/worker/standalone/evaluate-checkpoint.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawFolder } from './support/picture-folder.js'
import { recipeOf, trainToEnd, type Trained } from './support/training.js'

/**
 * The paper's ways of evaluating, inside a training whose learning rate hangs on them: the same bits with one worker and with two, and
 * from `lockstep evaluate`. Real processes, queue, averaging service and TensorFlow.
 */
const MINUTES = 60_000

let base: string
let pictures: string

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-evaluation-'))
  pictures = await drawFolder(join(base, 'pictures'), 20)
})

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

async function trained(views: EvaluationViews, workers: number): Promise<Trained> {
  const evaluation = { everySteps: 2, batch: 5, ...views, scales: [...views.scales] }
  const learningRate = { initial: 0.02, schedule: { type: 'plateau', monitor: 'loss', patience: 1, minDelta: 10 } } as const
  return await trainToEnd(recipeOf(pictures, { workers, steps: 4, evaluation, learningRate }), { base: join(base, 'runs') })
}

describe('the same bits with one worker, with two, and from lockstep evaluate', () => {
  it(
    'dense and multi-crop at two scales',
    async () => {
      const views: EvaluationViews = { protocol: 'dense+multi-crop', scales: [36, 44], flip: true }
      const [one, two] = [await trained(views, 1), await trained(views, 2)]
      const evaluations = one.events.flatMap((event) =>
        event.type === 'evaluation'
          ? [{ step: event.step, loss: event.loss, top1: event.top1, top5: event.top5, samples: event.samples }]
          : [],
      )
      expect(evaluations.map(({ step, samples }) => [step, samples])).toEqual([2, 4].map((step) => [step, 12]))
      expect(new Set(evaluations.map(({ loss }) => loss)).size).toBe(2)
      // What was evaluated decided something: without progress the rate drops.
      expect(one.events.some(({ type }) => type === 'learningRateDropped')).toBe(true)
      expect(two.summary.workers).toBe(2)
      expect(two.events.filter(({ type }) => type === 'evaluation')).toMatchObject(evaluations)
      expect([...two.digests]).toEqual([...one.digests])
      expect(two.summary.stateDigest).toBe(one.summary.stateDigest)

      const checkpoint = join(one.directory, 'checkpoints', 'latest.safetensors')
      const report = await evaluateCheckpoint({ checkpoints: [checkpoint], computeThreads: 1, logFile: join(base, 'evaluate.log') })
      expect(report.views).toEqual([views])
      expect({ step: 4, loss: report.loss, top1: report.top1, top5: report.top5, samples: report.samples }).toEqual(evaluations.at(-1))
    },
    3 * MINUTES,
  )
})
