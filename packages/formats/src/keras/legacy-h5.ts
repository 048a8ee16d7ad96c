import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { NOTE_NAME } from '../export-note.js'
import type { ForeignModel, ForeignTensor } from '../foreign-model.js'
import type { NamedTensor } from '../named-tensor.js'
import type { Hdf5File } from './hdf5-file.js'
import { layersOfConfig } from './model-config.js'
import { placeOfVariable } from './variable-names.js'

/**
 * The HDF5 of Keras 1 and 2, which Keras 3 still reads and writes: a group a layer with its variables by name, at the root
 * (weights alone) or below `model_weights` (a whole model, its architecture as JSON in an attribute).
 */

const WHOLE = 'model_weights'

export function isLegacyH5(file: Hdf5File): boolean {
  return file.isGroup(WHOLE) || file.texts('/', 'layer_names') !== undefined
}

/** @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH */
export function readLegacyH5(file: Hdf5File): ForeignModel {
  const whole = file.isGroup(WHOLE)
  const root = whole ? WHOLE : ''
  const layers = file.texts(whole ? WHOLE : '/', 'layer_names')
  if (layers === undefined) throw new TrainError('CHECKPOINT_INVALID', `${file.path} does not list its layers; export it again`)
  const tensors = layers.flatMap((layer) => {
    const group = `${root}/${layer}`
    return (file.texts(group, 'weight_names') ?? []).map((variable): ForeignTensor => {
      const path = `${group}/${variable}`
      return { name: variable, ...placeOfVariable(variable, layer, file.path), shape: file.shape(path), read: async () => file.read(path) }
    })
  })
  const isThird = (file.text('/', 'keras_version') ?? file.text(WHOLE, 'keras_version') ?? '2').startsWith('3')
  return {
    format: whole ? (isThird ? 'keras3-h5' : 'keras2-h5') : 'keras2-weights',
    tensors,
    layers: whole ? architectureOf(file) : undefined,
    note: file.text('/', NOTE_NAME),
    close: async () => {
      file.close()
    },
  }
}

function architectureOf(file: Hdf5File): ForeignModel['layers'] {
  const text = file.text('/', 'model_config')
  if (text === undefined) return undefined
  try {
    return layersOfConfig(JSON.parse(text))
  } catch {
    throw new TrainError('CHECKPOINT_INVALID', `${file.path} has a damaged model_config; export it again`)
  }
}

export interface LegacyH5Content {
  /** Every layer of the architecture, in order, also those without tensors. */
  readonly layers: readonly string[]
  readonly tensors: readonly NamedTensor[]
  /** Of a whole model: its architecture as JSON; left out: weights alone. */
  readonly modelConfig?: string | undefined
  /** 2: `block1_conv1/kernel:0`, 3: `block1_conv1/kernel`. */
  readonly dialect: 2 | 3
  readonly note: string
}

/** Writes into a new file, tensor after tensor. */
export async function writeLegacyH5(file: Hdf5File, content: LegacyH5Content): Promise<void> {
  const { layers, tensors, modelConfig, dialect, note } = content
  const version = dialect === 3 ? '3.13.0' : '2.15.0'
  const root = modelConfig === undefined ? '/' : `/${WHOLE}`
  const prefix = root === '/' ? '' : root
  const suffix = dialect === 3 ? '' : ':0'
  if (modelConfig !== undefined) {
    file.setText('/', 'keras_version', version)
    file.setText('/', 'backend', 'tensorflow')
    file.setText('/', 'model_config', modelConfig)
    file.makeGroup(root)
  }
  file.setText('/', NOTE_NAME, note)
  file.setTexts(root, 'layer_names', layers)
  file.setText(root, 'backend', 'tensorflow')
  file.setText(root, 'keras_version', version)
  for (const layer of layers) {
    const group = `${prefix}/${layer}`
    const own = tensors.filter((tensor) => tensor.layer === layer)
    file.makeGroup(group)
    file.setTexts(
      group,
      'weight_names',
      own.map(({ role }) => `${layer}/${role}${suffix}`),
    )
    for (const { role, shape, read } of own) file.write(`${group}/${layer}/${role}${suffix}`, await read(), shape)
  }
}
