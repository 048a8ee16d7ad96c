import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recipeText } from '@lockstep/shared/recipe/load.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand, type Ended } from './support/command.js'
import { drawFolder } from './support/picture-folder.js'
import { recipeOf, trainToEnd, type Trained } from './support/training.js'

/** `lockstep verify`: a run computed again agrees with itself; one whose record was changed parts at that very step. */
const MINUTES = 60_000

let base: string
let run: string
let trained: Trained

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-verified-'))
  // the rate drops at step 20, after an evaluation that the schedule remembers; kept checkpoints: 20 (best at its time), 30 and 40
  const recipe = recipeOf(await drawFolder(join(base, 'pictures'), 40), { workers: 2 })
  await writeFile(join(base, 'recipe.yaml'), recipeText(recipe))
  trained = await trainToEnd(recipe, { base: join(base, 'runs') })
  run = trained.directory
}, 3 * MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

interface Line {
  readonly type: string
  readonly from?: number
  readonly until?: number
  readonly verdict?: unknown
}

function lastLine({ stdout }: Ended): Line {
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as Line
}

async function leftovers(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('lockstep-verify-'))
}

describe('a run that nobody touched', () => {
  it(
    'agrees at every step and checkpoint, from the very beginning, with another number of workers',
    async () => {
      const before = await leftovers()
      const files = await readdir(run, { recursive: true })
      const ended = await runCommand(['verify', run, '--from', '0', '--workers', '1', '--json'], base)
      expect(ended.stderr).toBe('')
      expect(lastLine(ended)).toMatchObject({ type: 'verdict', from: 0, until: 40, verdict: { outcome: 'agree', steps: 40, lastStep: 40 } })
      expect(ended.code).toBe(0)
      expect(await leftovers()).toEqual(before)
      expect(await readdir(run, { recursive: true })).toEqual(files)
    },
    3 * MINUTES,
  )

  it(
    'agrees from a checkpoint, for the steps asked for, and says so in words',
    async () => {
      const { code, stdout } = await runCommand(['verify', run, '--steps', '6'], base)
      expect(stdout).toMatch(/: 6 steps( and 1 checkpoint)? agree, bit for bit, from step \d+ to step \d+\n$/)
      expect(code).toBe(0)
    },
    2 * MINUTES,
  )
})

describe('a run whose record was changed', () => {
  it(
    'parts at that step, and says where it still agreed',
    async () => {
      const metrics = join(run, 'metrics.jsonl')
      const text = await readFile(metrics, 'utf8')
      const digest = trained.digests.get(23) ?? ''
      await writeFile(
        metrics,
        text.replace(
          digest,
          digest.replace(/^./, (first) => (first === '0' ? '1' : '0')),
        ),
      )
      try {
        const { code, stdout } = await runCommand(['verify', run, '--from', '20', '--steps', '15'], base)
        expect(stdout).toMatch(/: the digests part at step 23; up to step 22 they agree\n/)
        expect(stdout).toContain(`computed again ${digest}`)
        expect(code).toBe(1)
      } finally {
        await writeFile(metrics, text)
      }
    },
    2 * MINUTES,
  )
})

describe('before anything is computed', () => {
  it('says that there is nothing to compare', async () => {
    const ended = await runCommand(['verify', run, '--from', '40'], base)
    expect(ended.stdout).toMatch(/nothing to compare after step 40.*\n.*--from 0/)
    expect(ended.code).toBe(1)
  })

  it('names the checkpoints that there are', async () => {
    const ended = await runCommand(['verify', run, '--from', '7'], base)
    expect(ended.stderr).toMatch(/^error: --from 7: .* has no whole checkpoint of that step; give one of 0, 20, 30, 40\n$/)
    expect(ended.code).toBe(2)
  })

  it('refuses a recipe that is not the run’s own any more', async () => {
    const path = join(run, 'recipe.yaml')
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replace(/^seed: 1$/m, 'seed: 2'))
    try {
      const ended = await runCommand(['verify', run], base)
      expect(ended.stderr).toMatch(/recipe\.yaml is not the recipe that .* was trained with.*put the old one back/)
      expect(ended.code).toBe(1)
    } finally {
      await writeFile(path, text)
    }
  })

  it('passes over a damaged checkpoint, by name', async () => {
    const path = join(run, 'checkpoints', 'step-00000030.safetensors')
    const bytes = await readFile(path)
    await truncate(path, bytes.length - 100)
    try {
      const ended = await runCommand(['verify', run, '--from', '30'], base)
      expect(ended.stderr).toMatch(/has no whole checkpoint of that step/)
    } finally {
      await writeFile(path, bytes)
    }
  })
})

describe('another machine', () => {
  it(
    'is refused in words that name both engines',
    async () => {
      const before = process.env.TF_ENABLE_ONEDNN_OPTS
      process.env.TF_ENABLE_ONEDNN_OPTS = '0'
      try {
        const ended = await runCommand(['verify', run, '--steps', '2'], base)
        expect(ended.stderr).toMatch(
          /cannot be verified on this machine: it was computed by an engine with fingerprint [0-9a-f]{12}, the engine here has [0-9a-f]{12}/,
        )
        expect(ended.stderr.trim().split('\n')).toHaveLength(1)
        expect(ended.code).toBe(1)
      } finally {
        if (before === undefined) delete process.env.TF_ENABLE_ONEDNN_OPTS
        else process.env.TF_ENABLE_ONEDNN_OPTS = before
      }
    },
    2 * MINUTES,
  )
})
