import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { computeEnvironment } from '@lockstep/shared/environment/compute-environment.js'
import { faultsOf } from '../support/training.js'
import type { DisturbedRun } from './disturbed-run.js'
import type { Fault } from './fault.js'
import { losses } from './worker-faults.js'

const GHOST = fileURLToPath(new URL('../support/ghost-contributor.js', import.meta.url))
const ROUNDS = 60
const WANTED = ['DUPLICATE', 'OTHER_RUN', 'OTHER_TERM', 'PAST_STEP', 'FUTURE_STEP', 'MALFORMED'] as const

/** The averager's addresses as a local worker was told. */
function slicesOf(run: DisturbedRun): string[] {
  const log = readFileSync(join(run.directory, 'logs', 'worker-1.log'), 'utf8')
  const admitted = log.split('\n').find((line) => line.includes('"slices":'))
  return (JSON.parse(admitted ?? '{"slices":[]}') as { slices: string[] }).slices
}

async function haunt(run: DisturbedRun): Promise<Record<string, number>> {
  const child = spawn(process.execPath, [GHOST, run.address, String(ROUNDS), ...slicesOf(run)], {
    env: computeEnvironment(process.env, 1),
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  run.cleanups.push(async () => {
    child.kill('SIGKILL')
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  let ended = false
  child.on('close', () => (ended = true))
  await run.until("the ghost's end", () => (ended ? true : undefined))
  assert.equal(child.exitCode, 0, `the ghost ended with ${String(child.exitCode)}: ${output}`)
  return JSON.parse(output.trim().split('\n').at(-1) ?? '{}') as Record<string, number>
}

export const CONTRIBUTION_FAULTS: readonly Fault[] = [
  {
    name: 'contributions twice, late, early, malformed, of another run and term',
    quick: true,
    length: 'long',
    disturb: async (run) => {
      const outcomes = await haunt(run)
      for (const outcome of WANTED) assert((outcomes[outcome] ?? 0) > 0, `no contribution was ${outcome}: ${JSON.stringify(outcomes)}`)
      return 'every outcome met'
    },
    expected: (run) => {
      assert.deepEqual(losses(run), [])
      assert.deepEqual(Object.keys(faultsOf(run.summary)).sort(), [
        'contributionMalformed',
        'contributionOtherRun',
        'contributionOtherTerm',
      ])
    },
  },
]
