import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import * as yauzl from 'yauzl'
import { describe, expect, it, vi } from 'vitest'
import { openCheckpoint, openTensorFile } from '@lockstep/shared/checkpoint/checkpoint.js'
import { exportModel } from './export-model.js'
import { openForeignModel } from './format-detection.js'
import type { FormatName } from './foreign-model.js'
import { importModel } from './import-model.js'
import { FIXTURES, filesOfTest, shallowFile } from './test-files.js'

vi.setConfig({ testTimeout: 240_000 })
const files = filesOfTest()
const { at, imported } = files

/** Bits of every tensor by layer and role, or by the file's own names. */
async function bitsOf(path: string, named: 'place' | 'file'): Promise<Map<string, string>> {
  const model = await openForeignModel(path)
  try {
    const bits = new Map<string, string>()
    for (const { name, layer, role, shape, read } of model.tensors) {
      const key = named === 'file' ? name : `${layer}/${role}`
      bits.set(`${key} ${shape.join('×')}`, Buffer.from((await read()).buffer).toString('hex'))
    }
    return bits
  } finally {
    await model.close()
  }
}

const SIXTEEN = { name: 'vgg-d', width: 1 / 64, inputSize: 64, fullyConnected: [12, 10], head: 'flatten' }
const NINETEEN = { ...SIXTEEN, name: 'vgg-e' }
const CASES: [file: string, format: FormatName, model: object][] = [
  ['vgg16-keras2.h5', 'keras2-h5', SIXTEEN],
  ['vgg16-keras2-weights.h5', 'keras2-weights', SIXTEEN],
  ['vgg16-keras3.h5', 'keras3-h5', SIXTEEN],
  ['vgg16-keras3.weights.h5', 'keras3-weights', SIXTEEN],
  ['vgg16.keras', 'keras', SIXTEEN],
  ['vgg19-sequential.keras', 'keras', NINETEEN],
  ['tfjs', 'tfjs', SIXTEEN],
  ['torchvision.safetensors', 'torchvision', { ...SIXTEEN, inputSize: 224 }],
]

const RESIDUAL = { name: 'resnet-18', width: 1 / 32, inputSize: 64, fullyConnected: [], head: 'globalAveragePooling' }
const NORMALIZED = {
  name: 'vgg-a',
  width: 1 / 64,
  inputSize: 64,
  fullyConnected: [12],
  batchNormalization: true,
  normalizationEpsilon: 0.001,
}
/** With batch normalization or branches, and how many tensors they have. */
const GRAPHS: [file: string, format: FormatName, model: object, tensors: number][] = [
  ['graph-vgg11-bn-keras2.h5', 'keras2-h5', NORMALIZED, 52],
  ['graph-vgg11-bn.keras', 'keras', NORMALIZED, 52],
  ['graph-resnet18-keras2.h5', 'keras2-h5', RESIDUAL, 102],
  ['graph-resnet18-tfjs', 'tfjs', RESIDUAL, 102],
  ['graph-se-resnet18.keras', 'keras', { ...RESIDUAL, squeezeExcitation: 2 }, 134],
  ['torch-resnet18.safetensors', 'torchvision', { ...RESIDUAL, inputSize: 224 }, 102],
  ['torch-resnet50.safetensors', 'torchvision', { ...RESIDUAL, name: 'resnet-50', inputSize: 224 }, 267],
  ['torch-alexnet.safetensors', 'torchvision', { name: 'alexnet-2014', width: 1 / 32, inputSize: 224, fullyConnected: [12, 10] }, 16],
  ['torch-vgg11-bn.safetensors', 'torchvision', { name: 'vgg-a', width: 1 / 32, inputSize: 224, batchNormalization: true }, 54],
]

