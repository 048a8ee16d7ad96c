import { createInterface } from 'node:readline'
import { initializeParameter } from '@lockstep/shared/initialization/parameters.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'
import { Engine } from '@lockstep/worker/engine/engine.js'

/**
 * Answers each line of its input with the milliseconds of one leaf gradient, forward, backward and read back into JavaScript:
 * engine-step.js NETWORK BATCH INPUT_SIZE. The first answer is the number of parameters. Threads come from the environment.
 */
const [name = '', batchText = '', sizeText = ''] = process.argv.slice(2)
const [count, inputSize] = [Number(batchText), Number(sizeText)]
const network = networkOf(modelSchema.parse({ name, inputSize, dropout: 0 }), 1000)
const layout = layoutOf(network)
const engine = await Engine.create({ network, layout, seed: 1, globalBatch: count })
const weights = new Float32Array(layout.size)
layout.entries.forEach((entry, index) => {
  const tensor = weights.subarray(entry.offset, entry.offset + entry.size)
  initializeParameter(network, layout, index, { method: 'he', std: 0.01 }, 1, tensor)
})
engine.setWeights(weights)
const images = Float32Array.from({ length: count * inputSize * inputSize * 3 }, (_, index) => Math.sin(index))
const labels = Int32Array.from({ length: count }, (_, index) => index)

let greeted = false
for await (const _line of createInterface({ input: process.stdin })) {
  if (!greeted) {
    greeted = true
    console.log(layout.size)
    continue
  }
  const startMs = performance.now()
  let floats = 0
  engine.gradient({ images, labels, count, firstPosition: 0 }, (_entry, values) => {
    floats += values.length
  })
  console.log(floats === layout.size ? performance.now() - startMs : Number.NaN)
}
engine.dispose()
