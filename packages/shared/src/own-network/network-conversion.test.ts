import { describe, expect, it } from 'vitest'
import { TrainError } from '../errors/train-error.js'
import { describeNetwork } from '../models/description.js'
import { networkOf } from '../models/network.js'
import { modelSchema } from '../recipe/schema.js'
import { convertNetwork, type ConversionOptions } from './network-conversion.js'

type Config = Record<string, unknown>
interface Node {
  readonly class_name: string
  readonly config: Config
}

const OPTIONS: ConversionOptions = { source: 'mine.mjs', inputSize: 12, units: 3, task: 'classes' }

const node = (className: string, name: string, config: Config = {}): Node => ({ class_name: className, config: { name, ...config } })
const conv = (name: string, config: Config = {}): Node =>
  node('Conv2D', name, { filters: 4, kernel_size: [3, 3], strides: [1, 1], padding: 'same', activation: 'relu', use_bias: true, ...config })
const dense = (name: string, units: number, config: Config = {}): Node => node('Dense', name, { units, activation: 'linear', ...config })
const flatten = node('Flatten', 'flat')
const last = dense('out', 3)

/** Layers one behind the other, on pictures of 12 pixels. */
function chain(...layers: Node[]): Config {
  const [first, ...others] = layers
  const shaped = { ...first, config: { ...first?.config, batch_input_shape: [null, 12, 12, 3] } }
  return { class_name: 'Sequential', config: { name: 'sequential_1', layers: [shaped, ...others] } }
}

/** A graph as tfjs writes it: every layer with the names of those it takes, one list a call. */
function graph(nodes: readonly (readonly [Node, ...string[][]])[], outputs = ['out'], inputs = ['picture']): Config {
  const input = { ...node('InputLayer', 'picture', { batch_input_shape: [null, 12, 12, 3] }), name: 'picture', inbound_nodes: [] }
  const layers = nodes.map(([layer, ...calls]) => ({
    ...layer,
    name: layer.config.name,
    inbound_nodes: calls.map((names) => names.map((name) => [name, 0, 0, {}])),
  }))
  const places = (names: readonly string[]): unknown[] => names.map((name) => [name, 0, 0])
  return {
    class_name: 'Model',
    config: { name: 'model', layers: [input, ...layers], input_layers: places(inputs), output_layers: places(outputs) },
  }
}

const convert = (config: unknown, changes: Partial<ConversionOptions> = {}) => convertNetwork(config, { ...OPTIONS, ...changes })

/** The one line of a refusal. */
function refusal(config: unknown, changes: Partial<ConversionOptions> = {}): string {
  try {
    convert(config, changes)
  } catch (error) {
    if (!(error instanceof TrainError)) throw error
    expect(error.code).toBe('RECIPE_INVALID')
    expect(error.message).not.toContain('\n')
    return error.message
  }
  return 'it was taken'
}

