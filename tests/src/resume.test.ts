import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recipeText } from '@lockstep/shared/recipe/load.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand, startCommand } from './support/command.js'
import { drawFolder } from './support/picture-folder.js'
import { metricsOf, recipeOf, trainToEnd, type Trained } from './support/training.js'

/** A run that was stopped goes on, at any number of workers, with the very bits it would have had. */
const MINUTES = 60_000

let base: string
let reference: Trained

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-resume-'))
  const recipe = recipeOf(await drawFolder(join(base, 'pictures'), 40), { workers: 2 })
  await writeFile(join(base, 'recipe.yaml'), recipeText(recipe))
  reference = await trainToEnd(recipe, { base: join(base, 'undisturbed') })
}, 3 * MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

interface Line {
  readonly type: string
  readonly step?: number
}

/** Starts a training and sends the process group a signal once a step is done. */
async function interruptAt(step: number, signal: NodeJS.Signals, words: readonly string[]): Promise<number | null> {
  const command = startCommand([...words, '--json'], base, (line) => {
    const event = JSON.parse(line) as Line
    if (event.type === 'step' && event.step === step) command.interrupt(signal)
  })
  return (await command.ended).code
}

describe('Ctrl-C', () => {
  it(
    'saves, ends with 130, and goes on with another number of workers and the same bits',
    async () => {
      expect(await interruptAt(19, 'SIGINT', ['train', 'recipe.yaml', '--run', 'interrupted'])).toBe(130)
      const before = await metricsOf(join(base, 'interrupted'))
      expect(before.digests.size).toBeGreaterThanOrEqual(19)
      expect(before.digests.size).toBeLessThan(40)

      const resumed = await runCommand(['resume', 'interrupted', '--workers', '3', '--set', 'run.workers.minimum=3', '--json'], base)
      expect(resumed.stderr).toBe('')
      expect(resumed.code).toBe(0)
      const { digests } = await metricsOf(join(base, 'interrupted'))
      expect([...digests]).toEqual([...reference.digests])
      const summary = JSON.parse(resumed.stdout.trim().split('\n').at(-1) ?? '') as { summary: { stateDigest: string; workers: number } }
      expect(summary.summary.stateDigest).toBe(reference.summary.stateDigest)
      expect(summary.summary.workers).toBe(3)
    },
    5 * MINUTES,
  )

  it(
    'SIGTERM ends with 143',
    async () => {
      expect(await interruptAt(3, 'SIGTERM', ['train', 'recipe.yaml', '--run', 'preempted'])).toBe(143)
    },
    2 * MINUTES,
  )
})

describe('a killed coordinator', () => {
  it(
    'takes its workers with it; the run goes on from the newest checkpoint with the same bits',
    async () => {
      const pids: number[] = []
      const command = startCommand(['train', 'recipe.yaml', '--run', 'killed', '--json'], base, (line) => {
        const event = JSON.parse(line) as Line & { pid?: number }
        if (event.type === 'workerJoined' && event.pid !== undefined) pids.push(event.pid)
        if (event.type === 'step' && event.step === 17) command.child.kill('SIGKILL')
      })
      await command.ended
      await expect.poll(() => pids.filter(isAlive), { timeout: 20_000 }).toEqual([])

      const resumed = await runCommand(['resume', 'killed', '--workers', '1', '--set', 'run.workers.minimum=1', '--json'], base)
      expect(resumed.code).toBe(0)
      expect([...(await metricsOf(join(base, 'killed'))).digests]).toEqual([...reference.digests])
    },
    5 * MINUTES,
  )
})

describe('a run that is going on', () => {
  it(
    'is not resumed a second time',
    async () => {
      let second: Promise<{ code: number | null; stderr: string }> | undefined
      const command = startCommand(['train', 'recipe.yaml', '--run', 'busy', '--json'], base, (line) => {
        const event = JSON.parse(line) as Line
        if (event.type !== 'step' || event.step !== 2) return
        second = runCommand(['resume', 'busy'], base)
        void second.then(() => {
          command.interrupt('SIGINT')
        })
      })
      await command.ended
      const refused = await second
      expect(refused?.code).toBe(1)
      expect(refused?.stderr.trim().split('\n').length).toBe(1)
      expect(refused?.stderr).toMatch(/busy/)
    },
    3 * MINUTES,
  )
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
