import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openTensorFile } from '@lockstep/shared/checkpoint/checkpoint.js'
import { importModel } from './import-model.js'
import { writeTensorFile } from './safetensors-file.js'

/** Files made by the frameworks themselves: see make_fixtures.py beside them. */
export const FIXTURES = fileURLToPath(new URL('../../../tests/fixtures/formats/', import.meta.url))

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