describe('what is taken', () => {
  it('a chain, its last layer called predictions, without its soft-max', () => {
    const { layers, channels, notes } = convert(
      chain(
        conv('c1', { strides: [2, 2], use_bias: false }),
        node('MaxPooling2D', 'p', { pool_size: [2, 2], strides: null }),
        flatten,
        dense('out', 3, { activation: 'softmax' }),
      ),
    )
    expect(channels).toBe(3)
    expect(layers).toEqual([
      { type: 'convolution', name: 'c1', filters: 4, kernel: 3, stride: 2, padding: 'same', activation: 'relu', useBias: false },
      { type: 'maxPooling', name: 'p', size: 2, stride: 2 },
      { type: 'flatten', name: 'flat' },
      { type: 'dense', name: 'predictions', units: 3, activation: 'linear' },
    ])
    expect(notes).toEqual([
      'mine.mjs: the softmax of the last layer, out, is part of the loss here',
      'mine.mjs: the last layer, out, is called predictions here',
    ])
    const model = modelSchema.parse({ layers, inputSize: 12 })
    expect(describeNetwork(networkOf(model, 3)).parameters).toBe(3 * 9 * 4 + 36 * 3 + 3)
  })

  it('functions: part of the layer before where nobody else takes it, else a layer', () => {
    const { layers } = convert(
      graph([
        [conv('c1', { activation: 'linear' }), ['picture']],
        [node('BatchNormalization', 'bn', { axis: -1, momentum: 0.9, epsilon: 0.001 }), ['c1']],
        [node('ReLU', 'r1'), ['bn']],
        [conv('c2', { activation: 'tanh' }), ['r1']],
        [node('LeakyReLU', 'leaky', { alpha: 0.2 }), ['c2']],
        [node('Add', 'sum'), ['r1', 'leaky', 'bn']],
        [node('GlobalAveragePooling2D', 'gap'), ['sum']],
        [last, ['gap']],
      ]),
    )
    expect(layers.map(({ name, type, inputs }) => [name, type, inputs?.join(' ')])).toEqual([
      ['c1', 'convolution', undefined],
      ['bn', 'batchNormalization', undefined],
      ['r1', 'activation', undefined],
      ['c2', 'convolution', undefined],
      ['c2_tanh', 'activation', undefined],
      ['leaky', 'activation', undefined],
      ['sum_1', 'add', 'r1 leaky'],
      ['sum', 'add', 'sum_1 bn'],
      ['gap', 'globalAveragePooling', undefined],
      ['predictions', 'dense', undefined],
    ])
    expect(layers[5]).toMatchObject({ function: 'leakyRelu', slope: 0.2 })
    const alone = convert(
      chain(
        conv('c', { activation: 'linear' }),
        node('BatchNormalization', 'bn'),
        node('Activation', 'r', { activation: 'relu' }),
        flatten,
        last,
      ),
    )
    expect(alone.layers[1]).toEqual({ type: 'batchNormalization', name: 'bn', activation: 'relu', momentum: 0.99, epsilon: 0.001 })
    expect(alone.layers).toHaveLength(4)
  })

  it('zeros around the picture as the padding of the convolution behind them; a branch that joins; dropout without its seed', () => {
    const { layers, notes } = convert(
      graph([
        [
          node('ZeroPadding2D', 'zeros', {
            padding: [
              [2, 2],
              [2, 2],
            ],
          }),
          ['picture'],
        ],
        [conv('wide', { padding: 'valid', kernel_size: 5 }), ['zeros']],
        [conv('narrow', { kernel_size: 1, filters: 2 }), ['picture']],
        [node('Concatenate', 'both', { axis: -1 }), ['wide', 'narrow']],
        [node('AveragePooling2D', 'ap', { pool_size: 2, strides: 2, padding: 'same' }), ['both']],
        [node('Dropout', 'drop', { rate: 0.5, seed: 3 }), ['ap']],
        [node('Dropout', 'none', { rate: 0 }), ['drop']],
        [flatten, ['none']],
        [
          dense('out', 3, {
            bias_initializer: { class_name: 'Ones', config: {} },
            kernel_initializer: { class_name: 'HeNormal', config: {} },
          }),
          ['flat'],
        ],
      ]),
    )
    expect(layers).toEqual([
      { type: 'convolution', name: 'wide', filters: 4, kernel: 5, stride: 1, padding: 2, activation: 'relu' },
      { type: 'convolution', name: 'narrow', filters: 2, kernel: 1, stride: 1, padding: 'same', activation: 'relu', inputs: ['input'] },
      { type: 'concatenate', name: 'both', inputs: ['wide', 'narrow'] },
      { type: 'averagePooling', name: 'ap', size: 2, stride: 2, padding: 'same' },
      { type: 'dropout', name: 'drop', rate: 0.5 },
      { type: 'flatten', name: 'flat' },
      { type: 'dense', name: 'predictions', units: 3, activation: 'linear', initialBias: 1 },
    ])
    expect(notes.join('\n')).toMatch(/the seed of drop is not used[^]*first weights are those of the recipe/)
    expect(networkOf(modelSchema.parse({ layers, inputSize: 12 }), 3).layers).toEqual(layers)
  })

  it('the graph as Keras 3 writes it, one channel, one sigmoid unit', () => {
    const tensor = (name: string): unknown => ({ class_name: '__keras_tensor__', config: { keras_history: [name, 0, 0] } })
    const layer = (one: Node, ...inputs: string[]): unknown => ({
      ...one,
      name: one.config.name,
      inbound_nodes: [{ args: inputs.map(tensor), kwargs: {} }],
    })
    const input = { ...node('InputLayer', 'x', { batch_shape: [null, 12, 12, 1], dtype: 'float32' }), name: 'x', inbound_nodes: [] }
    const gap = node('GlobalAveragePooling2D', 'gap', { dtype: { class_name: 'DTypePolicy', config: { name: 'float32' } } })
    const layers = [input, layer(conv('c'), 'x'), layer(gap, 'c'), layer(dense('z', 1, { activation: 'sigmoid' }), 'gap')]
    const converted = convert(
      { class_name: 'Functional', config: { layers, input_layers: ['x', 0, 0], output_layers: ['z', 0, 0] } },
      { task: 'binary', units: 1 },
    )
    expect(converted.channels).toBe(1)
    expect(converted.layers.at(-1)).toEqual({ type: 'dense', name: 'predictions', units: 1, activation: 'linear' })
  })
})

