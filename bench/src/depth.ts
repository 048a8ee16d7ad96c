import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compareDepths, pixelBaseline } from '@lockstep/cli/quickstart/depth-comparison.js'
import type { DepthResults } from '@lockstep/cli/quickstart/depth-story.js'
import { Narrator } from '@lockstep/cli/terminal/narrator.js'
import { DATASETS_FOLDER } from '@lockstep/cli/project-folders.js'
import { resultsTable } from '@lockstep/cli/quickstart/results-table.js'
import { makeDigits } from '@lockstep/cli/picture-sets/digits.js'

/**
 * The quickstart's depth story on three seeds (or those given): VGG-A must be above 97 % and above the nearest neighbour, VGG-D from
 * A above VGG-D from random He, on each of them. `npm run bench -- depth [SEED…]`. Exit code 1 when a claim does not hold.
 */

const SEEDS = [1, 2, 3]
const SHALLOW_AT_LEAST = 0.97

/** What a seed's results have to show, and whether they do. */
function claims({ trainings, baseline }: DepthResults): [claim: string, holds: boolean][] {
  const [shallow = Number.NaN, normal = Number.NaN, he = Number.NaN, fromA = Number.NaN] = trainings.map(({ top1 }) => top1)
  return [
    ['VGG-A at least 97 %', shallow >= SHALLOW_AT_LEAST],
    ['VGG-A above nearest neighbour', shallow > baseline.top1],
    ['VGG-D from A above random He', fromA > he],
    ['VGG-D from A above random N(0, 0.01²)', fromA > normal],
  ]
}

const seeds = process.argv.slice(2).map(Number).filter(Number.isSafeInteger)
const narrator = new Narrator({ silent: false })
const base = await mkdtemp(join(tmpdir(), 'lockstep-depth-'))
try {
  await makeDigits(join(DATASETS_FOLDER, 'digits'))
  const baseline = await pixelBaseline(narrator)
  let holds = true
  for (const seed of seeds.length > 0 ? seeds : SEEDS) {
    narrator.act(`Seed ${String(seed)}`)
    const results = await compareDepths(baseline, { seed, base }, narrator)
    for (const line of resultsTable(results.trainings, baseline)) narrator.line(`   ${line}`)
    for (const [claim, holdsHere] of claims(results)) {
      narrator.line(`   ${holdsHere ? 'yes' : 'NO '}  ${claim}`)
      holds &&= holdsHere
    }
  }
  process.exitCode = holds ? 0 : 1
} finally {
  narrator.settle()
  await rm(base, { recursive: true, force: true })
}
process.exit()
