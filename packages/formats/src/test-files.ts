import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll } from 'vitest'
import { openTensorFile } from '@lockstep/shared/checkpoint/checkpoint.js'
import { importModel, type ImportReport, type ImportRequest } from './import-model.js'
import { writeTensorFile } from './safetensors-file.js'

/** Files made by the frameworks themselves: see make_fixtures.py beside them. */
export const FIXTURES = fileURLToPath(new URL('../../../tests/fixtures/formats/', import.meta.url))

/** A folder of a test file's own, from its first test to its last. */
export interface FilesOfTest {
  readonly folder: string
  /** The path of a name in it. */
  readonly at: (name: string) => string
  /** Imports a file under a new name in it. */
  readonly imported: (file: string, more?: Partial<ImportRequest>) => Promise<ImportReport & { out: string }>
}

/** To be called where a test file begins. */
export function filesOfTest(): FilesOfTest {
  let folder = ''
  let count = 0
  const at = (name: string): string => join(folder, name)
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-formats-'))
  })
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })
  return {
    get folder() {
      return folder
    },
    at,
    imported: async (file, more = {}) => {
      const out = at(`${String(++count)}.safetensors`)
      return { ...(await importModel({ file, out, hints: {}, ...more })), out }
    },
  }
}

/** A VGG-A in our names, as any tool could write it: cut out of the VGG16 of the fixtures. @returns its path in the folder */
export async function shallowFile(folder: string): Promise<string> {
  const whole = join(folder, 'vgg-d.safetensors')
  await importModel({ file: join(FIXTURES, 'vgg16.keras'), out: whole, hints: {} })
  const source = await openTensorFile(whole)
  const dropped = /^velocity|block1_conv2|block2_conv2|block[345]_conv3/
  const names = [...source.tensors.keys()].filter((name) => !dropped.test(name))
  const file = join(folder, 'vgg-a.safetensors')
  await writeTensorFile(
    file,
    names.map((name) => ({ name, shape: source.tensors.get(name)?.shape ?? [], read: () => source.read(name) })),
    {},
  )
  await source.close()
  return file
}
