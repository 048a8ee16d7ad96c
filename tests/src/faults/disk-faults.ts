import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DisturbedRun } from './disturbed-run.js'
import type { Fault } from './fault.js'

/** Faults of what is stored: a disk that fills, pictures that rot. Both end the run with an error that names them. */

const DISK_MIB = 24

async function mount(folder: string): Promise<boolean> {
  await mkdir(folder, { recursive: true })
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${String(DISK_MIB)}m`, 'none', folder], { stdio: 'ignore' }).status === 0
}

function unmount(folder: string): void {
  spawnSync('umount', ['-l', folder], { stdio: 'ignore' })
}

/** Fills what is left of a disk, to the last byte. */
async function fill(path: string): Promise<void> {
  const file = await open(path, 'w')
  const isWritten = async (bytes: number): Promise<boolean> =>
    await file.write(Buffer.alloc(bytes, 1)).then(
      () => true,
      () => false,
    )
  for (let bytes = 1024 * 1024; bytes >= 1; bytes = Math.floor(bytes / 2)) {
    for (let more = true; more;) more = await isWritten(bytes)
  }
  await file.close()
}

/** The one line of an error, which has to name what happened. */
async function badEnd(run: DisturbedRun, words: RegExp): Promise<string> {
  const { code, stderr } = await run.end()
  assert.equal(code, 1, `exit code ${String(code)}: ${stderr}`)
  const [line = ''] = stderr.split('\n').filter((text) => text.startsWith('error: '))
  assert.match(line, words)
  return line
}

const fullDisk: Fault = {
  name: 'disk full (a tmpfs of 24 MiB), resumed with space',
  quick: true,
  length: 'short',
  unavailable: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-disk-'))
    const mounted = await mount(folder)
    if (mounted) unmount(folder)
    await rm(folder, { recursive: true, force: true })
    return mounted ? undefined : 'this user may not mount a tmpfs'
  },
  start: async (run) => {
    assert(await mount(run.directory), 'a tmpfs is mounted')
    run.cleanups.push(async () => {
      unmount(run.directory)
    })
    await run.train(['--set', 'run.checkpoint.everySteps=3'])
  },
  disturb: async (run) => {
    await run.until('a checkpoint', () => run.eventsOf('checkpoint')[0])
    const ballast = join(run.directory, 'ballast')
    await fill(ballast)
    await badEnd(run, /cannot write (checkpoint )?\S*(step-\d+\.safetensors|metrics\.jsonl|events\S+).*(disk is full|ENOSPC).*resume/)
    await rm(ballast)
    run.struckMs = performance.now()
    await run.resume()
    return 'ended with a clear error'
  },
  expected: () => undefined,
}

const corruptShard: Fault = {
  name: 'a shard goes bad while it is read; put back, resumed',
  quick: true,
  length: 'short',
  start: async (run) => {
    const own = `${run.directory}-data`
    await cp(run.ground.data, own, { recursive: true })
    run.cleanups.push(async () => {
      await rm(own, { recursive: true, force: true })
    })
    await run.train(['--set', `data.train=${own}`, '--set', 'run.checkpoint.everySteps=3'])
  },
  disturb: async (run) => {
    await run.until('a checkpoint', () => run.eventsOf('checkpoint')[0])
    const own = `${run.directory}-data`
    const { shards } = JSON.parse(await readFile(join(own, 'dataset.json'), 'utf8')) as { shards: { file: string }[] }
    const [{ file } = { file: '' }] = shards
    const path = join(own, file)
    const good = await readFile(path)
    await writeFile(path, Buffer.alloc(good.length, 0xff))
    const line = await badEnd(run, /DATA|other bytes|CRC/)
    assert(line.includes(file), `the error names the shard: ${line}`)
    assert.match(line, /record|sample/, 'the error names the record')
    await writeFile(path, good)
    run.struckMs = performance.now()
    await run.resume()
    return 'ended with shard and record named'
  },
  expected: () => undefined,
}

export const DISK_FAULTS: readonly Fault[] = [fullDisk, corruptShard]
