import type { LayersModel } from '@tensorflow/tfjs-node-gpu'
import { monotonicUs } from '@lockstep/shared/trace/clock.js'
import type { TensorFlow } from './load-tensorflow.js'

/** How long a layer took, forwards (its name) or backwards (its name and ` backwards`). */
export interface LayerTime {
  readonly name: string
  readonly startUs: number
  durationUs: number
}

/** What the gradient of an operation is computed by, one function an input. */
type InputGradients = Readonly<Record<string, () => unknown>>

interface TapeNode {
  gradient?: (...given: unknown[]) => InputGradients
}

/** The parts of tfjs's engine that the times are taken at. */
interface TapeEngine {
  readonly state: { readonly activeTape: TapeNode[] | null }
  addTapeNode: (...given: unknown[]) => void
}

interface CallableLayer {
  readonly name: string
  call: (...given: unknown[]) => unknown
}

/**
 * Takes the times of a model's layers without a change of what is computed: TensorFlow's operations block, so the time of a
 * call is the time of its work. Forwards each layer's call is measured. Backwards tfjs walks the operations it has noted, each
 * with a function per input; an operation noted while a layer was called is of that layer.
 */
export class LayerTimes {
  #times: LayerTime[] = []
  #isOn = false
  #layer: string | undefined

  constructor(tf: TensorFlow, model: LayersModel) {
    for (const layer of model.layers as unknown as CallableLayer[]) this.#watchLayer(layer)
    this.#watchTape(tf.engine() as unknown as TapeEngine)
  }

  /** Measures what `work` does. @returns what it returns, and the times in their order */
  measure<Value>(work: () => Value): { readonly value: Value; readonly layers: readonly LayerTime[] } {
    this.#times = []
    this.#isOn = true
    try {
      return { value: work(), layers: this.#times }
    } finally {
      this.#isOn = false
    }
  }

  #watchLayer(layer: CallableLayer): void {
    const { name } = layer
    const call = layer.call.bind(layer)
    layer.call = (...given) => {
      if (!this.#isOn) return call(...given)
      this.#layer = name
      try {
        return this.#timed(name, () => call(...given))
      } finally {
        this.#layer = undefined
      }
    }
  }

  #watchTape(engine: TapeEngine): void {
    const addTapeNode = engine.addTapeNode.bind(engine)
    engine.addTapeNode = (...given) => {
      addTapeNode(...given)
      const node = engine.state.activeTape?.at(-1)
      const gradient = node?.gradient
      if (!this.#isOn || node === undefined || gradient === undefined) return
      const name = `${this.#layer ?? 'loss'} backwards`
      node.gradient = (...dy) => {
        const gradients = this.#timed(name, () => gradient(...dy))
        return Object.fromEntries(Object.entries(gradients).map(([input, make]) => [input, () => this.#timed(name, make)]))
      }
    }
  }

  /** Neighbours of one name become one span. */
  #timed<Value>(name: string, work: () => Value): Value {
    const startUs = monotonicUs()
    try {
      return work()
    } finally {
      const endUs = monotonicUs()
      const last = this.#times.at(-1)
      if (last?.name === name) last.durationUs = endUs - last.startUs
      else this.#times.push({ name, startUs, durationUs: endUs - startUs })
    }
  }
}
