import { exchangedBytes } from '@lockstep/shared/models/memory.js'
import { describeNetwork } from '@lockstep/shared/models/description.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { trainedPart } from '@lockstep/shared/parameters/layout.js'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'
import { Narrator } from '@lockstep/cli/terminal/narrator.js'
import { measureCachedFeatures } from './method/cached-features.js'
import { transferEmoji } from './method/emoji-transfer.js'
import { AT_MOST, measureTransferCost } from './method/transfer-cost.js'

/**
 * Transfer learning. `npm run bench -- transfer`: what a micro-batch costs on Keras' example, VGG16 frozen and a small head on it, beside the
 * forward pass of the base. `npm run bench -- transfer emoji`: recipes/emoji-base.yaml and emoji-transfer.yaml trained, what travelled, what a
 * step costs, and how right the head is beside the nearest neighbour on pixels and the same network from random weights.
 * `npm run bench -- transfer features`: the same head with its base's features cached and not, in turn, seconds of a step.
 * A number at the end: rounds of the measurement of costs. Exit code 1 when a claim does not hold.
 */

const BATCH = 4
const CLASSES = 2
const HEAD = [{ type: 'flatten' }, { type: 'dropout', rate: 0.5 }, { type: 'dense', units: 512 }, { type: 'dense', units: 128 }] as const

async function measureVgg16(narrator: Narrator, rounds: number): Promise<boolean> {
  const model = modelSchema.parse({ base: 'vgg-d', weights: 'none', trainable: false, head: HEAD })
  const network = networkOf(model, CLASSES)
  const { parameters, frozen } = describeNetwork(network)
  const [travels, full] = [trainedPart(layoutOf(network)), layoutOf(network)].map((layout) =>
    exchangedBytes({ layout, leaves: 1, workers: 1 }),
  )
  narrator.line(
    `VGG16, ${String(frozen)} parameters frozen, a head of ${String(parameters - frozen)}; micro-batch ${String(BATCH)}, 1 thread`,
  )
  narrator.line(
    `a step of one worker sends ${String(travels?.gradients)} bytes and receives as many; of the whole network ${String(full?.gradients)}`,
  )
  const { factor, lines } = await measureTransferCost(model, CLASSES, BATCH, rounds)
  for (const line of lines) narrator.line(`  ${line}`)
  return factor <= AT_MOST
}

// One thread, as a worker has it; read when TensorFlow is loaded.
Object.assign(process.env, { TF_NUM_INTRAOP_THREADS: '1', OMP_NUM_THREADS: '1', TF_NUM_INTEROP_THREADS: '1' })
const words = process.argv.slice(2)
const rounds = Number(words.find((word) => /^\d+$/.test(word)) ?? 7)
const narrator = new Narrator({ silent: false })
let holds = true
if (words.includes('features')) await measureCachedFeatures(narrator, rounds)
else holds = words.includes('emoji') ? await transferEmoji(narrator, rounds) : await measureVgg16(narrator, rounds)
narrator.settle()
process.exitCode = holds ? 0 : 1
