import { parentPort, workerData } from 'node:worker_threads'
import type { Tensor } from '@tensorflow/tfjs-node-gpu'
import { Arena } from '@lockstep/shared/kernels/arena.js'
import type { WasmMemory } from '@lockstep/shared/kernels/web-assembly.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'
import type { SharedFile } from '@lockstep/shared/shared-memory/page-mapping.js'
import { Accumulators } from '@lockstep/worker/compute/accumulators.js'
import { OWN_REGION, WeightsMemory } from '@lockstep/worker/compute/weights-memory.js'
import { Engine } from '@lockstep/worker/engine/engine.js'
import { loadTensorFlow } from '@lockstep/worker/engine/load-tensorflow.js'
import { readInto } from '@lockstep/worker/engine/tensor-reader.js'

/**
 * What a worker's compute thread does with a gradient besides computing it: TensorFlow holds a gradient tensor a parameter from the start;
 * `read` brings them all into an accumulator, `assign` the weights vector into the network's variables.
 */

/** What the thread is given. */
export interface TensorsSetup {
  readonly network: string
  readonly inputSize: number
  readonly weights: WasmMemory
}

export type TensorsRequest = { readonly kind: 'read' } | { readonly kind: 'assign'; readonly region: number }

/** The first message: where the gradient lies. */
export interface TensorsReady {
  readonly memory: WasmMemory
  readonly byteOffset: number
  readonly file: SharedFile | undefined
}

if (parentPort === null) throw new Error('this is a thread of exchange-worker.js')
const port = parentPort
const { network: name, inputSize, weights } = workerData as TensorsSetup
const network = networkOf(modelSchema.parse({ name, inputSize, dropout: 0 }), 1000)
const layout = layoutOf(network)
const engine = await Engine.create({ network, layout, seed: 1, globalBatch: 1 })
const tf = loadTensorFlow()
const vector = WeightsMemory.attach(weights, layout.size)
const arena = Arena.create()
const accumulators = new Accumulators(arena, layout.size)
// of an operation's making: what JavaScript brought would be read back from JavaScript
const gradients = layout.entries.map(({ shape }, index): Tensor => tf.fill([...shape], (index % 7) * 1e-4 - 3e-4))

/** As the compute thread does. */
function bring(region: number): void {
  if (region === OWN_REGION) engine.setWeights(vector.view(region))
  else engine.lendWeights(vector.view(region))
}

port.on('message', (request: TensorsRequest) => {
  const startMs = performance.now()
  if (request.kind === 'assign') bring(request.region)
  else
    layout.entries.forEach((entry, index) => {
      const gradient = gradients[index]
      if (gradient !== undefined) readInto(tf, gradient, accumulators.view(0).subarray(entry.offset, entry.offset + entry.size))
    })
  port.postMessage({ ms: performance.now() - startMs })
})
const ready: TensorsReady = { memory: arena.memory, byteOffset: accumulators.byteOffset(0), file: accumulators.file(0) }
port.postMessage(ready)
