import type { ForeignTensor } from './foreign-model.js'

/** A tensor of ours on its way out: our axes, read when its turn comes. */
export type NamedTensor = Pick<ForeignTensor, 'layer' | 'role' | 'shape' | 'read'>
