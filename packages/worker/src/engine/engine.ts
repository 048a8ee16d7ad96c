import type { LayersModel, Tensor, Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { INPUT, inputsOf, type Network } from '@lockstep/shared/models/network.js'
import { elementsOf } from '@lockstep/shared/models/shapes.js'
import { frozenPart, isStatistic, type ParameterEntry, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { resultOf, type Batch, type BatchResult, type OnSample } from './batch.js'
import { buildModel, type BuiltModel } from './build-model.js'
import { BatchStatistics } from './batch-statistics.js'
import { DenseForward } from './dense-forward.js'
import { fillDropoutMask } from './dropout-mask.js'
import { FrozenBase } from './frozen-base.js'
import { loadTensorFlow, tensorflowVersion, type TensorFlow } from './load-tensorflow.js'
import { LayerTimes, type LayerTime } from './layer-times.js'
import { NetworkVariables } from './network-variables.js'
import { nearness, valuesOf } from './regression.js'
import { readInto } from './tensor-reader.js'

export interface EngineOptions {
  readonly network: Network
  /** What {@link Engine.setWeights} brings: what is trained, or all of the network where nothing is. */
  readonly layout: ParameterLayout
  readonly seed: number
  /** B: gradients are those of (1/B)·Σ loss. */
  readonly globalBatch: number
  /** s: targets of training are (1 − s) · one-hot + s / classes. Default: 0. */
  readonly labelSmoothing?: number
}

/**
 * One network on TensorFlow: gradients, evaluation, prediction. Synchronous, since TensorFlow's operations block their thread.
 * One engine's thread a process: the native binding has a global without a lock. Bits depend on the number of TensorFlow's
 * threads, which the environment fixes before the process starts (TF_NUM_INTRAOP_THREADS, OMP_NUM_THREADS).
 */
export class Engine {
  readonly #tf: TensorFlow
  readonly #options: EngineOptions
  readonly #model: LayersModel
  readonly #dropouts: BuiltModel['dropouts']
  readonly #statistics: BatchStatistics
  readonly #variables: NetworkVariables
  /** Those of parameters that have a gradient. */
  readonly #trained: readonly Variable[]
  /** What stands before the first layer that is trained. */
  readonly #base: FrozenBase | undefined
  /** Made when a whole picture is first asked for. */
  #dense: DenseForward | undefined
  /** Made when the times of layers are first asked for. */
  #layerTimes: LayerTimes | undefined

  private constructor(tf: TensorFlow, options: EngineOptions, built: BuiltModel) {
    this.#tf = tf
    this.#options = options
    this.#model = built.model
    this.#dropouts = built.dropouts
    this.#statistics = new BatchStatistics(tf, built.normalizations, options.layout)
    this.#variables = new NetworkVariables(tf, built.model, options.layout)
    this.#trained = this.#variables.all.filter((_, index) => hasGradient(options.layout.entries[index]))
    this.#base = FrozenBase.of(tf, options.network, built.model)
  }

  /**
   * Loads TensorFlow and builds the network; its weights are 0 until {@link setWeights}.
   * @throws TrainError ENGINE_UNAVAILABLE when TensorFlow cannot be loaded
   */
  static async create(options: EngineOptions): Promise<Engine> {
    const tf = loadTensorFlow()
    await tf.ready()
    return new Engine(tf, options, buildModel(tf, options.network))
  }

  /**
   * Copies the flat vector, parameters and batch statistics, into the network. The caller may overwrite `flat` as soon as this returns.
   * @param flat as long as the layout; may be a view of a SharedArrayBuffer
   */
  setWeights(flat: Float32Array): void {
    this.#variables.set(flat)
    this.#statistics.set(flat)
  }

  /**
   * {@link setWeights} without a copy: the network reads the vector where it lies, until weights are set again. Nothing of it is written to.
   * What is written to it meanwhile counts, or does not.
   */
  lendWeights(flat: Float32Array): void {
    this.#variables.lend(flat)
    this.#statistics.set(flat)
  }

  /** Copies what is not trained into the network, once. @param flat the flat vector of its frozen tensors */
  setFrozen(flat: Float32Array): void {
    new NetworkVariables(this.#tf, this.#model, frozenPart(layoutOf(this.#options.network))).set(flat)
  }

  /**
   * The gradient of (1/B)·Σ loss over the samples of a micro-batch, with dropout and the micro-batch's own mean and variance; of
   * batch statistics, in the place of a gradient, their new values as this micro-batch has them.
   * @param sink called once an entry that is trained, in layout order; its values are valid during the call only
   * @param into where gradients go instead, at their entries' offsets; the sink then brings batch statistics alone
   * @returns sums over the samples; a loss that is not finite is returned as it is
   */
  gradient(batch: Batch, sink: (entry: ParameterEntry, values: Float32Array) => void, into?: Float32Array): BatchResult {
    const tf = this.#tf
    const { layout, globalBatch, network } = this.#options
    const base = this.#base
    const inputs = this.#inputsOf(batch.images, batch.labels, batch.count, this.#sampleShape(batch))
    const masks = this.#setMasks(batch)
    const kept: Tensor[] = []
    const features = batch.features === true ? tf.clone(inputs.images) : base?.features(inputs.images)
    const { value, grads } = tf.variableGrads(() => {
      const logits = base === undefined || features === undefined ? this.#logits(inputs.images, true) : this.#scores(base.outputs(features))
      const losses = this.#lossesOf(logits, inputs.expected, this.#options.labelSmoothing ?? 0)
      kept.push(tf.keep(logits), tf.keep(losses))
      return tf.div(tf.sum(losses), globalBatch)
    }, [...this.#trained])
    features?.dispose()
    const [logits, losses] = kept.map((tensor) => tensor.dataSync<'float32'>())
    tf.dispose([value, kept, inputs.images, inputs.expected, masks])
    invariant(logits !== undefined && losses !== undefined, 'the forward pass kept its results')
    const result = resultOf(this.#ranked(logits), losses, batch.labels, batch.count, network.classes)
    const statistics = this.#statistics.take()
    if (!Number.isFinite(result.lossSum)) result.nonFiniteLayer = this.#firstNonFiniteLayer(batch)
    layout.entries.forEach((entry, index) => {
      if (entry.frozen === true) return
      const renewed = statistics.get(entry)
      if (renewed !== undefined) {
        sink(entry, renewed)
        return
      }
      const gradient = grads[this.#variables.all[index]?.name ?? '']
      invariant(gradient !== undefined, `${entry.name} has a gradient`)
      if (into === undefined) sink(entry, gradient.dataSync<'float32'>())
      else readInto(tf, gradient, into.subarray(entry.offset, entry.offset + entry.size))
      gradient.dispose()
    })
    return result
  }

  /** {@link gradient}, and how long each layer took, forwards and backwards. The bits are the same. */
  timedGradient(...given: Parameters<Engine['gradient']>): { readonly value: BatchResult; readonly layers: readonly LayerTime[] } {
    this.#layerTimes ??= new LayerTimes(this.#tf, this.#model)
    return this.#layerTimes.measure(() => this.gradient(...given))
  }

  /** The same forward pass once more, layer by layer. @returns see {@link BatchResult.nonFiniteLayer} */
  #firstNonFiniteLayer(batch: Batch): number {
    let found = this.#options.network.layers.length + 1
    this.visitLayers(batch, (index, values) => {
      if (values.every(Number.isFinite)) return true
      found = index + 1
      return false
    })
    return found
  }

  /**
   * The forward pass of a micro-batch layer by layer, with dropout: the only way to see what lies between pictures and loss. Where the batch
   * brings features, of the head alone.
   * @param visit called with a layer's index in Network.layers and its output, [count, …], in network order; the values are
   *   valid during the call only, and false ends the pass
   */
  visitLayers(batch: Batch, visit: (index: number, values: Float32Array) => boolean): void {
    const tf = this.#tf
    const { network } = this.#options
    const masks = this.#setMasks(batch)
    const [first, given] = batch.features === true && this.#base !== undefined ? [this.#base.count, this.#base.last] : [0, INPUT]
    const outputs = new Map<string, Tensor>([[given, tf.tensor(batch.images, [batch.count, ...this.#sampleShape(batch)])]])
    const readers = network.layers.flatMap((_, index) => (index < first ? [] : inputsOf(network, index)))
    for (const [index, { name }] of network.layers.entries()) {
      if (index < first) continue
      const names = inputsOf(network, index)
      const taken = names.map((one) => {
        const output = outputs.get(one)
        invariant(output !== undefined, `${one} is computed before ${name}`)
        return output
      })
      const [only] = taken
      const applied = this.#model
        .getLayer(name)
        .apply(only !== undefined && taken.length === 1 ? only : taken, { training: true }) as Tensor
      // A layer may hand on its input itself.
      const output = taken.includes(applied) ? tf.clone(applied) : applied
      outputs.set(name, output)
      if (!visit(index, output.dataSync<'float32'>())) break
      for (const one of names) {
        readers.splice(readers.indexOf(one), 1)
        if (readers.includes(one)) continue
        outputs.get(one)?.dispose()
        outputs.delete(one)
      }
    }
    tf.dispose([[...outputs.values()], masks])
    this.#statistics.drop()
  }

  /**
   * Loss and accuracy of one evaluation batch, without dropout. The batch always has its full size, since bits depend on it.
   * @param images [labels.length, h, w, 3], padded; @param samples how many of them count
   */
  evaluate(images: Float32Array, labels: Int32Array, samples: number, onSample?: OnSample): BatchResult {
    const tf = this.#tf
    const inputs = this.#inputsOf(images, labels, labels.length)
    const { logits, losses } = tf.tidy(() => {
      const scores = this.#logits(inputs.images, false)
      return { logits: scores, losses: this.#lossesOf(scores, inputs.expected, 0) }
    })
    const result = resultOf(
      this.#ranked(logits.dataSync<'float32'>()),
      losses.dataSync<'float32'>(),
      labels,
      samples,
      this.#options.network.classes,
      onSample,
    )
    tf.dispose([logits, losses, inputs.images, inputs.expected])
    return result
  }

  /** Soft-max of the network's outputs; of a regression the value. @param images [count, h, w, 3] @returns [count, classes], or [count] */
  predict(images: Float32Array, count: number): Float32Array {
    const tf = this.#tf
    const input = tf.tensor(images, [count, ...this.#options.network.inputShape])
    const output = tf.tidy(() => this.#answers(this.#logits(input, false), (logits) => tf.softmax(logits)))
    const probabilities = output.dataSync<'float32'>()
    tf.dispose([input, output])
    return probabilities
  }

  /**
   * Logarithm of the soft-max of the network's outputs, without dropout; of a regression the value.
   * @param input images [count, h, w, 3] of the network's own size; dense: [count, height, width, 3], no side shorter than that
   * @returns [count, classes], or [count]
   * @throws TrainError RECIPE_INVALID when the network cannot be laid over whole pictures
   */
  logSoftmax(input: { readonly images: Float32Array; readonly shape: readonly number[]; readonly kind: 'crop' | 'dense' }): Float32Array {
    const tf = this.#tf
    const images = tf.tensor(input.images, [...input.shape])
    const output = tf.tidy(() => {
      const logits = input.kind === 'dense' ? this.#scores(this.#whole(images)) : this.#logits(images, false)
      return this.#answers(logits, (values) => tf.logSoftmax(values))
    })
    const values = output.dataSync<'float32'>()
    tf.dispose([images, output])
    return values
  }

  /** What is said of every class; a value is said as it is. */
  #answers(logits: Tensor2D, ofClasses: (logits: Tensor2D) => Tensor): Tensor {
    return this.targets === undefined ? ofClasses(logits) : logits
  }

  /** Numbers [count, classes] that are greater the more is to be said for a class. @param logits flat */
  #ranked(logits: Float32Array): Float32Array | Float64Array {
    return this.targets === undefined ? logits : nearness(logits, this.targets)
  }

  /** [count, classes], or [count, 1] */
  #logits(images: Tensor, training: boolean): Tensor2D {
    return this.#scores(this.#model.apply(images, { training }) as Tensor2D)
  }

  /**
   * What the last layer yields, as logits [count, classes]. The one unit z of a binary network becomes (0, z): the soft-max of that is
   * (1 − σ(z), σ(z)), and its cross-entropy the binary one.
   */
  #scores(outputs: Tensor2D): Tensor2D {
    const tf = this.#tf
    return this.#options.network.task === 'binary' ? tf.concat([tf.zerosLike(outputs), outputs], 1) : outputs
  }

  #whole(images: Tensor): Tensor2D {
    this.#dense ??= new DenseForward(
      this.#tf,
      this.#options,
      this.#model,
      new NetworkVariables(this.#tf, this.#model, layoutOf(this.#options.network)).all,
    )
    return this.#dense.logits(images)
  }

  /**
   * What the frozen base makes of pictures, to be given back as {@link Batch.images}. Bits of one picture depend on the others and on
   * their number, so it is to be asked for the same ones together. @param images [count, h, w, c] @returns [count, …]
   */
  features(images: Float32Array, count: number): Float32Array {
    invariant(this.#base !== undefined, 'there is a frozen base')
    const input = this.#tf.tensor(images, [count, ...this.#options.network.inputShape])
    const output = this.#base.features(input)
    const values = output.dataSync<'float32'>()
    this.#tf.dispose([input, output])
    return values
  }

  /** TensorFlow's version, to explain a difference of fingerprints. */
  get version(): string {
    return tensorflowVersion(this.#tf)
  }

  get classes(): number {
    return this.#options.network.classes
  }

  /** Of a regression: the value of every class. */
  get targets(): readonly number[] | undefined {
    const { task, targets } = this.#options.network
    invariant(task !== 'regression' || targets !== undefined, 'the values of a regression are known before an engine is made')
    return task === 'regression' ? targets : undefined
  }

  /** Tensors alive in this process: constant over steps, or something leaks. */
  tensors(): number {
    return this.#tf.memory().numTensors
  }

  dispose(): void {
    this.#model.dispose()
  }

  /** Of what a batch brings of every sample: a picture, or features. */
  #sampleShape({ features }: Batch): readonly number[] {
    if (features !== true) return this.#options.network.inputShape
    invariant(this.#base !== undefined, 'features are those of a frozen base')
    return this.#base.shape
  }

  #inputsOf(
    images: Float32Array,
    labels: Int32Array,
    count: number,
    shape: readonly number[] = this.#options.network.inputShape,
  ): { images: Tensor; expected: Tensor1D } {
    const { targets } = this
    return {
      images: this.#tf.tensor(images, [count, ...shape]),
      expected: targets === undefined ? this.#tf.tensor1d(labels, 'int32') : this.#tf.tensor1d(valuesOf(labels, targets)),
    }
  }

  /**
   * The soft-max cross entropy of every sample [count], or the square of what is missing to its value. @param logits [count, classes], or [count, 1]
   * @param expected class numbers [count], or values
   * @param smoothing share of every label that is spread over all classes (Szegedy et al. 2016, section 7)
   */
  #lossesOf(logits: Tensor2D, expected: Tensor1D, smoothing: number): Tensor1D {
    const tf = this.#tf
    if (this.targets !== undefined) return tf.square(tf.sub<Tensor1D>(tf.reshape(logits, [-1]), expected))
    return tf.neg(tf.sum<Tensor1D>(tf.mul(this.#distributions(expected, smoothing), tf.logSoftmax(logits)), 1))
  }

  /** [count, classes]: (1 − s) · one-hot + s / classes. */
  #distributions(labels: Tensor1D, smoothing: number): Tensor2D {
    const tf = this.#tf
    const { classes } = this.#options.network
    const expected = tf.cast(tf.oneHot(labels, classes), 'float32') as Tensor2D
    return smoothing === 0 ? expected : tf.add(tf.mul(expected, 1 - smoothing), smoothing / classes)
  }

  #setMasks(batch: Batch): Tensor[] {
    return this.#dropouts.map(({ layer, index }) => {
      const units = elementsOf(layer.sampleShape)
      const mask = new Float32Array(batch.count * units)
      fillDropoutMask(mask, units, layer.rate, this.#options.seed, batch.firstPosition, index)
      layer.mask = this.#tf.tensor(mask, [batch.count, ...layer.sampleShape])
      return layer.mask
    })
  }
}

function hasGradient(entry: ParameterEntry | undefined): boolean {
  return entry !== undefined && !isStatistic(entry.kind) && entry.frozen !== true
}