describe('what is refused, in one line with layer, class, reason and remedy', () => {
  it.each([
    [
      'a recurrent layer',
      chain(node('LSTM', 'memory'), last),
      /layer memory \(LSTM\) works on sequences and keeps a state.*do without it$/,
    ],
    [
      'noise',
      chain(node('GaussianNoise', 'noise'), flatten, last),
      /layer noise \(GaussianNoise\) draws random numbers of its own.*use dropout/,
    ],
    [
      'a class of their own',
      chain(node('MyLayer', 'mine'), flatten, last),
      /layer mine \(MyLayer\) is no layer that Lockstep has; use conv2d,/,
    ],
    [
      'a model inside',
      chain(node('Sequential', 'inner'), flatten, last),
      /layer inner \(Sequential\) is a model inside.*put its layers in its place/,
    ],
    ['rescaling', chain(node('Rescaling', 'r'), flatten, last), /data\.normalize.*leave it out/],
    [
      'a regularizer',
      chain(conv('c', { kernel_regularizer: { class_name: 'L1L2' } }), flatten, last),
      /kernelRegularizer.*optimizer\.weightDecay/,
    ],
    ['a constraint', chain(conv('c', { bias_constraint: { class_name: 'MaxNorm' } }), flatten, last), /biasConstraint.*leave it out/],
    ['frozen layers', chain(conv('c', { trainable: false }), flatten, last), /not to be trained.*model\.base and model\.weights/],
    ['half precision', chain(conv('c', { dtype: 'float16' }), flatten, last), /computes in float16; only float32/],
    ['oblong kernels', chain(conv('c', { kernel_size: [3, 1] }), flatten, last), /kernel of \[3,1\]; only square/],
    ['dilation', chain(conv('c', { dilation_rate: [2, 2] }), flatten, last), /dilated; leave dilationRate out/],
    ['channels first', chain(conv('c', { data_format: 'channels_first' }), flatten, last), /channels first; use channelsLast/],
    ['an odd function', chain(conv('c', { activation: 'exponential' }), flatten, last), /activation exponential.*use linear, relu/],
    ['a soft-max inside', chain(conv('c', { activation: 'softmax' }), flatten, last), /soft-max inside.*only the last layer/],
    [
      'another end',
      chain(flatten, dense('out', 3, { activation: 'tanh' })),
      /layer out \(Dense\) is the last one and has the activation tanh; end in softmax, or in none$/,
    ],
    [
      'a sigmoid for classes',
      chain(flatten, dense('out', 3, { activation: 'sigmoid' })),
      /end in softmax, or in none; for one unit and two classes say model\.task: binary/,
    ],
    [
      'another number of classes',
      chain(flatten, dense('out', 10)),
      /last layer, out, yields 10 values a picture, the data has 3 classes; make its last layer/,
    ],
    ['one unit', chain(flatten, dense('out', 1)), /yields 1 values.*or set model\.task: binary/],
    ['dense on maps', chain(conv('c'), dense('out', 3)), /layer out \(Dense\) takes maps of 12 × 12 × 4; put flatten/],
    [
      'zeros elsewhere',
      chain(node('ZeroPadding2D', 'z', { padding: 1 }), node('MaxPooling2D', 'p'), flatten, last),
      /layer p \(MaxPooling2D\) stands behind zeroPadding2d/,
    ],
    [
      'uneven zeros',
      chain(
        node('ZeroPadding2D', 'z', {
          padding: [
            [0, 1],
            [0, 1],
          ],
        }),
        conv('c', { padding: 'valid' }),
        flatten,
        last,
      ),
      /only as many on each/,
    ],
    ['a name that tensors cannot bear', chain(conv('a/b'), flatten, last), /layer a\/b \(Conv2D\) has a name that no tensor may bear/],
    ['a name twice', chain(conv('c'), conv('c'), flatten, last), /layer c \(Conv2D\) would be called c, and so is another layer/],
    [
      'normalized rows',
      chain(node('BatchNormalization', 'bn', { axis: 1 }), flatten, last),
      /layer bn .*along axis 1; normalize channels, axis -1/,
    ],
    [
      'a layer used twice',
      graph([
        [conv('c', { filters: 3 }), ['picture'], ['c']],
        [flatten, ['c']],
        [last, ['flat']],
      ]),
      /layer c \(Conv2D\) is used more than once; make a layer for each place$/,
    ],
    [
      'two outputs',
      graph(
        [
          [flatten, ['picture']],
          [last, ['flat']],
          [dense('other', 3), ['flat']],
        ],
        ['out', 'other'],
      ),
      /1 inputs and 2 outputs/,
    ],
    [
      'multiplied paths',
      graph([
        [conv('a'), ['picture']],
        [conv('b'), ['picture']],
        [node('Multiply', 'm'), ['a', 'b']],
        [flatten, ['m']],
        [last, ['flat']],
      ]),
      /layer m \(Multiply\).*paths can meet in add and concatenate/,
    ],
    ['no layers at all', { class_name: 'Model' }, /describes no layers; save a LayersModel/],
  ])('%s', (_, config, message) => {
    const line = refusal(config)
    expect(line).toMatch(/^model\.from: mine\.mjs: /)
    expect(line).toMatch(message)
  })

  it('an input of another size or other channels than the recipe says', () => {
    const model = chain(flatten, last)
    expect(refusal(model, { inputSize: 16 })).toMatch(/12 × 12 pixels, the recipe 16; set model\.inputSize/)
    expect(refusal(model, { channels: 1 })).toMatch(/3 channels, model\.channels says 1; leave model\.channels out/)
    expect(refusal(model, { inputShape: [null, 12] })).toMatch(/its input is \[12\]; pictures come as \[height, width, 3\]/)
  })
})

