import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { measureYardsticks, type DataYardsticks } from '@lockstep/cli/experiment/data-yardsticks.js'
import { makeEmoji } from '@lockstep/cli/picture-sets/emoji.js'
import { DATASETS_FOLDER, recipeFile } from '@lockstep/cli/project-folders.js'
import type { Narrator } from '@lockstep/cli/terminal/narrator.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { trainedPart } from '@lockstep/shared/parameters/layout.js'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import { modelSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { followed, type FollowedTraining } from './followed-training.js'
import { AT_MOST, measureTransferCost } from './transfer-cost.js'

/** A row of the table: what, top-1 on the new classes, seconds. */
type Row = readonly [what: string, top1: number, seconds: number]

/**
 * A base trained on half of the emoji's classes, a head on the others, and what it has to beat.
 * @returns whether a step costs and sends what it may; how right the head is, is told as it came out
 */
export async function transferEmoji(narrator: Narrator, rounds: number): Promise<boolean> {
  const base = await mkdtemp(join(tmpdir(), 'lockstep-transfer-'))
  try {
    await makeEmoji(join(DATASETS_FOLDER, 'emoji'), { onProgress: ({ what, done, total }) => narrator.progress(done, total, what) })
    const { recipe: former } = await loadRecipe(recipeFile('emoji-base'))
    const first = await followed(former, base, narrator)
    narrator.line(`the base: top-1 ${percent(first.top1)} on ${former.data.classes?.join(', ') ?? ''}`)
    const { recipe: written } = await loadRecipe(recipeFile('emoji-transfer'))
    const weights = join(first.directory, 'checkpoints', 'best.safetensors')
    const run: Recipe['run'] = { ...written.run, exchange: { ...written.run.exchange, sharedMemory: 'off' } }
    const recipe: Recipe = { ...written, model: { ...written.model, weights }, run }
    const yardsticks = await measureYardsticks(recipe, narrator)
    const head = await followed(recipe, base, narrator)
    const scratch = await followed(fromScratch(recipe), base, narrator)
    report(narrator, recipe, yardsticks, head, scratch)
    const travels = await reportBytes(narrator, recipe, yardsticks.classes, head)
    const { factor, lines } = await measureTransferCost(recipe.model, yardsticks.classes, recipe.batch.micro, rounds * 3)
    for (const line of lines) narrator.line(`  ${line}`)
    return travels && factor <= AT_MOST
  } finally {
    narrator.settle()
    await rm(base, { recursive: true, force: true })
  }
}

/** The same network with the same steps, nothing of it frozen, and all of it random at first. */
function fromScratch({ model, ...recipe }: Recipe): Recipe {
  const { name, width, inputSize, batchNormalization, head } = model
  return { ...recipe, name: `${recipe.name}-scratch`, model: modelSchema.parse({ name, width, inputSize, batchNormalization, head }) }
}

function report(narrator: Narrator, recipe: Recipe, yardsticks: DataYardsticks, head: FollowedTraining, scratch: FollowedTraining): void {
  const { nearestNeighbour, chance } = yardsticks
  const rows: Row[] = [
    ['the largest class, always', chance.top1, 0],
    ['nearest neighbour on pixels', nearestNeighbour.top1, nearestNeighbour.seconds],
    ['the same network from random weights, all of it trained', scratch.top1, scratch.summary.wallSeconds],
    ['a new head on the frozen base', head.top1, head.summary.wallSeconds],
  ]
  narrator.settle()
  narrator.line(
    `${recipe.data.classes?.join(', ') ?? ''}: ${String(yardsticks.trainPictures)} pictures, ${String(chance.pictures)} to validate, ${String(head.summary.steps)} steps`,
  )
  for (const [what, top1, seconds] of rows) narrator.line(`  ${what}: top-1 ${percent(top1)}, ${seconds.toFixed(0)} s`)
}

/** What the workers sent, by their own logs, beside the size of the head. */
async function reportBytes(
  narrator: Narrator,
  recipe: Recipe,
  classes: number,
  { directory, summary }: FollowedTraining,
): Promise<boolean> {
  const layout = layoutOf(networkOf(recipe.model, classes))
  const head = trainedPart(layout).size * Float32Array.BYTES_PER_ELEMENT
  let [sent, received] = [0, 0]
  const workers = recipe.run.workers.count
  for (let number = 1; number <= workers; number++) {
    const log = await readFile(join(directory, 'logs', `worker-${String(number)}.log`), 'utf8')
    const line = log.split('\n').find((one) => one.includes('the work of this membership is over')) ?? '{}'
    const { bytesAcknowledged = 0, bytesReceived = 0 } = JSON.parse(line) as { bytesAcknowledged?: number; bytesReceived?: number }
    sent += bytesAcknowledged
    received += bytesReceived
  }
  const vectors = (bytes: number): string => `${String(bytes)} bytes, ${(bytes / head / summary.steps).toFixed(2)} heads a step`
  narrator.line(`  the head has ${String(head)} bytes, the whole network ${String(layout.size * 4)}; ${String(workers)} workers together`)
  narrator.line(`  sent ${vectors(sent)}; received ${vectors(received)}`)
  // a worker sends at most a node a level of the tree, and receives every version and the first
  return sent > 0 && sent % head === 0 && received % head === 0 && received <= workers * (summary.steps + 1) * head
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
