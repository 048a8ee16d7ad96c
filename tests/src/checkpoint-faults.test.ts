import { execFileSync } from 'node:child_process'
import { cp, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recipeText } from '@lockstep/shared/recipe/load.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand, startCommand, type Ended } from './support/command.js'
import { drawFolder } from './support/picture-folder.js'
import { metricsOf, recipeOf, trainToEnd, type Trained } from './support/training.js'

/** What goes wrong with checkpoints is said with file and remedy, and costs no bit of the result. */
const MINUTES = 60_000

let base: string
let reference: Trained

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-checkpoints-'))
  const recipe = recipeOf(await drawFolder(join(base, 'pictures'), 40), { workers: 1 })
  await writeFile(join(base, 'recipe.yaml'), recipeText(recipe))
  reference = await trainToEnd(recipe, { base: join(base, 'undisturbed') })
}, 3 * MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

interface Line {
  readonly type: string
  readonly step?: number
  readonly message?: string
}

const linesOf = ({ stdout }: Ended): Line[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

async function digestsOf(run: string): Promise<[number, string][]> {
  return [...(await metricsOf(run)).digests]
}

describe('a damaged newest checkpoint', () => {
  it(
    'is named; the one before is used, the metrics are cut back to it, and the bits come out the same',
    async () => {
      const run = join(base, 'damaged')
      await cp(reference.directory, run, { recursive: true, verbatimSymlinks: true })
      const newest = join(run, 'checkpoints', 'step-00000040.safetensors')
      const file = await open(newest, 'r+')
      const { size } = await file.stat()
      await file.write(Buffer.from([0x55]), 0, 1, size - 4_001)
      await file.close()
      const resumed = await runCommand(['resume', run, '--json'], base)
      expect(resumed.code).toBe(0)
      const lines = linesOf(resumed)
      expect(lines.filter(({ type }) => type === 'warning')).toMatchObject([
        { message: expect.stringMatching(/step-00000040\.safetensors was changed or damaged/) as string },
      ])
      expect(lines.find(({ type }) => type === 'step')?.step).toBe(31)
      expect(await digestsOf(run)).toEqual([...reference.digests])
    },
    2 * MINUTES,
  )
})

describe('a disk that takes no more', () => {
  it(
    'ends the run with file and remedy; nothing half-written stays, and the checkpoint before is good',
    async () => {
      const command = startCommand(['train', 'recipe.yaml', '--run', 'full', '--json'], base, (line) => {
        const event = JSON.parse(line) as Line
        // no file of the coordinator may grow beyond this: the same path through the code as a full disk
        if (event.type === 'step' && event.step === 22) execFileSync('prlimit', ['--pid', String(command.child.pid), '--fsize=65536'])
      })
      const { code, stderr } = await command.ended
      expect(stderr).toMatch(/cannot write checkpoint .*step-00000030\.safetensors: the disk is full \(EFBIG\); free space/)
      expect(code).toBe(1)
      const names = await readdir(join(base, 'full', 'checkpoints'))
      expect(names.filter((name) => name.includes('partial') || name.includes('00000030'))).toEqual([])
      const resumed = await runCommand(['resume', 'full', '--json'], base)
      expect(resumed.code).toBe(0)
      expect(await digestsOf(join(base, 'full'))).toEqual([...reference.digests])
    },
    3 * MINUTES,
  )
})

describe('SIGTERM', () => {
  const preempt = async (run: string, words: readonly string[]): Promise<Ended> => {
    const command = startCommand(['train', 'recipe.yaml', '--run', run, '--json', ...words], base, (line) => {
      const event = JSON.parse(line) as Line
      if (event.type === 'step' && event.step === 18) command.child.kill('SIGTERM')
    })
    return await command.ended
  }

  it(
    'with time enough, what is committed is saved',
    async () => {
      const ended = await preempt('preempted', [])
      expect(ended.code).toBe(143)
      const saved = linesOf(ended).findLast(({ type }) => type === 'checkpoint')?.step ?? 0
      expect(saved).toBeGreaterThanOrEqual(18)
      expect(linesOf(ended).some(({ type }) => type === 'warning')).toBe(false)
    },
    MINUTES,
  )

  it(
    'without, the run leaves all the same and says which checkpoint is good',
    async () => {
      const ended = await preempt('hurried', ['--set', 'run.checkpoint.graceSeconds=0'])
      expect(ended.code).toBe(143)
      expect(linesOf(ended).findLast(({ type }) => type === 'warning')?.message).toMatch(
        /was not saved within the 0 s of run\.checkpoint\.graceSeconds; the checkpoint of step 15 is good: go on with lockstep resume/,
      )
      const resumed = await runCommand(['resume', 'hurried', '--json'], base)
      expect(resumed.code).toBe(0)
      expect(await digestsOf(join(base, 'hurried'))).toEqual([...reference.digests])
    },
    2 * MINUTES,
  )
})
