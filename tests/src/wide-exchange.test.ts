import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Averager } from '@lockstep/averager/averager.js'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { Accumulators } from '@lockstep/worker/compute/accumulators.js'
import { WeightsMemory } from '@lockstep/worker/compute/weights-memory.js'
import { Exchange } from '@lockstep/worker/exchange/exchange.js'
import { Arena } from '@lockstep/shared/kernels/arena.js'

/**
 * More than sockets hold, both ways at once, inline. Node's HTTP/2 reads nothing while it waits to write: two sides that do so on one
 * connection wait for each other for ever.
 */
const IDENTITY = { run: 'wide', term: 1 }
const SIZE = 30_000_000
const WORKERS = 2
const STEPS = 4
const layout: ParameterLayout = { entries: [{ name: 'fc/kernel', shape: [SIZE], offset: 0, size: SIZE, kind: 'kernel' }], size: SIZE }
const statistics = { lossSum: 1, samples: 1, correctTop1: 0, correctTop5: 1 }

describe('an exchange of 120 MB each way, inline', () => {
  let averager: Averager
  let exchanges: Exchange[]
  let byteOffset: number

  beforeEach(async () => {
    averager = await Averager.start({
      ...{ ...IDENTITY, layout, leaves: WORKERS, microBatches: WORKERS, slices: 1, host: '127.0.0.1', insecureNetwork: false },
      optimizer: { type: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 0, decayOn: 'kernels' },
    })
    await averager.open(0)
    const arena = Arena.create()
    byteOffset = new Accumulators(arena, SIZE).byteOffset(0)
    const weights = WeightsMemory.create(SIZE)
    exchanges = Array.from(
      { length: WORKERS },
      () => new Exchange(IDENTITY, layout, averager.addresses, arena.memory, weights, { shareMemory: false }),
    )
  })

  afterEach(async () => {
    for (const exchange of exchanges) exchange.close()
    await averager.close()
  })

  it('comes to its end, step after step', async () => {
    for (let step = 0; step < STEPS; step++) {
      await averager.beginStep(step, 0.1)
      const reduced = once(averager, 'reduced')
      const received = exchanges.map(async ({ weights }) => await weights.receive(step + 1))
      const sent = exchanges.map(
        async (exchange, leaf) => await exchange.send({ step, node: { first: leaf, count: 1 }, byteOffset, statistics }),
      )
      expect(await Promise.all(sent)).toEqual(['taken', 'taken'])
      await reduced
      await averager.commit(step + 1)
      await Promise.all(received)
    }
    for (const { bytesAcknowledged, weights } of exchanges)
      expect([bytesAcknowledged, weights.bytesReceived]).toEqual([STEPS * SIZE * 4, STEPS * SIZE * 4])
  })
})
