import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { TensorRole } from '../foreign-model.js'

/** Names of variables in Keras' files, of every age: layer and role from them. Pure. */

const ROLES: Readonly<Record<string, TensorRole>> = {
  ...{ kernel: 'kernel', W: 'kernel', bias: 'bias', b: 'bias', gamma: 'gamma', beta: 'beta' },
  ...{ moving_mean: 'moving_mean', running_mean: 'moving_mean' },
  ...{ moving_variance: 'moving_variance', moving_var: 'moving_variance', running_std: 'moving_variance' },
}

/**
 * Keras 2 writes `block1_conv1/kernel:0`, Keras 3 `block1_conv1/kernel`, below the group of the layer or of a model within the
 * model. Keras 1, and so the files of keras.applications, writes `block1_conv1_W_1:0`.
 * @param group the layer's group, which names the layer where the variable does not
 * @throws TrainError CHECKPOINT_MISMATCH for a variable of a layer that Lockstep does not know
 */
export function placeOfVariable(variable: string, group: string, file: string): { layer: string; role: TensorRole } {
  const parts = variable.replace(/:\d+$/, '').split('/')
  const last = parts.at(-1) ?? ''
  const old = parts.length === 1 ? /^(?:.*_)?(W|b|gamma|beta|running_mean|running_std)(?:_\d+)?$/.exec(last) : null
  const role = ROLES[old?.[1] ?? last]
  if (role === undefined)
    throw new TrainError('CHECKPOINT_MISMATCH', `${file}: variable ${variable} belongs to a layer (${group}) that Lockstep does not know`)
  return { layer: parts.at(-2) ?? group, role }
}

/** Roles by number, as Keras 3 keeps the variables of a layer. @param shapes of all variables of one layer, in order */
export function rolesOfShapes(shapes: readonly (readonly number[])[]): TensorRole[] | undefined {
  if (shapes[0] !== undefined && shapes[0].length > 1 && shapes.length <= 2) return shapes.length === 2 ? ['kernel', 'bias'] : ['kernel']
  if (shapes.length === 4 && shapes.every((shape) => shape.length === 1)) return ['gamma', 'beta', 'moving_mean', 'moving_variance']
  return undefined
}
