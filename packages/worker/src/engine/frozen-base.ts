import type { LayersModel, Tensor, Tensor2D } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { baseFeatures } from '@lockstep/shared/models/base-features.js'
import { inputsOf, type LayerSpec, type Network } from '@lockstep/shared/models/network.js'
import type { TensorFlow } from './load-tensorflow.js'

/**
 * The layers before the first one that is trained. What they make of the pictures is computed outside of the gradient, so nothing of it
 * is kept for a backward pass; only the head after them is.
 */
export class FrozenBase {
  readonly #tf: TensorFlow
  readonly #network: Network
  readonly #model: LayersModel
  /** Up to the last frozen layer, with the same layers and weights. Never disposed of: the model does that. */
  readonly #base: LayersModel
  readonly #last: LayerSpec
  /** Its layers: the first so many of the network. */
  readonly count: number
  /** Of its output, without the batch dimension. */
  readonly shape: readonly number[]

  private constructor(tf: TensorFlow, network: Network, model: LayersModel, count: number) {
    const last = network.layers[count - 1]
    invariant(last !== undefined, 'a frozen base has layers')
    const rest = network.layers.slice(count).map((layer, index) => ({ layer, inputs: inputsOf(network, count + index) }))
    const later = new Set([last.name, ...rest.map(({ layer }) => layer.name)])
    invariant(
      rest.every(({ layer, inputs }) => layer.trainable !== false && inputs.every((name) => later.has(name))),
      'what is trained stands after all that is not and takes only its last output',
    )
    this.#tf = tf
    this.#network = network
    this.#model = model
    this.#base = tf.model({ inputs: model.inputs, outputs: model.getLayer(last.name).output })
    this.#last = last
    this.count = count
    this.shape = baseFeatures(network)?.shape ?? []
  }

  /** @returns undefined where the first layer is trained */
  static of(tf: TensorFlow, network: Network, model: LayersModel): FrozenBase | undefined {
    const count = network.layers.findIndex(({ trainable }) => trainable !== false)
    return count <= 0 ? undefined : new FrozenBase(tf, network, model, count)
  }

  /** Name of its last layer. */
  get last(): string {
    return this.#last.name
  }

  /** @param images [count, h, w, c] @returns the last frozen layer's output, the caller's to dispose of */
  features(images: Tensor): Tensor {
    return this.#tf.tidy(() => this.#base.apply(images, { training: false }) as Tensor)
  }

  /** The trained layers, with dropout and the micro-batch's own mean and variance. @returns what the last one yields; inside a tidy */
  outputs(features: Tensor): Tensor2D {
    const outputs = new Map<string, Tensor>([[this.#last.name, features]])
    let output = features
    for (const [index, { name }] of this.#network.layers.entries()) {
      if (index < this.count) continue
      const taken = inputsOf(this.#network, index).map((one) => {
        const found = outputs.get(one)
        invariant(found !== undefined, `${one} is computed before ${name}`)
        return found
      })
      const [only] = taken
      const input = only !== undefined && taken.length === 1 ? only : taken
      output = this.#model.getLayer(name).apply(input, { training: true }) as Tensor
      outputs.set(name, output)
    }
    return output as Tensor2D
  }
}
