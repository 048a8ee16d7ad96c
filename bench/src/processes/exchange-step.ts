import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { Arena } from '@lockstep/shared/kernels/arena.js'
import { OWN_REGION, WeightsMemory } from '@lockstep/worker/compute/weights-memory.js'
import { Exchange } from '@lockstep/worker/exchange/exchange.js'
import { EXCHANGE_RUN, flatLayout } from '../method/exchanged-vector.js'

/**
 * A worker's side of the exchange and nothing else: exchange-step.js LEAF FLOATS. `connect ADDRESS[,ADDRESS…]`, one address a slice, makes
 * one more exchange, bodies inline, and is answered with its number; `step NUMBER VERSION` sends that step's gradient by it while
 * it receives the version after, and is answered with the milliseconds until each was over; `digest` is answered with that of the weights.
 */
const [leafText = '', floatsText = ''] = process.argv.slice(2)
const [leaf, floats] = [Number(leafText), Number(floatsText)]
const layout = flatLayout(floats)
const arena = Arena.create()
const byteOffset = arena.allocate(floats)
const weights = WeightsMemory.create(floats)
const values = arena.view(byteOffset, floats)
for (let index = 0; index < floats; index++) values[index] = ((index % 101) - 50) * (leaf + 1)
const exchanges: Exchange[] = []

function connect(addresses: readonly string[]): number {
  const identity = { ...EXCHANGE_RUN, worker: `worker-${String(leaf)}` }
  return exchanges.push(new Exchange(identity, layout, addresses, arena.memory, weights, { shareMemory: false })) - 1
}

async function step(exchange: Exchange, step: number): Promise<string> {
  const startMs = performance.now()
  const elapsed = (): number => performance.now() - startMs
  const received = exchange.weights.receive(step + 1).then(elapsed)
  const statistics = { lossSum: 1, samples: 1, correctTop1: 0, correctTop5: 1 }
  const outcome = await exchange.send({ step, node: { first: leaf, count: 1 }, byteOffset, statistics })
  const sentMs = elapsed()
  const receivedMs = await received
  if (outcome !== 'taken') throw new Error(`the averager found the gradient ${outcome}`)
  return `${String(sentMs)} ${String(receivedMs)}`
}

for await (const line of createInterface({ input: process.stdin })) {
  const [request, first = '', second = ''] = line.split(' ')
  const exchange = exchanges[Number(first)]
  if (request === 'connect') console.log(connect(first.split(',')))
  else if (request === 'step' && exchange !== undefined) console.log(await step(exchange, Number(second)))
  else console.log(createHash('sha256').update(weights.view(OWN_REGION)).digest('hex'))
}
for (const exchange of exchanges) exchange.close()
process.exit()
