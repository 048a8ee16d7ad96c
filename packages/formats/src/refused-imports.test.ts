import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { openTensorFile } from '@lockstep/shared/checkpoint/checkpoint.js'
import type { ImportRequest } from './import-model.js'
import { FIXTURES, filesOfTest, shallowFile } from './test-files.js'

vi.setConfig({ testTimeout: 240_000 })
const files = filesOfTest()
const { at, imported } = files

describe('a file that cannot be imported', () => {
  it.each<[string, Partial<ImportRequest>, RegExp]>([
    [
      'vgg16.keras',
      { hints: { width: 0.125 } },
      /tensor layers\/conv2d\/vars\/0 is 3 × 3 × 3 × 1, vgg-d \(width 0\.125, 64 pixels\) wants 3 × 3 × 3 × 8 for block1_conv1\/kernel; say --model/,
    ],
    ['vgg16-keras2.h5', { hints: { name: 'vgg-a' } }, /has layer block1_conv2 .* where vgg-a has block1_pool/],
    ['vgg16-keras2-weights.h5', { hints: { name: 'vgg-a' } }, /tensor block1_conv2\/kernel:0 of 3 × 3 × 1 × 1 has no place in vgg-a/],
    ['vgg16-keras2-weights.h5', { hints: { inputSize: 96 } }, /tensor fc1\/kernel:0 is 32 × 12, vgg-d .* wants 72 × 12 for fc1\/kernel/],
    ['torchvision.safetensors', { hints: { head: 'globalAveragePooling' } }, /tensor classifier\.0\.weight is 392 × 12, .* wants 8 × 12/],
    ['vgg16.keras', { classes: ['one', 'two'] }, /tells 5 classes apart, 2 names are given/],
    ['vgg16.keras', { format: 'tfjs' }, /is keras, not tfjs/],
    ['vgg16.keras', { scale: 32 }, /a test scale of 32 is smaller than the network's input of 64 pixels/],
    ['a-64.png', {}, /is of no known format/],
    ['nothing.h5', {}, /there is no such file/],
  ])('%s with %j: one line, and nothing is written', async (file, more, message) => {
    const before = await readdir(files.folder)
    await expect(imported(join(FIXTURES, file), more)).rejects.toMatchObject({
      name: 'TrainError',
      message: expect.stringMatching(new RegExp(`^[^\\n]*${message.source}[^\\n]*$`)) as string,
    })
    expect(await readdir(files.folder)).toEqual(before)
  })

  it.each([
    'vgg16-keras2.h5',
    'vgg16-keras3.weights.h5',
    'vgg16.keras',
    'torchvision.safetensors',
    'tfjs/group1-shard1of1.bin',
    'tfjs/model.json',
  ])('%s cut short anywhere', async (file) => {
    await cp(FIXTURES, at('cut'), { recursive: true })
    const path = at(`cut/${file}`)
    const named = file.startsWith('tfjs') ? at('cut/tfjs') : path
    const { size } = await stat(path)
    for (const length of [size - 1, Math.floor(size / 2), 600, 9, 1]) {
      await truncate(path, length)
      await expect(imported(named), `${String(length)} bytes`).rejects.toMatchObject({
        code: 'CHECKPOINT_INVALID',
        message: expect.stringMatching(/^[^\n]+$/) as string,
      })
    }
    await rm(at('cut'), { recursive: true })
  })

  it('a changed byte of the weights in a .keras', async () => {
    const contents = await readFile(join(FIXTURES, 'vgg16.keras'))
    const middle = Math.floor(contents.length / 2)
    contents[middle] = (contents[middle] ?? 0) ^ 1
    await writeFile(at('changed.keras'), contents)
    await expect(imported(at('changed.keras'))).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' })
  })

  it.each([
    ['a pickle of PyTorch', Buffer.from([0x80, 2, 0x8a]), /is a pickle of PyTorch, .*safetensors\.torch\.save_file/],
    ['a newer one', Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), Buffer.from('archive/data.pkl')]), /is a pickle of PyTorch/],
    [
      'a GraphModel',
      Buffer.from('{"format": "graph-model", "modelTopology": {"node": []}, "weightsManifest": []}'),
      /is a GraphModel, .*tfjs_layers_model/,
    ],
  ])('%s, with the way out', async (_, contents, message) => {
    await writeFile(at('other'), contents)
    await expect(imported(at('other'))).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
      message: expect.stringMatching(message) as string,
    })
  })

  it('tensors with our names that do not say how pictures were fed, until it is said', async () => {
    const file = await shallowFile(files.folder)
    await expect(imported(file)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('--preprocessing') as string })
    expect(await imported(file, { pictures: 'unit' })).toMatchObject({ format: 'safetensors', model: { name: 'vgg-a' } })
  })

  it('never a safetensors file for the length of its header, which can begin as a pickle or JSON does', async () => {
    const source = await openTensorFile(join(FIXTURES, 'torch-resnet50.safetensors'))
    const { writeTensorFile } = await import('./safetensors-file.js')
    const tensors = [...source.tensors].flatMap(([name, { shape, dtype }]) =>
      dtype === 'F32' ? [{ name, shape, read: () => source.read(name) }] : [],
    )
    for (let padding = 0, low = 0; low !== 0x80; padding += 8) {
      await writeTensorFile(at('low.safetensors'), tensors, { padding: ' '.repeat(padding) })
      low = (await readFile(at('low.safetensors')))[0] ?? 0
    }
    await source.close()
    expect(await imported(at('low.safetensors'))).toMatchObject({ format: 'torchvision' })
  })

  it('a checkpoint of ours', async () => {
    const { out } = await imported(join(FIXTURES, 'vgg16.keras'))
    await expect(imported(out)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('already') as string })
  })
})