describe('a file of its own framework', () => {
  it.each(CASES)('%s is found to be %s, and comes back in every bit', async (file, format, model) => {
    const report = await imported(join(FIXTURES, file))
    expect(report).toMatchObject({ format, model, classes: ['0', '1', '2', '3', '4'] })
    const checkpoint = await openCheckpoint(report.out)
    await checkpoint.verify()
    expect(checkpoint.metadata).toMatchObject({ step: 0, origin: { file, format } })
    await checkpoint.close()
    const out = at(`again-${file}`)
    await exportModel({ checkpoint: report.out, format, out })
    const before = await bitsOf(join(FIXTURES, file), 'file')
    const after = await bitsOf(out, 'file')
    // Names that Keras made up are not kept, except where the place is the name.
    expect([...after].sort()).toEqual([...before].sort())
    expect(after.size).toBe(file.includes('19') ? 38 : 32)
  })

  it.each(GRAPHS)('%s, with batch normalization or branches, comes back in every bit', async (file, format, model, count) => {
    const report = await imported(join(FIXTURES, file))
    expect(report).toMatchObject({ format, model, classes: ['0', '1', '2', '3', '4'], architectureCompared: format !== 'torchvision' })
    const out = at(`again-${file}`)
    await exportModel({ checkpoint: report.out, format, out })
    const named = file.includes('vgg11-bn-keras2') ? 'bits' : 'file'
    const [before, after] = [await bitsOf(join(FIXTURES, file), 'file'), await bitsOf(out, 'file')]
    expect(after.size).toBe(count)
    // Names that Keras made up are not kept.
    if (named === 'bits') expect([...after.values()].sort()).toEqual([...before.values()].sort())
    else expect([...after].sort()).toEqual([...before].sort())
    expect((await imported(out)).weightsDigest).toBe(report.weightsDigest)
  })

  it('of Keras, named and wired by another hand, is the same network, its tensors told by the graph', async () => {
    const report = await imported(join(FIXTURES, 'graph-nameless.keras'))
    expect(report).toMatchObject({ model: { ...RESIDUAL, normalizationEpsilon: 0.001 }, architectureCompared: true })
    await exportModel({ checkpoint: report.out, format: 'keras', out: at('named.keras') })
    expect((await imported(at('named.keras'))).weightsDigest).toBe(report.weightsDigest)
  })

  it('has the same weights in all formats of Keras, the layout of keras.applications included', async () => {
    const files = [...CASES.filter(([, , model]) => model === SIXTEEN).map(([file]) => file), 'vgg16-applications.h5']
    const digests = new Set<string>()
    for (const file of files) digests.add((await imported(join(FIXTURES, file))).weightsDigest)
    expect([files.length, digests.size]).toEqual([7, 1])
  })

  it('of keras.applications has its old names, and the same bits when it is written as Keras 2 would', async () => {
    const { out } = await imported(join(FIXTURES, 'vgg16-applications.h5'), { format: 'keras2-weights' })
    await exportModel({ checkpoint: out, format: 'keras2-weights', out: at('new-names.h5') })
    expect(await bitsOf(at('new-names.h5'), 'place')).toEqual(await bitsOf(join(FIXTURES, 'vgg16-applications.h5'), 'place'))
  })

  it('of Keras 3 without names that fit goes by the numbers of its groups, of which 10 comes after 9', async () => {
    const zip = await yauzl.openPromise(join(FIXTURES, 'vgg19-sequential.keras'))
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName === 'model.weights.h5')
        await writeFile(at('nineteen.weights.h5'), await buffer(await zip.openReadStreamPromise(entry)))
    }
    const alone = await imported(at('nineteen.weights.h5'))
    expect(alone).toMatchObject({ format: 'keras3-weights', model: NINETEEN })
    expect(alone.weightsDigest).toBe((await imported(join(FIXTURES, 'vgg19-sequential.keras'))).weightsDigest)
  })

  it('of torchvision is the same byte by byte in its own names and axes', async () => {
    const { out } = await imported(join(FIXTURES, 'torchvision.safetensors'))
    await exportModel({ checkpoint: out, format: 'torchvision', out: at('torch.safetensors') })
    const [theirs, ours] = [await openTensorFile(join(FIXTURES, 'torchvision.safetensors')), await openTensorFile(at('torch.safetensors'))]
    expect(ours.tensors.size).toBe(theirs.tensors.size)
    for (const [name, { shape }] of theirs.tensors) {
      expect(ours.tensors.get(name)?.shape).toEqual(shape)
      expect(await ours.read(name)).toEqual(await theirs.read(name))
    }
    await theirs.close()
    await ours.close()
  })

  it('of tfjs has the very bytes of its weights', async () => {
    const { out } = await imported(join(FIXTURES, 'tfjs'))
    await exportModel({ checkpoint: out, format: 'tfjs', out: at('tfjs') })
    const shard = 'group1-shard1of1.bin'
    expect(await readFile(at(`tfjs/${shard}`))).toEqual(await readFile(join(FIXTURES, 'tfjs', shard)))
  })
})

