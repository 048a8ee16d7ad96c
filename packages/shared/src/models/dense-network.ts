import { TrainError, invariant } from '../errors/train-error.js'
import type { LayerSpec, Network } from './network.js'
import { shapesOf } from './shapes.js'

type Convolution = Extract<LayerSpec, { type: 'convolution' }>

/**
 * A network as convolutions that can be laid over a picture of any size (Simonyan & Zisserman 2014, section 3.2): what stands behind the
 * flattening becomes convolutions, the first as large as the last feature map, the others 1×1; the class scores they yield at every
 * place, [rows, columns, classes], are averaged over the places. A network with global average pooling is that already.
 *
 * The parameters are the same vector: entry by entry the same name, place and length, and only the shape of a kernel is another
 * (in × out becomes rows × columns × channels × out, since flattening goes row after row with the channels last).
 * @param size height and width of the picture; left out: the network's own input, on which both networks give the same answer
 * @throws TrainError RECIPE_INVALID when behind the flattening stands something that is no fully connected layer, or there is none
 */
export function denseNetwork(network: Network, size?: readonly [height: number, width: number]): Network {
  const [height, width, channels] = network.inputShape
  const inputShape = [...(size ?? [height, width]), channels] as [number, number, number]
  const flattenAt = network.layers.findIndex(({ type }) => type === 'flatten')
  if (flattenAt < 0) {
    if (!network.layers.some(({ type }) => type === 'globalAveragePooling')) throw notDense(network, 'it has no head of them')
    return { ...network, inputShape }
  }
  const flatten = shapesOf(network)[flattenAt]
  invariant(flatten !== undefined, 'every layer has shapes')
  let kernel = squareSide(network, flatten.input)
  const head = network.layers.slice(flattenAt + 1).map((layer): LayerSpec => {
    if (layer.type === 'dropout') return layer
    if (layer.type !== 'dense' || layer.activation === 'sigmoid') throw notDense(network, `${layer.name} is none`)
    const { name, units, activation, useBias } = layer
    const convolution: Convolution = {
      ...{ type: 'convolution', name, filters: units, kernel, stride: 1, padding: 'valid', activation },
      ...(useBias === undefined ? {} : { useBias }),
    }
    kernel = 1
    return convolution
  })
  if (!head.some(({ type }) => type === 'convolution')) throw notDense(network, 'it has no head of them')
  return {
    ...network,
    inputShape,
    layers: [...network.layers.slice(0, flattenAt), ...head, { type: 'globalAveragePooling', name: 'score_average' }],
  }
}

function squareSide(network: Network, map: readonly number[]): number {
  const [rows = 0, columns = 0] = map
  if (rows !== columns) throw notDense(network, `its last feature map of ${String(rows)} × ${String(columns)} is not square`)
  return rows
}

function notDense({ name }: Network, why: string): TrainError {
  return new TrainError(
    'RECIPE_INVALID',
    `${name} cannot be evaluated densely: that takes fully connected layers behind the convolutions, and ${why}; use protocol center or multi-crop`,
  )
}
