import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { ParameterEntry, ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { groupByLayer, type TensorGroup } from './foreign-layers.js'
import { TENSOR_ROLES, type ForeignTensor, type TensorRole } from './foreign-model.js'

/** Which tensor of a file goes where in our layout: by its layer's name, else by its place among layers of its kind. Pure. */

export interface Assignment {
  readonly entry: ParameterEntry
  readonly tensor: ForeignTensor
}

const KIND_NAMES = { convolution: 'convolutions', dense: 'dense layers', normalization: 'batch normalizations' } as const
const REMEDY = 'say --model, --width, --input-size, --fully-connected or --head if it is another network'

/** What messages call the file and the network, and whether that is a chain: only a chain's layers are told by their order. */
export interface AssignmentNames {
  readonly file: string
  readonly network: string
  readonly chain: boolean
}

/**
 * A tensor for every entry of the layout, and an entry for every tensor.
 * @throws TrainError CHECKPOINT_MISMATCH naming the tensor and both shapes
 */
export function assignTensors(tensors: readonly ForeignTensor[], layout: ParameterLayout, names: AssignmentNames): Assignment[] {
  const groups = groupByLayer(tensors)
  const wanted = groupByLayer(layout.entries.map(placeOf))
  const partners = partnersOf(groups, wanted, names)
  const assignments = wanted.flatMap((group) => {
    const partner = partners.get(group.layer)
    return [...group.tensors.values()].map(({ entry, role }) => ({ entry, tensor: matching(entry, role, partner, names) }))
  })
  const used = new Set(assignments.map(({ tensor }) => tensor))
  const unused = tensors.find((tensor) => !used.has(tensor))
  if (unused !== undefined) {
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${names.file}: tensor ${unused.name} of ${unused.shape.join(' × ')} has no place in ${names.network}; ${REMEDY}`,
    )
  }
  return assignments
}

interface Place {
  readonly entry: ParameterEntry
  readonly layer: string
  readonly role: TensorRole
  readonly shape: readonly number[]
}

/** Our names end in the role, whatever the layer: `block1_conv1/kernel`, `bn2/moving_mean`. */
function placeOf(entry: ParameterEntry): Place {
  const slash = entry.name.lastIndexOf('/')
  const role = TENSOR_ROLES.find((known) => known === entry.name.slice(slash + 1)) ?? 'kernel'
  return { entry, layer: entry.name.slice(0, slash), role, shape: entry.shape }
}

/** The file's layer for each of ours. */
function partnersOf(
  groups: readonly TensorGroup<ForeignTensor>[],
  wanted: readonly TensorGroup<Place>[],
  names: AssignmentNames,
): Map<string, TensorGroup<ForeignTensor>> {
  const byName = new Map(groups.map((group) => [group.layer, group]))
  const nameless = wanted.find(({ layer }) => !byName.has(layer))
  if (nameless === undefined) return byName
  if (!names.chain)
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${names.file} has no layer ${nameless.layer}, which ${names.network} has, and the order of layers does not tell them apart in a network that branches; import a file with our names or one that states its architecture, or ${REMEDY}`,
    )
  const partners = new Map<string, TensorGroup<ForeignTensor>>()
  for (const kind of ['convolution', 'dense', 'normalization'] as const) {
    const theirs = groups.filter((group) => group.kind === kind)
    const ours = wanted.filter((group) => group.kind === kind)
    if (theirs.length !== ours.length) {
      throw new TrainError(
        'CHECKPOINT_MISMATCH',
        `${names.file} has ${String(theirs.length)} ${KIND_NAMES[kind]}, ${names.network} has ${String(ours.length)}; ${REMEDY}`,
      )
    }
    ours.forEach(({ layer }, index) => {
      const partner = theirs[index]
      if (partner !== undefined) partners.set(layer, partner)
    })
  }
  return partners
}

function matching(
  entry: ParameterEntry,
  role: TensorRole,
  partner: TensorGroup<ForeignTensor> | undefined,
  { file, network }: { readonly file: string; readonly network: string },
): ForeignTensor {
  const wanted = `${network} wants ${entry.shape.join(' × ')} for ${entry.name}`
  const tensor = partner?.tensors.get(role)
  if (tensor === undefined) {
    const layer = partner === undefined ? '' : ` of layer ${partner.layer}`
    throw new TrainError('CHECKPOINT_MISMATCH', `${file} has no ${role}${layer}, ${wanted}; ${REMEDY}`)
  }
  if (tensor.shape.join() !== entry.shape.join())
    throw new TrainError('CHECKPOINT_MISMATCH', `${file}: tensor ${tensor.name} is ${tensor.shape.join(' × ')}, ${wanted}; ${REMEDY}`)
  return tensor
}