describe('an export', () => {
  it.each(['safetensors', 'torchvision', 'keras2-h5', 'keras2-weights', 'keras3-h5', 'keras3-weights', 'keras', 'tfjs'] as const)(
    'of a residual network as %s comes back in every bit',
    async (format) => {
      const first = await imported(join(FIXTURES, 'graph-resnet18-keras2.h5'))
      await exportModel({ checkpoint: first.out, format, out: at(`residual-${format}`) })
      expect(await imported(at(`residual-${format}`))).toMatchObject({ format, model: first.model, weightsDigest: first.weightsDigest })
    },
  )

  it.each(['safetensors', 'torchvision', 'keras2-h5', 'keras2-weights', 'keras3-h5', 'keras3-weights', 'keras', 'tfjs'] as const)(
    'as %s comes back with classes, preprocessing and every bit',
    async (format) => {
      const classes = ['ant', 'bee', 'cat', 'dog', 'eel']
      const first = await imported(join(FIXTURES, 'vgg16.keras'), { classes, pictures: 'tf', scale: 80 })
      await exportModel({ checkpoint: first.out, format, out: at(`export-${format}`) })
      const second = await imported(at(`export-${format}`))
      expect(second).toMatchObject({ format, classes, model: first.model, pictures: first.pictures, weightsDigest: first.weightsDigest })
    },
  )

  it('goes back to Keras in its order of colours and elsewhere in red, green, blue, unless told otherwise', async () => {
    const { out, pictures } = await imported(join(FIXTURES, 'vgg16.keras'))
    expect(pictures.channels).toBe('bgr')
    const channels = async (format: FormatName, said?: 'rgb' | 'bgr'): Promise<string> =>
      (await exportModel({ checkpoint: out, format, out: at(`channels-${format}`), channels: said })).pictures.channels
    expect(await channels('tfjs')).toBe('bgr')
    expect(await channels('torchvision')).toBe('rgb')
    expect(await channels('keras', 'rgb')).toBe('rgb')
    const theirs = await bitsOf(join(FIXTURES, 'vgg16.keras'), 'file')
    const ours = await bitsOf(at('channels-keras'), 'file')
    const differing = [...theirs].filter(([name, bits]) => ours.get(name) !== bits).map(([name]) => name)
    expect(differing).toEqual(['layers/conv2d/vars/0 3×3×3×1'])
  })

  it('of a damaged checkpoint is refused and leaves what was there', async () => {
    const { out } = await imported(join(FIXTURES, 'vgg16.keras'))
    const contents = await readFile(out)
    contents[contents.length - 20_000] = (contents[contents.length - 20_000] ?? 0) ^ 1
    await writeFile(out, contents)
    await writeFile(at('kept.h5'), 'older')
    await expect(exportModel({ checkpoint: out, format: 'keras2-h5', out: at('kept.h5') })).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
    })
    expect(await readFile(at('kept.h5'), 'utf8')).toBe('older')
  })

  it('of a network that a format has no layers for is refused, and nothing is left', async () => {
    const { out } = await imported(join(FIXTURES, 'torchvision.safetensors'), { hints: {} })
    await exportModel({ checkpoint: out, format: 'safetensors', out: at('tensors') })
    const tensors = await openTensorFile(at('tensors'))
    await tensors.close()
    const text = (await readFile(at('tensors'))).toString('latin1')
    expect(text).toContain('block1_conv1/kernel')
    const shallow = at('a-lrn.safetensors')
    await importModel({ file: await shallowFile(files.folder), out: shallow, hints: { name: 'vgg-a-lrn' }, pictures: 'torch' })
    const before = await readdir(files.folder)
    for (const format of ['keras', 'torchvision'] as const)
      await expect(exportModel({ checkpoint: shallow, format, out: at('never') })).rejects.toMatchObject({
        code: 'CHECKPOINT_MISMATCH',
        message: expect.stringMatching(/^[^\n]*vgg-a-lrn[^\n]*--format safetensors[^\n]*$/) as string,
      })
    expect(await readdir(files.folder)).toEqual(before)
  })
})

