import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { exportModel } from '@lockstep/formats/export-model.js'
import { importModel } from '@lockstep/formats/import-model.js'
import { loadTensorFlow } from '@lockstep/worker/engine/load-tensorflow.js'
import { oneThread } from '@lockstep/worker/engine/test-networks.js'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from './support/command.js'

oneThread()

/** Files made by the frameworks themselves, with their answers to two pictures: see make_fixtures.py beside them. */
const FIXTURES = fileURLToPath(new URL('../fixtures/formats/', import.meta.url))
const fixture = (name: string): string => join(FIXTURES, name)

let folder: string
/** Predictions by name, of each script's. */
let answers: Record<string, number[][]>
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-formats-'))
  const read = async (name: string): Promise<typeof answers> => JSON.parse(await readFile(fixture(name), 'utf8')) as typeof answers
  answers = { ...(await read('predictions.json')), ...(await read('torch-predictions.json')), ...(await read('graph-predictions.json')) }
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

interface Predicted {
  readonly predictions: readonly { readonly classes: readonly { readonly name: string; readonly probability: number }[] }[]
}

/** Probabilities in the order of the classes. */
function inOrder({ predictions }: Predicted): number[][] {
  return predictions.map(({ classes }) =>
    [...classes].sort((a, b) => Number(a.name) - Number(b.name)).map(({ probability }) => probability),
  )
}

function largestDifference(left: readonly number[][], right: readonly number[][]): number {
  return Math.max(...left.flatMap((row, i) => row.map((value, j) => Math.abs(value - (right[i]?.[j] ?? Infinity)))))
}

/** Seconds, unless the machine is busy with much else. */
const LONG = { timeout: 240_000 }

describe('an imported network', LONG, () => {
  it.each([
    ['vgg16-keras2.h5', 'vgg16-keras2', 64],
    ['vgg16-applications.h5', 'vgg16-keras2', 64],
    ['vgg16-keras3.weights.h5', 'vgg16-keras3', 64],
    ['vgg19-sequential.keras', 'vgg19-sequential', 64],
    ['torchvision.safetensors', 'torchvision', 256],
    ['torch-resnet18.safetensors', 'resnet18', 256],
    ['torch-resnet50.safetensors', 'resnet50', 256],
    ['torch-alexnet.safetensors', 'alexnet', 256],
    ['torch-vgg11-bn.safetensors', 'vgg11-bn', 256],
    ['graph-vgg11-bn-keras2.h5', 'graph-vgg11-bn-keras2.h5', 64],
    ['graph-vgg11-bn.keras', 'graph-vgg11-bn.keras', 64],
    ['graph-resnet18-keras2.h5', 'graph-resnet18-keras2.h5', 64],
    ['graph-se-resnet18.keras', 'graph-se-resnet18.keras', 64],
    ['graph-nameless.keras', 'graph-nameless.keras', 64],
  ])('%s sees in pictures what it saw in its own framework, to 1e-4', async (file, answer, side) => {
    const out = `${file}.safetensors`
    const made = await runCommand(['import', fixture(file), '--out', out], folder)
    expect(made).toMatchObject({ code: 0, stderr: '' })
    const pictures = ['a', 'b'].map((name) => fixture(`${name}-${String(side)}.png`))
    const predicted = await runCommand(['predict', out, ...pictures, '--json'], folder)
    expect(predicted).toMatchObject({ code: 0, stderr: '' })
    const found = inOrder(JSON.parse(predicted.stdout) as Predicted)
    expect(largestDifference(found, answers[answer] ?? [])).toBeLessThan(1e-4)
    // The two answers differ by more than that, so it is not one answer to everything.
    expect(largestDifference(found, [...(answers[answer] ?? [])].reverse())).toBeGreaterThan(0.02)
  })

  it('is inspected, evaluated on class folders, and a beginning for training', async () => {
    const classes = ['0', '1', '2', '3', '4']
    for (const [index, name] of classes.entries()) {
      await mkdir(join(folder, 'pictures', name), { recursive: true })
      await cp(fixture(`${index % 2 === 0 ? 'a' : 'b'}-64.png`), join(folder, 'pictures', name, 'one.png'))
      await cp(fixture(`${index % 2 === 0 ? 'b' : 'a'}-64.png`), join(folder, 'pictures', name, 'two.png'))
    }
    const made = await runCommand(['import', fixture('vgg16.keras'), '--out', 'vgg16.safetensors', '--json'], folder)
    expect(made).toMatchObject({ code: 0, stderr: '' })
    const inspected = await runCommand(['inspect', 'vgg16.safetensors'], folder)
    expect(inspected.stdout).toMatch(/imported from +vgg16\.keras \(keras, its first kernel turned from blue, green, red\)/)
    const evaluated = await runCommand(['evaluate', 'vgg16.safetensors', '--data', 'pictures', '--json'], folder)
    expect(evaluated).toMatchObject({ code: 0, stderr: '' })
    const { loss, samples } = JSON.parse(evaluated.stdout) as { loss: number; samples: number }
    // Both pictures stand in every class.
    const expected = (answers['vgg16-keras3'] ?? []).flat().reduce((sum, share) => sum - Math.log(share), 0) / 10
    expect(samples).toBe(10)
    expect(Math.abs(loss - expected)).toBeLessThan(1e-4)
    const from = ['--from', 'vgg16.safetensors', '--out', 'first.safetensors']
    const sizes = ['model.width=0.015625', 'model.inputSize=64', 'model.fullyConnected=[12, 10]', 'model.dropout=0'].flatMap((set) => [
      '--set',
      set,
    ])
    const recipe = await runCommand(['init', 'pictures', '--model', 'vgg-d'], folder)
    expect(recipe).toMatchObject({ code: 0, stderr: '' })
    const started = await runCommand(['initialize', 'recipe.yaml', ...from, ...sizes, '--json'], folder)
    expect(started).toMatchObject({ code: 0, stderr: '' })
    const digestIn = (stdout: string): string => (JSON.parse(stdout) as { weightsDigest: string }).weightsDigest
    expect(digestIn(started.stdout)).toBe(digestIn(made.stdout))
  })
})

