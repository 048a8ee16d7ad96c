import { Arena } from '@lockstep/shared/kernels/arena.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { parameterFloats, trainedPart, type ParameterEntry } from '@lockstep/shared/parameters/layout.js'
import { monotonicUs } from '@lockstep/shared/trace/clock.js'
import { isDense } from '@lockstep/shared/sampling/evaluation-views.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { parentPort, workerData } from 'node:worker_threads'
import { Engine } from '../engine/engine.js'
import { loadTensorFlow } from '../engine/load-tensorflow.js'
import { probeFingerprint } from '../engine/probe.js'
import { Accumulators } from './accumulators.js'
import { OWN_REGION, WeightsMemory } from './weights-memory.js'
import type { ComputeReady, ComputeReply, ComputeRequest, ComputeSetup } from './compute-messages.js'

/**
 * The computing thread of a worker process: it owns the engine and the accumulators and does what it is asked, one
 * request after the other. TensorFlow's operations block their thread, so nothing else may live here.
 */

const port = parentPort
invariant(port !== null, 'the compute thread has a parent')
const setup = workerData as ComputeSetup

const { recipe } = setup
const network = networkOf(recipe.model, setup.classes)
const layout = trainedPart(layoutOf(network))
const { labelSmoothing } = recipe.loss
const engine = await Engine.create({ network, layout, seed: recipe.seed, globalBatch: recipe.batch.global, labelSmoothing })
if (setup.frozen !== undefined) engine.setFrozen(new Float32Array(setup.frozen))
const arena = Arena.create()
const accumulators = new Accumulators(arena, layout.size)
const weights = WeightsMemory.attach(setup.weights, layout.size)

/** What depends on the question. */
type Answer = Omit<ComputeReply, 'id' | 'startUs' | 'seconds' | 'tensors'>

function answer(request: ComputeRequest): Answer {
  switch (request.kind) {
    case 'probe':
      return {
        probe: probeFingerprint(engine, {
          network,
          layout,
          seed: recipe.seed,
          batch: recipe.batch,
          evaluationBatch: recipe.evaluation.batch,
          cachesFeatures: recipe.model.cacheFeatures === true,
          ...(isDense(recipe.evaluation.protocol) ? { denseScales: recipe.evaluation.scales ?? [recipe.model.inputSize] } : {}),
        }),
      }
    case 'setWeights':
      if (request.region === OWN_REGION) engine.setWeights(weights.view(OWN_REGION))
      else engine.lendWeights(weights.view(request.region))
      return {}
    case 'gradient': {
      const { slot, mode, batch, timeLayers } = request
      const sink = (entry: ParameterEntry, values: Float32Array): void => {
        if (mode === 'copy') accumulators.copy(slot, entry, values)
        else accumulators.add(slot, entry, values)
      }
      // nothing starts from zero: a first addend is written where its sum will be
      const into = mode === 'copy' ? accumulators.view(slot) : undefined
      const { value, layers } = timeLayers
        ? engine.timedGradient(batch, sink, into)
        : { value: engine.gradient(batch, sink, into), layers: undefined }
      return { statistics: value, ...placeOf(slot), ...(layers === undefined ? {} : { layers }) }
    }
    case 'add':
      accumulators.merge(request.into, request.from)
      return placeOf(request.into)
    case 'renew':
      for (const slot of request.slots) accumulators.renew(slot)
      return {}
    case 'narrow':
      accumulators.narrow(request.slot, parameterFloats(layout))
      return {}
    case 'forgetResidual':
      accumulators.forgetResidual()
      return {}
    case 'evaluate':
      return { statistics: engine.evaluate(request.batch.images, request.batch.labels, request.batch.samples) }
    case 'logSoftmax':
      return { values: engine.logSoftmax(request.input) }
    case 'features':
      return { values: engine.features(request.images, request.count) }
  }
}

/** Where an accumulator lies, for this process and for others. */
function placeOf(slot: number): Pick<ComputeReply, 'byteOffset' | 'file'> {
  const byteOffset = accumulators.byteOffset(slot)
  const file = accumulators.file(slot)
  return { byteOffset, ...(file === undefined ? {} : { file }) }
}

/** The version of TensorFlow's own library, to explain a difference between engines. */
function nativeVersion(): string {
  const { binding } = loadTensorFlow().backend() as unknown as { binding: { TF_Version: string } }
  return binding.TF_Version
}

function describe(error: unknown): NonNullable<ComputeReply['error']> {
  if (!(error instanceof Error)) return { name: 'Error', code: undefined, message: String(error), stack: undefined }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return { name: error.name, code, message: error.message, stack: error.stack }
}

port.on('message', (request: ComputeRequest) => {
  const startUs = monotonicUs()
  let result: Answer
  try {
    result = answer(request)
  } catch (error) {
    result = { error: describe(error) }
  }
  const seconds = (monotonicUs() - startUs) / 1e6
  const reply: ComputeReply = { id: request.id, ...result, startUs, seconds, tensors: engine.tensors() }
  port.postMessage(reply)
})

const ready: ComputeReady = { ready: true, memory: arena.memory, tensorflow: nativeVersion() }
port.postMessage(ready)