/** The weights alone of a .keras, which is what save_weights writes. */
async function weightsOf(archive: string, out: string): Promise<string> {
  const zip = await yauzl.openPromise(join(FIXTURES, archive))
  for await (const entry of zip.eachEntry())
    if (entry.fileName === 'model.weights.h5') await writeFile(at(out), await buffer(await zip.openReadStreamPromise(entry)))
  return at(out)
}

describe('weights alone', () => {
  it('with batch normalization need its epsilon said, and are the same then', async () => {
    const file = await weightsOf('graph-vgg11-bn.keras', 'normalized.weights.h5')
    await expect(imported(file)).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
      message: expect.stringMatching(/^[^\n]*does not say the epsilon[^\n]*--epsilon[^\n]*$/) as string,
    })
    const { weightsDigest } = await imported(join(FIXTURES, 'graph-vgg11-bn.keras'))
    expect(await imported(file, { hints: { normalizationEpsilon: 0.001 } })).toMatchObject({ model: NORMALIZED, weightsDigest })
  })

  it('of a network that branches go by our names, and by nothing else', async () => {
    const hints = { normalizationEpsilon: 1e-5 }
    const named = await imported(await weightsOf('graph-se-resnet18.keras', 'named.weights.h5'), { hints })
    expect(named.weightsDigest).toBe((await imported(join(FIXTURES, 'graph-se-resnet18.keras'))).weightsDigest)
    await expect(imported(await weightsOf('graph-nameless.keras', 'nameless.weights.h5'), { hints })).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
      message: expect.stringMatching(/^[^\n]* has no layer conv1_conv, which resnet-18 [^\n]*branches[^\n]*$/) as string,
    })
  })
})

describe('a state dict that is not ours', () => {
  it.each<[string, (name: string, shape: readonly number[]) => [string, readonly number[]] | undefined, RegExp]>([
    [
      'of a ResNeXt',
      (name, shape) => [name, /layer\d\.\d\.conv2/.test(name) ? [shape[0] ?? 0, 1, 3, 3] : shape],
      /tensor layer1\.0\.conv2\.weight is 3 × 3 × 1 × 2, .* wants 3 × 3 × 2 × 2/,
    ],
    [
      'with a layer that torchvision lacks',
      (name, shape) => [name.replace('layer1.0.conv1', 'layer1.0.conv9'), shape],
      /tensor layer1\.0\.conv9\.weight .*none of torchvision's/,
    ],
    [
      'without a normalization',
      (name, shape) => (name.startsWith('layer3.1.bn1.') ? undefined : [name, shape]),
      /has no layer conv4_block2_1_bn, which resnet-50/,
    ],
    ['without its last layer', (name, shape) => (name.startsWith('fc.') ? undefined : [name, shape]), /has no dense layer/],
  ])('%s: one line', async (_, change, message) => {
    const source = await openTensorFile(join(FIXTURES, 'torch-resnet50.safetensors'))
    const tensors = [...source.tensors].flatMap(([name, { shape }]) => {
      const [to, sizes] = change(name, shape) ?? []
      if (to === undefined || sizes === undefined || name.endsWith('num_batches_tracked')) return []
      return [{ name: to, shape: sizes, read: async () => new Float32Array(sizes.reduce((product, side) => product * side, 1)) }]
    })
    await source.close()
    const { writeTensorFile } = await import('./safetensors-file.js')
    await writeTensorFile(at('changed.safetensors'), tensors, {})
    await expect(imported(at('changed.safetensors'))).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
      message: expect.stringMatching(new RegExp(`^[^\\n]*${message.source}[^\\n]*$`)) as string,
    })
  })
})
