import { parseArgs } from 'node:util'
import type { Fault } from './fault.js'
import { FAULTS } from './fault-table.js'
import { Ground } from './ground.js'
import { tableLines, tally, type Row } from './results-table.js'
import { runTrial, type Trial } from './trial.js'

/**
 * `npm run test:faults [-- --repetitions N --only WORDS --seed N]`: disturbs real trainings in every way of the failure
 * contract, each at seeded moments, and compares the digest of every step with the undisturbed training's.
 */

const { values } = parseArgs({
  options: {
    repetitions: { type: 'string', default: '5' },
    only: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string', default: '1' },
    quick: { type: 'boolean', default: false },
  },
})
const repetitions = Number(values.repetitions)
const seed = Number(values.seed)
if (!Number.isInteger(repetitions) || repetitions < 1 || !Number.isInteger(seed)) {
  console.error('Usage: npm run test:faults [-- --repetitions N --only PART-OF-NAME --seed N --quick]')
  process.exit(2)
}

function isChosen(fault: Fault): boolean {
  return (!values.quick || fault.quick) && (values.only.length === 0 || values.only.some((words) => fault.name.includes(words)))
}

async function walk(fault: Fault, ground: Ground): Promise<Row> {
  const skipped = await fault.unavailable?.()
  if (skipped !== undefined) {
    console.log(`${fault.name}: skipped, ${skipped}`)
    return { fault: fault.name, trials: [], skipped }
  }
  const trials: Trial[] = []
  for (let repetition = 0; repetition < repetitions; repetition++) {
    const startMs = performance.now()
    const trial = await runTrial(fault, ground, repetition, seed)
    trials.push(trial)
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
    console.log(
      `${fault.name}, ${String(repetition + 1)} of ${String(repetitions)}: ${trial.passed ? 'passed' : 'FAILED'} (${seconds} s) ${trial.seen}`,
    )
    for (const line of trial.failure) console.log(`    ${line}`)
  }
  return { fault: fault.name, trials }
}

const chosen = FAULTS.filter(isChosen)
if (chosen.length === 0) console.log(`no fault has such a name; there are:\n${FAULTS.map(({ name }) => `  ${name}`).join('\n')}`)
const ground = await Ground.make()
const rows: Row[] = []
for (const fault of chosen) rows.push(await walk(fault, ground))
const { passed, failed, skipped } = tally(rows)
console.log(`\n${tableLines(rows).join('\n')}\n`)
console.log(`${String(passed)} passed, ${String(failed)} failed${skipped > 0 ? `, ${String(skipped)} skipped` : ''}`)
if (failed === 0) await ground.remove()
process.exit(failed === 0 && passed > 0 ? 0 : 1)