describe('layers that a recipe states itself', () => {
  const own =
    (layers: unknown): (() => unknown) =>
    () =>
      networkOf(modelSchema.parse({ layers, inputSize: 8 }), 2)
  const end = { type: 'dense', name: 'predictions', units: 2, activation: 'linear' }
  const flat = { type: 'flatten', name: 'flat' }

  it.each([
    ['a layer that is not there', [{ ...flat, inputs: ['where'] }, end], /layer flat takes where, which no layer before it is called/],
    ['a name twice', [flat, { ...end, name: 'flat' }], /two layers are called flat/],
    ['a picture to a dense layer', [end], /layer predictions \(dense\) takes a row of values, not 8 × 8 × 3/],
    [
      'sums of different shapes',
      [
        { type: 'maxPooling', name: 'p', size: 2, stride: 2 },
        { type: 'add', name: 's', inputs: ['input', 'p'], activation: 'linear' },
        flat,
        end,
      ],
      /adds 8 × 8 × 3 and 4 × 4 × 3, which differ/,
    ],
    [
      'an output that nobody takes',
      [flat, { type: 'dense', name: 'idle', units: 4, activation: 'relu' }, { ...end, inputs: ['flat'] }],
      /nothing takes the output of layer idle/,
    ],
    ['other classes', [flat, { ...end, units: 5 }], /yields 5 values a picture, not 2/],
    ['an end that is not linear', [flat, { ...end, activation: 'relu' }], /the last layer, predictions, has to be linear/],
    [
      'nothing left',
      [{ type: 'maxPooling', name: 'p', size: 9, stride: 1 }, flat, end],
      /nothing is left of an input of 8 × 8 × 3 at layer p/,
    ],
  ])('%s', (_, layers, message) => {
    expect(own(layers)).toThrow(TrainError)
    expect(own(layers)).toThrow(message)
  })
})
