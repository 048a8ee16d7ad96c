import type { ParameterEntry, ParameterLayout } from '../parameters/layout.js'
import type { Network } from './network.js'
import { elementsOf, shapesOf } from './shapes.js'

/** The flat parameter vector of a network: kernel and bias of every layer, in network order. */
export function layoutOf(network: Network): ParameterLayout {
  const entries: ParameterEntry[] = []
  let offset = 0
  for (const { layer, kernel } of shapesOf(network)) {
    if (kernel === undefined) continue
    for (const [kind, shape] of [
      ['kernel', kernel],
      ['bias', kernel.slice(-1)],
    ] as const) {
      const size = elementsOf(shape)
      entries.push({ name: `${layer.name}/${kind}`, shape, offset, size, kind })
      offset += size
    }
  }
  return { entries, size: offset }
}
