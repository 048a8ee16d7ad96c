import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Worker } from 'node:worker_threads'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'
import { WeightsMemory } from '@lockstep/worker/compute/weights-memory.js'
import { Exchange } from '@lockstep/worker/exchange/exchange.js'
import type { TensorsReady, TensorsRequest, TensorsSetup } from './exchange-tensors.js'

/**
 * A worker that exchanges and does not compute: exchange-worker.js NETWORK INPUT_SIZE RUN LEAF ADDRESS…. Answers each line with a line of
 * JSON: `send WAY STEP` brings the gradient out of TensorFlow and to the averager, `take WAY VERSION` the committed weights into TensorFlow's
 * variables; WAY is `shared` or `inline`.
 */
const [name = '', sizeText = '', run = '', leafText = '', ...addresses] = process.argv.slice(2)
const inputSize = Number(sizeText)
const layout = layoutOf(networkOf(modelSchema.parse({ name, inputSize, dropout: 0 }), 1000))
const node = { first: Number(leafText), count: 1 }
const weights = WeightsMemory.create(layout.size)
const setup: TensorsSetup = { network: name, inputSize, weights: weights.memory }
const thread = new Worker(new URL('./exchange-tensors.js', import.meta.url), { workerData: setup })
const [{ memory, byteOffset, file }] = (await once(thread, 'message')) as [TensorsReady]
const identity = { run, term: 1, worker: `worker-${leafText}` }
const exchanges = new Map(
  ['shared', 'inline'].map((way) => [way, new Exchange(identity, layout, addresses, memory, weights, { shareMemory: way === 'shared' })]),
)

async function ask(request: TensorsRequest): Promise<number> {
  const answer = once(thread, 'message')
  thread.postMessage(request)
  const [{ ms }] = (await answer) as [{ ms: number }]
  return ms
}

console.log(JSON.stringify({ parameters: layout.size }))
for await (const line of createInterface({ input: process.stdin })) {
  const [what, way = '', number] = line.split(' ')
  const exchange = exchanges.get(way)
  if (exchange === undefined) throw new Error(`no way to exchange is called ${way}`)
  const version = Number(number)
  const startMs = performance.now()
  if (what === 'send') {
    const readMs = await ask({ kind: 'read' })
    exchange.weights.want(version + 1)
    const statistics = { lossSum: 1, samples: 1, correctTop1: 0, correctTop5: 0 }
    const outcome = await exchange.send({ step: version, node, byteOffset, statistics, file: exchange.mayLend ? file : undefined })
    if (outcome !== 'taken') throw new Error(`the averager did not take the gradient of step ${String(version)}`)
    console.log(JSON.stringify({ readMs, sendMs: performance.now() - startMs - readMs }))
  } else {
    const region = await exchange.weights.receive(version)
    const receiveMs = performance.now() - startMs
    console.log(JSON.stringify({ receiveMs, assignMs: await ask({ kind: 'assign', region }) }))
  }
}
process.exit()
