import type { ForeignTensor, TensorRole } from './foreign-model.js'

/** What a layer with tensors is, told from their roles and ranks alone. */
export type LayerKind = 'convolution' | 'dense' | 'normalization'

export interface TensorGroup<T> {
  readonly layer: string
  readonly kind: LayerKind
  readonly tensors: ReadonlyMap<TensorRole, T>
}

type Grouped = Pick<ForeignTensor, 'layer' | 'role' | 'shape'>

/** Tensors by layer, in the order in which the layers come up. */
export function groupByLayer<T extends Grouped>(tensors: readonly T[]): TensorGroup<T>[] {
  const groups = new Map<string, Map<TensorRole, T>>()
  for (const tensor of tensors) {
    const group = groups.get(tensor.layer) ?? new Map<TensorRole, T>()
    group.set(tensor.role, tensor)
    groups.set(tensor.layer, group)
  }
  return [...groups].map(([layer, group]) => ({ layer, kind: kindOf(group), tensors: group }))
}

function kindOf(tensors: ReadonlyMap<TensorRole, Grouped>): LayerKind {
  const kernel = tensors.get('kernel')
  if (kernel === undefined) return 'normalization'
  return kernel.shape.length === 2 ? 'dense' : 'convolution'
}

/** Shapes of the kernels of one kind, in order. */
export function kernelShapes(groups: readonly TensorGroup<Grouped>[], kind: 'convolution' | 'dense'): (readonly number[])[] {
  return groups.flatMap((group) => {
    const kernel = group.tensors.get('kernel')
    return group.kind === kind && kernel !== undefined ? [kernel.shape] : []
  })
}
