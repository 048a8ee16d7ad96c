import type { LayersModel, Tensor, Variable } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { sharesOurMemory, type TensorFlow } from './load-tensorflow.js'
import { giveOwnMemory, lendMemory, writeVariable } from './weight-writer.js'

/** The variables of a model that a flat vector fills, one an entry of its layout, in its order: memory of TensorFlow's own, or the vector itself. */
export class NetworkVariables {
  readonly all: readonly Variable[]
  readonly #tf: TensorFlow
  readonly #layout: ParameterLayout
  /** They are somebody else's memory. */
  #lent = false

  constructor(tf: TensorFlow, model: LayersModel, layout: ParameterLayout) {
    this.#tf = tf
    this.#layout = layout
    this.all = variablesOf(tf, model, layout)
  }

  /** Copies a vector into the variables. @param flat as long as the layout; may be a view of a SharedArrayBuffer */
  set(flat: Float32Array): void {
    if (this.#lent) for (const variable of this.all) giveOwnMemory(this.#tf, variable)
    this.#lent = false
    this.#each(flat, (variable, values) => {
      writeVariable(this.#tf, variable, values)
    })
  }

  /** Makes the variables the vector itself, until the next call. Where TensorFlow has memory of its own, on a GPU, it is copied. */
  lend(flat: Float32Array): void {
    if (!sharesOurMemory(this.#tf)) {
      this.set(flat)
      return
    }
    this.#lent = true
    this.#each(flat, (variable, values) => {
      lendMemory(this.#tf, variable, values)
    })
  }

  #each(flat: Float32Array, what: (variable: Variable, values: Float32Array) => void): void {
    const { entries, size } = this.#layout
    invariant(flat.length === size, 'the weights are as long as the layout')
    entries.forEach((entry, index) => {
      const variable = this.all[index]
      invariant(variable !== undefined, 'every parameter has a variable')
      what(variable, flat.subarray(entry.offset, entry.offset + entry.size))
    })
  }
}

/** The model's variables in layout order. A layer's own come in the order in which the layout has them, parameters first. */
function variablesOf(tf: TensorFlow, model: LayersModel, layout: ParameterLayout): Variable[] {
  const taken = new Map<string, number>()
  return layout.entries.map((entry) => {
    const layer = entry.name.slice(0, entry.name.lastIndexOf('/'))
    const position = taken.get(layer) ?? 0
    taken.set(layer, position + 1)
    const weight = model.getLayer(layer).weights[position]
    invariant(weight !== undefined, `the model has the parameter ${entry.name}`)
    invariant(weight.shape.join() === entry.shape.join(), `${entry.name} has the shape of the layout`)
    const variable = weight.read()
    invariant(isVariable(tf, variable), `${entry.name} is a variable`)
    return variable
  })
}

function isVariable(tf: TensorFlow, tensor: Tensor): tensor is Variable {
  return tensor instanceof tf.Variable
}
