import { summaryOf } from '@lockstep/cli/measurement/statistics.js'
import { describeNetwork } from '@lockstep/shared/models/description.js'
import { exchangedBytes } from '@lockstep/shared/models/memory.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf, type Network } from '@lockstep/shared/models/network.js'
import { frozenPart, trainedPart, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { initializeParameter } from '@lockstep/shared/initialization/parameters.js'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'
import { Engine } from '@lockstep/worker/engine/engine.js'

/**
 * One micro-batch of transfer learning, VGG16 frozen and the head of Keras' example on it, beside the forward pass of the base alone and
 * the head alone, in turn in one process: it may take 1.1 times the base's forward pass and what the head takes. Processor time on one thread, so
 * that whatever else the machine does counts little.
 * `npm run bench -- transfer [ROUNDS]`. Exit code 1 when it takes more.
 */

const BATCH = 4
const INPUT_SIZE = 224
const CLASSES = 2
const AT_MOST = 1.1

const rounds = Number(process.argv[2] ?? 7)
// One thread, as a worker has it; read when TensorFlow is loaded.
Object.assign(process.env, { TF_NUM_INTRAOP_THREADS: '1', OMP_NUM_THREADS: '1', TF_NUM_INTEROP_THREADS: '1' })

const HEAD = [{ type: 'flatten' }, { type: 'dropout', rate: 0.5 }, { type: 'dense', units: 512 }, { type: 'dense', units: 128 }] as const
const model = modelSchema.parse({ base: 'vgg-d', inputSize: INPUT_SIZE, weights: 'none', trainable: false, head: HEAD })
const whole = networkOf(model, CLASSES)
const boundary = whole.layers.findIndex(({ trainable }) => trainable !== false)
const base: Network = {
  ...whole,
  classes: 512,
  layers: [...whole.layers.slice(0, boundary), { type: 'globalAveragePooling', name: 'end' }],
}
const head: Network = { ...whole, inputShape: [7, 7, 512], layers: whole.layers.slice(boundary) }

function valuesOf(network: Network, layout: ParameterLayout): Float32Array {
  const values = new Float32Array(layout.size)
  layout.entries.forEach(({ offset, size }, index) => {
    initializeParameter(network, layout, index, { method: 'he', std: 0.01 }, 1, values.subarray(offset, offset + size))
  })
  return values
}

async function engineOf(network: Network): Promise<Engine> {
  const layout = trainedPart(layoutOf(network))
  const frozen = frozenPart(layoutOf(network))
  const engine = await Engine.create({ network, layout, seed: 1, globalBatch: BATCH })
  if (frozen.size > 0) engine.setFrozen(valuesOf(network, frozen))
  engine.setWeights(valuesOf(network, layout))
  return engine
}

const picturesOf = ({ inputShape: [height, width, channels] }: Network): Float32Array =>
  Float32Array.from({ length: BATCH * height * width * channels }, (_, index) => Math.sin(index))

/** Processor time of this process, milliseconds. */
function milliseconds(work: () => unknown): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

const labels = Int32Array.from({ length: BATCH }, (_, index) => index % CLASSES)
const gradientOf = (engine: Engine, images: Float32Array): unknown =>
  engine.gradient({ images, labels, count: BATCH, firstPosition: 0 }, () => undefined)
const [wholeEngine, baseEngine, headEngine] = [await engineOf(whole), await engineOf(base), await engineOf(head)]
const [pictures, features] = [picturesOf(whole), picturesOf(head)]
const contenders: (readonly [name: string, sample: () => number])[] = [
  ['a micro-batch', () => milliseconds(() => gradientOf(wholeEngine, pictures))],
  ['the base, forward', () => milliseconds(() => baseEngine.predict(pictures, BATCH))],
  ['the head, forward and backward', () => milliseconds(() => gradientOf(headEngine, features))],
]
// the first pass of each makes memory and threads
for (const [, sample] of contenders) sample()

const { parameters, frozen } = describeNetwork(whole)
const travels = exchangedBytes({ layout: trainedPart(layoutOf(whole)), leaves: 1, workers: 1 })
const full = exchangedBytes({ layout: layoutOf(whole), leaves: 1, workers: 1 })
console.log(
  `VGG16, ${String(frozen)} parameters frozen, a head of ${String(parameters - frozen)}; micro-batch ${String(BATCH)}, ${String(INPUT_SIZE)} px, 1 thread`,
)
console.log(
  `a step of one worker sends ${String(travels.gradients)} bytes and receives as many; of the whole network ${String(full.gradients)}`,
)
const values = contenders.map((): number[] => [])
for (let round = 0; round < rounds; round++) contenders.forEach(([, sample], index) => values[index]?.push(sample()))
const medians = values.map((each, index) => {
  const { median, spread } = summaryOf(each)
  const [lower, upper] = spread.map((value) => value.toFixed(0))
  console.log(`  ${contenders[index]?.[0] ?? ''}: median ${median.toFixed(0)} ms, quartiles ${lower ?? ''} … ${upper ?? ''}`)
  return median
})
const [step = Number.NaN, forward = Number.NaN, own = Number.NaN] = medians
const factor = (step - own) / forward
console.log(`  the step less the head: ${factor.toFixed(3)} times the base's forward pass (at most ${String(AT_MOST)} wanted)`)
process.exitCode = factor <= AT_MOST ? 0 : 1
