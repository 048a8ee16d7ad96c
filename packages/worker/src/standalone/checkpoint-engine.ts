import { createHash } from 'node:crypto'
import { openCheckpoint, type Checkpoint } from '@lockstep/shared/checkpoint/checkpoint.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { Engine } from '../engine/engine.js'

/** A checkpoint's network with its weights, ready to compute. @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH, ENGINE_UNAVAILABLE */
export async function openCheckpointEngine(path: string): Promise<Engine> {
  const checkpoint = await openCheckpoint(path)
  try {
    const { metadata } = checkpoint
    const layout = layoutOf(metadata.network)
    const weights = await readWeights(checkpoint, layout)
    const engine = await Engine.create({
      network: metadata.network,
      layout,
      seed: metadata.seed,
      globalBatch: metadata.recipe.batch.global,
    })
    engine.setWeights(weights)
    return engine
  } finally {
    await checkpoint.close()
  }
}

/** The flat vector, its digest compared with the one the checkpoint states. */
async function readWeights(checkpoint: Checkpoint, layout: ParameterLayout): Promise<Float32Array> {
  const weights = new Float32Array(layout.size)
  for (const entry of layout.entries) {
    const found = checkpoint.tensors.get(entry.name)
    if (found !== undefined && found.shape.join() !== entry.shape.join()) {
      throw new TrainError(
        'CHECKPOINT_INVALID',
        `${checkpoint.path}: tensor ${entry.name} is ${found.shape.join(' × ')}, its network wants ${entry.shape.join(' × ')}; use another checkpoint`,
      )
    }
    weights.set(await checkpoint.read(entry.name), entry.offset)
  }
  const digest = createHash('sha256').update(new Uint8Array(weights.buffer)).digest('hex')
  if (digest !== checkpoint.metadata.weightsDigest) {
    throw new TrainError(
      'CHECKPOINT_INVALID',
      `${checkpoint.path} was changed or damaged: its weights do not have the digest it states; use another checkpoint`,
    )
  }
  return weights
}
