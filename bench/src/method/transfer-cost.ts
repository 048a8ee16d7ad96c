import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf, type Network } from '@lockstep/shared/models/network.js'
import { shapesOf } from '@lockstep/shared/models/shapes.js'
import { frozenPart, trainedPart, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { initializeParameter } from '@lockstep/shared/initialization/parameters.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { Engine } from '@lockstep/worker/engine/engine.js'
import { summaryOf } from '@lockstep/cli/measurement/statistics.js'

/** What a micro-batch on a frozen base may take: so many times the base's forward pass, and what the head takes. */
export const AT_MOST = 1.1

export interface TransferCost {
  /** (a micro-batch − the head) / the base's forward pass, medians of processor time. */
  readonly factor: number
  /** One a contender, for people. */
  readonly lines: readonly string[]
}

/**
 * One micro-batch of transfer learning beside the forward pass of the base alone and the head alone, in turn in this process. Processor time
 * of one thread, so that whatever else the machine does counts little. The environment has to allow one thread alone.
 * @param batch pictures of the micro-batch
 */
export async function measureTransferCost(model: Recipe['model'], classes: number, batch: number, rounds: number): Promise<TransferCost> {
  const whole = networkOf(model, classes)
  const boundary = whole.layers.findIndex(({ trainable }) => trainable !== false)
  const features = shapesOf(whole)[boundary - 1]?.output ?? []
  const [height = 1, width = 1, channels = 1] = features
  const base: Network = {
    ...whole,
    classes: channels,
    layers: [...whole.layers.slice(0, boundary), { type: 'globalAveragePooling', name: 'end' }],
  }
  const head: Network = { ...whole, inputShape: [height, width, channels], layers: whole.layers.slice(boundary) }
  const labels = Int32Array.from({ length: batch }, (_, index) => index % classes)
  const [wholeEngine, baseEngine, headEngine] = [await engineOf(whole, batch), await engineOf(base, batch), await engineOf(head, batch)]
  const gradientOf = (engine: Engine, images: Float32Array): unknown =>
    engine.gradient({ images, labels, count: batch, firstPosition: 0 }, () => undefined)
  const [pictures, maps] = [picturesOf(whole, batch), picturesOf(head, batch)]
  const contenders: (readonly [name: string, sample: () => number])[] = [
    ['a micro-batch', () => milliseconds(() => gradientOf(wholeEngine, pictures))],
    ['the base, forward', () => milliseconds(() => baseEngine.predict(pictures, batch))],
    ['the head, forward and backward', () => milliseconds(() => gradientOf(headEngine, maps))],
  ]
  // the first pass of each makes memory and threads
  for (const [, sample] of contenders) sample()
  const values = contenders.map((): number[] => [])
  for (let round = 0; round < rounds; round++) contenders.forEach(([, sample], index) => values[index]?.push(sample()))
  for (const engine of [wholeEngine, baseEngine, headEngine]) engine.dispose()
  const summaries = values.map((each) => summaryOf(each))
  const lines = summaries.map(({ median, spread }, index) => {
    const [lower, upper] = spread.map((value) => value.toFixed(1))
    return `${contenders[index]?.[0] ?? ''}: median ${median.toFixed(1)} ms, quartiles ${lower ?? ''} … ${upper ?? ''}`
  })
  const [step = Number.NaN, forward = Number.NaN, own = Number.NaN] = summaries.map(({ median }) => median)
  const factor = (step - own) / forward
  return {
    factor,
    lines: [...lines, `the step less the head: ${factor.toFixed(3)} times the base's forward pass (at most ${String(AT_MOST)} wanted)`],
  }
}

function valuesOf(network: Network, layout: ParameterLayout): Float32Array {
  const values = new Float32Array(layout.size)
  layout.entries.forEach(({ offset, size }, index) => {
    initializeParameter(network, layout, index, { method: 'he', std: 0.01 }, 1, values.subarray(offset, offset + size))
  })
  return values
}

async function engineOf(network: Network, globalBatch: number): Promise<Engine> {
  const layout = trainedPart(layoutOf(network))
  const frozen = frozenPart(layoutOf(network))
  const engine = await Engine.create({ network, layout, seed: 1, globalBatch })
  if (frozen.size > 0) engine.setFrozen(valuesOf(network, frozen))
  engine.setWeights(valuesOf(network, layout))
  return engine
}

function picturesOf({ inputShape: [height, width, channels] }: Network, batch: number): Float32Array {
  return Float32Array.from({ length: batch * height * width * channels }, (_, index) => Math.sin(index))
}

/** Processor time of this process, milliseconds. */
function milliseconds(work: () => unknown): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
