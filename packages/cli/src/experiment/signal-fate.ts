import type { SignalReport } from '@lockstep/worker/standalone/messages.js'
import type { Beginning, Configuration } from './training-plan.js'

/** At which layer the signal dies, from root mean squares at initialization. Pure. */

export interface MeasuredSignal extends SignalReport {
  readonly configuration: Configuration
  readonly beginning: Beginning
  readonly seed: number
  /** ε of the first step after warm-up. */
  readonly learningRate: number
}

export interface SignalFate {
  /** The first layer whose output is below a thousandth of the input's scale, or null. */
  readonly dies: string | null
  /** The first layer whose output is above a thousand times the input's scale, or is not finite, or null. */
  readonly explodes: string | null
  /** Scale of the last layer's output (the logits), the input's being 1; null where it is not finite. */
  readonly logits: number | null
  /** How much of itself a kernel changes by in one step, ε · rms(gradient) / rms(kernel): the kernel that moves most. */
  readonly largestChange: number | null
  /** The same of the first layer's kernel. */
  readonly firstChange: number | null
}

/**
 * A thousandth: sixteen layers that each keep two thirds of the scale, which networks learn with, stay above it; layers that keep a
 * tenth are below it by the fourth.
 */
const DEAD = 1e-3

export function signalFate({ input, layers, learningRate }: Pick<MeasuredSignal, 'input' | 'layers' | 'learningRate'>): SignalFate {
  const scale = (activation: number | null): number | null => (activation === null || input === null ? null : activation / input)
  const changes = layers.map(({ gradient, kernel }) =>
    gradient === null || kernel === null || kernel === 0 ? null : (learningRate * gradient) / kernel,
  )
  const known = changes.filter((change) => change !== null)
  return {
    dies: layers.find(({ activation }) => (scale(activation) ?? 1) < DEAD)?.layer ?? null,
    explodes: layers.find(({ activation }) => (scale(activation) ?? Infinity) > 1 / DEAD)?.layer ?? null,
    logits: scale(layers.at(-1)?.activation ?? null),
    largestChange: known.length === 0 ? null : Math.max(...known),
    firstChange: changes[0] ?? null,
  }
}
