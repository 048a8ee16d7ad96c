import { spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, stat, truncate } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { train } from '@lockstep/coordinator/train.js'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { packFolder } from '@lockstep/data/pack-folder.js'
import { clientEndpoint } from '@lockstep/shared/protocol/endpoints.js'
import type { CoordinatorMessage__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import { services } from '@lockstep/shared/protocol/grpc-definitions.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawFolder } from './support/picture-folder.js'
import { recipeOf } from './support/training.js'

/** A worker that would compute other bits is refused at join, in words that name the difference. */
const MINUTES = 60_000
const WORKER = fileURLToPath(new URL('../../packages/worker/dist/main.js', import.meta.url))

let base: string
let address: string
let stop: () => Promise<void>
const events: TrainEvent[] = []

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-refusals-'))
  const recipe = recipeOf(await drawFolder(join(base, 'pictures'), 20), { workers: 1, steps: 1_000_000 })
  recipe.evaluation = { ...recipe.evaluation, everySteps: 1_000_000 }
  const abort = new AbortController()
  const run = train(recipe, { base: join(base, 'runs'), signal: abort.signal })
  let ended: Promise<void> = Promise.resolve()
  const joined = new Promise<void>((resolve) => {
    ended = (async () => {
      for await (const event of run) {
        events.push(event)
        if (event.type === 'started') address = event.address
        if (event.type === 'workerJoined') resolve()
      }
    })()
  })
  await Promise.race([joined, ended])
  stop = async () => {
    abort.abort('SIGINT')
    await ended
  }
}, 2 * MINUTES)

afterAll(async () => {
  await stop()
  await rm(base, { recursive: true, force: true })
})

/** Starts a worker by hand and waits for it to be sent away. */
async function joinWith(words: readonly string[], environment: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [WORKER, '--join', address, '--name', 'stranger', ...words], {
    env: { ...process.env, TF_NUM_INTRAOP_THREADS: '1', OMP_NUM_THREADS: '1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (text: Buffer) => (output += text.toString()))
  child.stderr.on('data', (text: Buffer) => (output += text.toString()))
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, output }
}

describe('a worker with another', () => {
  it(
    'engine',
    async () => {
      const { code, output } = await joinWith([], { TF_ENABLE_ONEDNN_OPTS: '0' })
      expect(code).toBe(1)
      expect(output).toMatch(/computes other bits \(fingerprint [0-9a-f]{12}, the run's is [0-9a-f]{12}\).*use the same processor type/)
      expect(events.find(({ type }) => type === 'workerRefused')).toMatchObject({ name: 'stranger' })
    },
    MINUTES,
  )

  it(
    'data set',
    async () => {
      const other = await drawFolder(join(base, 'other'), 19)
      const { code, output } = await joinWith(['--data', other], {})
      expect(code).toBe(1)
      expect(output).toMatch(/--data/)
      expect(output).toMatch(/[0-9a-f]{12}/)
    },
    MINUTES,
  )

  it('build', async () => {
    const { credentials, options } = clientEndpoint()
    const client = new services.Coordinator(address, credentials, options)
    const stream = client.Join()
    const answer = new Promise<CoordinatorMessage__Output>((resolve, reject) => stream.on('data', resolve).on('error', reject))
    stream.write({ hello: { name: 'old', host: 'elsewhere', pid: 1, buildDigest: 'ab'.repeat(32) } })
    const { refused } = await answer
    expect(refused?.code).toBe('WORKER_REFUSED_BUILD')
    expect(refused?.message).toMatch(/another build of Lockstep \(abababababab\).*install the same version/)
    stream.end()
    client.close()
  })
})

describe('before anything is trained', () => {
  it(
    'a port that is taken is said, and the run leaves no processes',
    async () => {
      const holder = createServer()
      await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
      const bound = holder.address()
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0
      const recipe = recipeOf(join(base, 'pictures'), { name: 'taken' })
      const run = train({ ...recipe, run: { ...recipe.run, listen: { host: '127.0.0.1', port } } }, { base: join(base, 'runs') })
      const drain = async (): Promise<void> => {
        for await (const event of run) expect(event.type).not.toBe('started')
      }
      await expect(drain()).rejects.toMatchObject({ code: 'PORT_TAKEN' })
      holder.close()
    },
    MINUTES,
  )

  it(
    'a truncated shard is named',
    async () => {
      const packed = join(base, 'packed')
      await packFolder({ input: join(base, 'pictures'), output: packed, onBroken: 'stop' })
      const damaged = join(base, 'damaged')
      await cp(packed, damaged, { recursive: true })
      const { shards } = JSON.parse(await readFile(join(damaged, 'dataset.json'), 'utf8')) as { shards: { file: string }[] }
      const shard = join(damaged, shards[0]?.file ?? '')
      await truncate(shard, (await stat(shard)).size - 5000)
      const run = train(recipeOf(damaged, { name: 'damaged' }), { base: join(base, 'runs') })
      const drain = async (): Promise<void> => {
        for await (const event of run) expect(event.type).toBe('preparing')
      }
      await expect(drain()).rejects.toMatchObject({
        code: 'DATA_CORRUPT',
        message: expect.stringContaining(shards[0]?.file ?? '?') as string,
      })
    },
    MINUTES,
  )
})
