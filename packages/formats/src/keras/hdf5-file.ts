import * as h5 from 'h5wasm/node'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

/** HDF5 files through h5wasm, with our errors: the library's own run over many lines. */

export class Hdf5File {
  readonly path: string
  readonly #file: h5.File

  private constructor(path: string, file: h5.File) {
    this.path = path
    this.#file = file
  }

  /** @throws TrainError CHECKPOINT_INVALID when it is cut short or no HDF5 */
  static async open(path: string): Promise<Hdf5File> {
    await prepare()
    try {
      return new Hdf5File(path, new h5.File(path, 'r'))
    } catch (error) {
      throw damaged(path, error)
    }
  }

  /** A new file, or an old one emptied. @throws TrainError DISK */
  static async create(path: string): Promise<Hdf5File> {
    await prepare()
    try {
      return new Hdf5File(path, new h5.File(path, 'w'))
    } catch (error) {
      throw new TrainError('DISK', `cannot write ${path}: see that the folder exists, may be written to and has room`, { cause: error })
    }
  }

  /** Names in a group, in the library's order; nothing when there is no such group. */
  names(group: string): string[] {
    const found = this.#get(group)
    return found instanceof h5.Group ? found.keys() : []
  }

  isGroup(path: string): boolean {
    return this.#get(path) instanceof h5.Group
  }

  /** Shape of a dataset. @throws TrainError CHECKPOINT_INVALID when there is none */
  shape(path: string): number[] {
    return this.#dataset(path).shape ?? []
  }

  /** A whole dataset of float32. @throws TrainError CHECKPOINT_MISMATCH when it is something else */
  read(path: string): Float32Array {
    const dataset = this.#dataset(path)
    if (dataset.dtype !== '<f') {
      throw new TrainError(
        'CHECKPOINT_MISMATCH',
        `tensor ${path} of ${this.path} is ${JSON.stringify(dataset.dtype)}, not little-endian float32 (<f); convert the model to float32 first`,
      )
    }
    try {
      const { value } = dataset
      return value instanceof Float32Array ? value : Float32Array.of(Number(value))
    } catch (error) {
      throw damaged(this.path, error)
    }
  }

  /** A text attribute of a group, or undefined. */
  text(group: string, name: string): string | undefined {
    const value = this.#attribute(group, name)
    return typeof value === 'string' ? value : undefined
  }

  /** A list of texts; Keras cuts one that is longer than HDF5 allows into `name0`, `name1`, … */
  texts(group: string, name: string): string[] | undefined {
    const whole = this.#attribute(group, name)
    if (Array.isArray(whole)) return whole.map(String)
    if (ArrayBuffer.isView(whole)) return []
    const parts: string[] = []
    for (let part = 0; ; part++) {
      const value = this.#attribute(group, `${name}${String(part)}`)
      if (!Array.isArray(value)) return part === 0 ? undefined : parts
      parts.push(...value.map(String))
    }
  }

  /** Makes a group and those above it. */
  makeGroup(path: string): void {
    let at = ''
    for (const part of path.split('/').filter((name) => name !== '')) {
      const parent = this.#get(at === '' ? '/' : at)
      at = `${at}/${part}`
      if (parent instanceof h5.Group && this.#get(at) === null) parent.create_group(part)
    }
  }

  /** Writes a dataset of float32 and the groups above it. */
  write(path: string, values: Float32Array, shape: readonly number[]): void {
    const slash = path.lastIndexOf('/')
    this.makeGroup(path.slice(0, slash))
    const group = this.#get(path.slice(0, slash))
    if (group instanceof h5.Group) group.create_dataset({ name: path.slice(slash + 1), data: values, shape: [...shape], dtype: '<f' })
  }

  /** One text of any length. */
  setText(group: string, name: string, value: string): void {
    this.#group(group).create_attribute(name, value)
  }

  /** A list of texts, of fixed width as h5py writes a list of bytes. */
  setTexts(group: string, name: string, values: readonly string[]): void {
    const width = Math.max(1, ...values.map((value) => Buffer.byteLength(value)))
    this.#group(group).create_attribute(name, [...values], [values.length], `S${String(width)}`)
  }

  close(): void {
    this.#file.close()
  }

  #get(path: string): h5.Entity | null {
    try {
      return path === '' || path === '/' ? this.#file : this.#file.get(path)
    } catch (error) {
      throw damaged(this.path, error)
    }
  }

  #group(path: string): h5.Group {
    const found = this.#get(path)
    if (!(found instanceof h5.Group)) throw new TrainError('CHECKPOINT_INVALID', `${this.path} has no group ${path}; export it again`)
    return found
  }

  #dataset(path: string): h5.Dataset {
    const found = this.#get(path)
    if (!(found instanceof h5.Dataset))
      throw new TrainError('CHECKPOINT_INVALID', `${this.path} names a tensor ${path} that is not in it; export it again`)
    return found
  }

  #attribute(group: string, name: string): unknown {
    const found = this.#get(group)
    if (!(found instanceof h5.Group)) return undefined
    return found.attrs[name]?.value
  }
}

let prepared: Promise<void> | undefined

/** HDF5's own messages become exceptions instead of lines on the terminal. */
function prepare(): Promise<void> {
  prepared ??= h5.ready.then((module) => {
    module.activate_throwing_error_handler()
  })
  return prepared
}

function damaged(path: string, error: unknown): TrainError {
  return new TrainError('CHECKPOINT_INVALID', `${path} is not a whole HDF5 file; copy or export it again`, { cause: error })
}
