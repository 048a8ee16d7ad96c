import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { NOTE_NAME } from '../export-note.js'
import type { ForeignModel, ForeignTensor } from '../foreign-model.js'
import type { NamedTensor } from '../named-tensor.js'
import type { Hdf5File } from './hdf5-file.js'
import { snakeCase } from './model-config.js'
import { rolesOfShapes } from './variable-names.js'

/**
 * The `.weights.h5` of Keras 3: a group a layer by its class (`layers/conv2d_1`), whose `vars` are numbered and, of late, have
 * the layer's name as an attribute. Without an architecture the order of layers is that of the groups' numbers, class by class.
 */

const ROOTS = ['layers', '_layer_checkpoint_dependencies'] as const

export function isWeightsH5(file: Hdf5File): boolean {
  return ROOTS.some((root) => file.isGroup(root))
}

/**
 * @param places names of layers by their group, where an architecture tells them
 * @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH
 */
export function readWeightsH5(file: Hdf5File, places?: ReadonlyMap<string, string>): ForeignModel {
  const root = ROOTS.find((name) => file.isGroup(name)) ?? ROOTS[0]
  const groups = [...layerGroups(file, root)]
  const order = places === undefined ? groups : [...places.keys()].filter((place) => groups.includes(place))
  const unnamed = groups.find((group) => !order.includes(group) && file.names(`${group}/vars`).length > 0)
  if (unnamed !== undefined)
    throw new TrainError('CHECKPOINT_INVALID', `${file.path}: group ${unnamed} belongs to no layer of its architecture; export it again`)
  return {
    format: 'keras3-weights',
    tensors: order.flatMap((group) => tensorsOf(file, group, places?.get(group) ?? file.text(`${group}/vars`, 'name') ?? group)),
    note: file.text('/', NOTE_NAME),
    close: async () => {
      file.close()
    },
  }
}

/** Groups with variables, a model's within a model included, in the order of the numbers behind their names. */
function* layerGroups(file: Hdf5File, root: string): Generator<string> {
  const numbered = new Intl.Collator('en', { numeric: true })
  for (const name of file.names(root).sort(numbered.compare)) {
    const group = `${root}/${name}`
    if (file.isGroup(`${group}/vars`)) yield group
    if (file.isGroup(`${group}/layers`)) yield* layerGroups(file, `${group}/layers`)
  }
}

function tensorsOf(file: Hdf5File, group: string, layer: string): ForeignTensor[] {
  const paths = file
    .names(`${group}/vars`)
    .sort((left, right) => Number(left) - Number(right))
    .map((name) => `${group}/vars/${name}`)
  if (paths.length === 0) return []
  const shapes = paths.map((path) => file.shape(path))
  const roles = rolesOfShapes(shapes)
  if (roles === undefined) {
    const found = shapes.map((shape) => shape.join(' × ')).join(', ')
    throw new TrainError('CHECKPOINT_MISMATCH', `${file.path}: ${group} has variables of ${found}: a layer that Lockstep does not know`)
  }
  return paths.map((path, index) => ({
    name: path,
    layer,
    role: roles[index] ?? 'kernel',
    shape: shapes[index] ?? [],
    read: async () => file.read(path),
  }))
}

export interface WeightsH5Content {
  /** Every layer of the architecture, in order, with its Keras class. */
  readonly layers: readonly { readonly name: string; readonly className: string }[]
  readonly tensors: readonly NamedTensor[]
  readonly note: string
}

/** Writes into a new file, tensor after tensor. Layers without variables have an empty group, as Keras writes them. */
export async function writeWeightsH5(file: Hdf5File, { layers, tensors, note }: WeightsH5Content): Promise<void> {
  file.setText('/', NOTE_NAME, note)
  const used = new Map<string, number>()
  for (const { name, className } of layers) {
    const stem = snakeCase(className)
    const before = used.get(stem) ?? 0
    used.set(stem, before + 1)
    const variables = `/layers/${before === 0 ? stem : `${stem}_${String(before)}`}/vars`
    file.makeGroup(variables)
    file.setText(variables, 'name', name)
    const own = tensors.filter(({ layer }) => layer === name)
    for (const [index, { shape, read }] of own.entries()) file.write(`${variables}/${String(index)}`, await read(), shape)
  }
  file.makeGroup('/vars')
}
