import { isStatistic, type ParameterEntry, type ParameterLayout } from '../parameters/layout.js'
import type { Network } from './network.js'
import { elementsOf, shapesOf } from './shapes.js'

/** What Keras calls a layer's tensors. */
const TENSOR_NAMES: Record<ParameterEntry['kind'], string> = {
  kernel: 'kernel',
  bias: 'bias',
  gamma: 'gamma',
  beta: 'beta',
  movingMean: 'moving_mean',
  movingVariance: 'moving_variance',
}

/** All tensors of a network as one flat vector, trained or not: kernel and bias, or gamma and beta, of every layer in network order, then all batch statistics. */
export function layoutOf(network: Network): ParameterLayout {
  const tensors = shapesOf(network).flatMap(({ layer, tensors: own }) =>
    own.map(({ kind, shape }) => ({
      ...{ name: `${layer.name}/${TENSOR_NAMES[kind]}`, shape, kind },
      ...(layer.trainable === false ? { frozen: true as const } : {}),
    })),
  )
  const ordered = [...tensors.filter(({ kind }) => !isStatistic(kind)), ...tensors.filter(({ kind }) => isStatistic(kind))]
  let end = 0
  const entries = ordered.map(({ shape, ...tensor }): ParameterEntry => {
    const [offset, size] = [end, elementsOf(shape)]
    end += size
    return { ...tensor, shape, offset, size }
  })
  return { entries, size: end }
}