describe('a network exported for tfjs', LONG, () => {
  it.each([
    ['vgg16-keras2.h5', 'vgg16-keras2'],
    ['graph-vgg11-bn.keras', 'graph-vgg11-bn.keras'],
    ['graph-resnet18-keras2.h5', 'graph-resnet18-keras2.h5'],
    ['graph-se-resnet18.keras', 'graph-se-resnet18.keras'],
  ])('is loaded by tfjs and sees there what it saw in Keras: %s', async (file, expected) => {
    const [checkpoint, out] = [join(folder, `for-tfjs-${file}.safetensors`), join(folder, `tfjs-${file}`)]
    await importModel({ file: fixture(file), out: checkpoint, hints: {} })
    await exportModel({ checkpoint, format: 'tfjs', out })
    const tf = loadTensorFlow()
    const model = await tf.loadLayersModel(pathToFileURL(join(out, 'model.json')).href)
    const pictures = await Promise.all(['a', 'b'].map((name) => caffePixels(fixture(`${name}-64.png`))))
    const answer = model.predict(tf.tensor4d(new Float32Array(pictures.flat()), [2, 64, 64, 3])) as ReturnType<typeof tf.tensor2d>
    expect(largestDifference(await answer.array(), answers[expected] ?? [])).toBeLessThan(1e-4)
  })
})

/** Blue, green, red minus the mean, as Keras' VGG16 wants them. */
async function caffePixels(path: string): Promise<number[]> {
  const pixels = await sharp(path).removeAlpha().raw().toBuffer()
  const mean = [103.939, 116.779, 123.68]
  return Array.from(pixels, (_, at) => (pixels[at - (at % 3) + (2 - (at % 3))] ?? 0) - (mean[at % 3] ?? 0))
}
