import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { withOwnNetwork } from '@lockstep/coordinator/own-network/own-network.js'
import { preprocessingOf } from '@lockstep/data/preprocessing.js'
import { openTrainingData } from '@lockstep/data/training-data.js'
import { writeCheckpoint } from '@lockstep/shared/checkpoint/checkpoint-writer.js'
import { freshState } from '@lockstep/shared/checkpoint/fresh-state.js'
import type { UnsealedMetadata } from '@lockstep/shared/checkpoint/metadata.js'
import { withBasePictures } from '@lockstep/shared/initialization/base-pictures.js'
import type { TransferPlan } from '@lockstep/shared/initialization/depth-transfer.js'
import { initialWeights } from '@lockstep/shared/initialization/initial-weights.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf, type Network } from '@lockstep/shared/models/network.js'
import { initialSchedule } from '@lockstep/shared/optimizer/learning-rate.js'
import { parameterFloats, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { loadRecipe, recipeDigest } from '@lockstep/shared/recipe/load.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { withTargets } from '@lockstep/shared/recipe/targets.js'
import { addExample, addJsonOption, addSetOption } from '../options.js'
import { requireFreeFile } from '../output-path.js'
import { LiveDisplay } from '../terminal/live-display.js'
import { writeError, writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { table } from '../terminal/table.js'
import { bytes, count } from '../terminal/units.js'

interface InitializeOptions {
  from?: string
  newHead: boolean
  out: string
  force: boolean
  set: string[]
  json: boolean
}

export function configure(command: Command): void {
  command
    .description('Write the checkpoint that a training of a recipe begins with (step 0), and show which layers come from where.')
    .argument('<recipe>', 'the recipe, a YAML file')
    .requiredOption('--out <file>', 'the checkpoint to write, *.safetensors')
    .option('--from <checkpoint>', 'take the layers that the VGG paper copies from here (the same as initialization.from)')
    .option('--new-head', 'leave the last layer random when the checkpoint has other classes', false)
    .option('--force', 'overwrite the file', false)
  addSetOption(command)
  addJsonOption(command)
  addExample(command, 'lockstep initialize recipes/digits-d.yaml --from runs/digits-a/checkpoints/best.safetensors --out d-0.safetensors')
  command.action(initialize)
}

async function initialize(path: string, options: InitializeOptions): Promise<void> {
  const out = resolve(options.out)
  await requireFreeFile(out, options.force)
  const set = [
    ...options.set,
    ...(options.from === undefined ? [] : [`initialization.from=${JSON.stringify(resolve(options.from))}`]),
    ...(options.newHead ? ['initialization.newHead=true'] : []),
  ]
  const { network, metadata } = await describe(await withBasePictures((await loadRecipe(path, { set })).recipe))
  const { recipe } = metadata
  const layout = layoutOf(network)
  const weights = new Float32Array(layout.size)
  const plan = await initialWeights(recipe, network, layout, (entry, values) => weights.set(values, entry.offset))
  await mkdir(dirname(out), { recursive: true })
  const written = writeCheckpoint(out, layout, metadata, freshState(layout, weights, recipe.learningRate))
  if (options.json) {
    writeLine(
      JSON.stringify({ type: 'checkpoint', file: out, parameters: parameterFloats(layout), layers: plan?.rows ?? null, ...written }),
    )
    return
  }
  for (const line of transferLines(plan, network, layout)) writeLine(line)
  writeLine(
    `\n${shownPath(out)}: ${count(parameterFloats(layout))} parameters, ${bytes(written.bytes)}, weights digest ${written.weightsDigest}`,
  )
}

/** What the data decides: the classes, and how pictures are turned into input. */
async function describe(given: Recipe): Promise<{ network: Network; metadata: UnsealedMetadata }> {
  const display = new LiveDisplay()
  try {
    const onProgress = ({ what, done, total }: { what: string; done: number; total: number }): void =>
      display.status(`${what} ${String(done)}/${String(total)}`)
    const data = await openTrainingData(given.data, { seed: given.seed, inputSize: given.model.inputSize, onProgress })
    try {
      const recipe = await withOwnNetwork(withTargets(given, data.classes), data.classes.length, {
        onNote: (note) => writeError(`note: ${note}`),
      })
      const network = networkOf(recipe.model, data.classes.length)
      const metadata: UnsealedMetadata = {
        ...{ format: 1, step: 0, run: randomBytes(16).toString('hex'), seed: recipe.seed, recipe, network },
        preprocessing: { ...preprocessingOf(recipe, data) },
        schedule: initialSchedule(recipe.learningRate),
        // no engine has computed anything yet
        fingerprint: '',
        dataDigest: data.digest,
        recipeDigest: recipeDigest(recipe),
      }
      return { network, metadata }
    } finally {
      await data.close()
    }
  } finally {
    display.close()
  }
}

function transferLines(plan: TransferPlan | null, network: Network, layout: ParameterLayout): string[] {
  const rows =
    plan?.rows ??
    layout.entries
      .filter(({ kind }) => kind === 'kernel')
      .map(({ name, shape }) => ({ layer: name.replace(/\/kernel$/, ''), shape, source: 'random' }))
  const columns = [
    { title: `layer of ${network.name}`, align: 'left' },
    { title: 'shape', align: 'left' },
    { title: 'weights from', align: 'left' },
  ] as const
  return table(
    columns,
    rows.map(({ layer, shape, source }) => [layer, shape.join(' × '), source]),
  )
}
