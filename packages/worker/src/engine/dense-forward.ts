import type { LayersModel, Tensor, Tensor2D, Tensor4D, Variable } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { denseNetwork } from '@lockstep/shared/models/dense-network.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import type { LayerSpec, Network } from '@lockstep/shared/models/network.js'
import { Convolution } from './convolution.js'
import type { TensorFlow } from './load-tensorflow.js'

/**
 * A network laid over whole pictures (see {@link denseNetwork}), on the weights that the plain model has: its layers up to the
 * flattening as they are, and behind it convolutions whose kernels are the same memory in another shape.
 */
export class DenseForward {
  readonly #tf: TensorFlow
  /** Everything before the flattening; the whole model where there is none. */
  readonly #features: LayersModel
  readonly #head: readonly LayerSpec[]
  /** By name: the variable, and its shape in the dense network. */
  readonly #parameters = new Map<string, { readonly variable: Variable; readonly shape: readonly number[] }>()

  /**
   * @param variables of the plain model, in layout order
   * @throws TrainError RECIPE_INVALID when the network cannot be laid over whole pictures
   */
  constructor(tf: TensorFlow, { network }: { readonly network: Network }, model: LayersModel, variables: readonly Variable[]) {
    const dense = denseNetwork(network)
    this.#tf = tf
    const flatten = network.layers.findIndex(({ type }) => type === 'flatten')
    this.#head = flatten < 0 ? [] : dense.layers.slice(flatten)
    this.#features = flatten < 0 ? model : before(tf, model, network.layers[flatten]?.name ?? '')
    for (const [index, { name, shape }] of layoutOf(dense).entries.entries()) {
      const variable = variables[index]
      invariant(variable !== undefined, 'the dense network has the parameters of the plain one')
      this.#parameters.set(name, { variable, shape })
    }
  }

  /** @param images [count, height, width, 3] @returns [count, classes], class scores averaged over all places; inside a tidy */
  logits(images: Tensor): Tensor2D {
    const tf = this.#tf
    let values = this.#features.apply(images, { training: false }) as Tensor
    for (const layer of this.#head) {
      if (layer.type === 'convolution') {
        values = new Convolution(tf, layer).apply(
          values as Tensor4D,
          this.#parameter(`${layer.name}/kernel`) as Tensor4D,
          layer.useBias === false ? undefined : this.#parameter(`${layer.name}/bias`),
          true,
        )
      } else if (layer.type === 'globalAveragePooling') values = tf.mean(values, [1, 2])
      else invariant(layer.type === 'dropout', 'behind the features stand convolutions, dropout and the average')
    }
    return values as Tensor2D
  }

  #parameter(name: string): Tensor {
    const parameter = this.#parameters.get(name)
    invariant(parameter !== undefined, `the dense network has the parameter ${name}`)
    const { variable, shape } = parameter
    return shape.join() === variable.shape.join() ? variable : this.#tf.reshape(variable, [...shape])
  }
}

/** The part of a model that ends before a layer, with the same layers and weights. Never disposed of: the model does that. */
function before(tf: TensorFlow, model: LayersModel, layer: string): LayersModel {
  return tf.model({ inputs: model.inputs, outputs: model.getLayer(layer).input })
}
