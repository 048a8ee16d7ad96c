import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import type { Network } from '@lockstep/shared/models/network.js'
import type { Batch, BatchResult } from './batch.js'
import { Engine } from './engine.js'

export const SEED = 5
export const GLOBAL_BATCH = 12

/** An engine for a test, given back after it. */
export async function withEngine(network: Network, use: (engine: Engine) => void): Promise<void> {
  const engine = await Engine.create({ network, layout: layoutOf(network), seed: SEED, globalBatch: GLOBAL_BATCH })
  try {
    use(engine)
  } finally {
    engine.dispose()
  }
}

/** The flat gradient and the result. */
export function gradientOf(engine: Engine, network: Network, batch: Batch): { gradient: Float32Array; result: BatchResult } {
  const gradient = new Float32Array(layoutOf(network).size).fill(Number.NaN)
  const result = engine.gradient(batch, (entry, values) => {
    gradient.set(values, entry.offset)
  })
  return { gradient, result }
}
