import { appendFile, mkdtemp, readFile, readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppendFile } from './append-file.js'
import { decodeEvents, type TensorBoardEvent } from './event-records.js'
import type { MetricsLine } from './metrics-lines.js'
import { MetricsLog } from './metrics-log.js'

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'lockstep-metrics-'))
})
afterEach(async () => {
  await rm(path, { recursive: true })
})

const step = (number: number) => ({
  step: number,
  loss: 1 / number,
  top1: 0.5,
  learningRate: 0.01,
  seconds: 0.1,
  samplesPerSecond: 320,
  workers: 2,
})
const evaluation = (number: number) => ({ step: number, loss: 0.5, top1: 0.75, top5: 1, samples: 100, seconds: 2, best: true })

async function lines(): Promise<MetricsLine[]> {
  const text = await readFile(join(path, 'metrics.jsonl'), 'utf8')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as MetricsLine)
}

async function events(): Promise<TensorBoardEvent[]> {
  const names = (await readdir(path)).filter((name) => name.startsWith('events.out.tfevents.')).sort()
  const files = await Promise.all(names.map((name) => readFile(join(path, name))))
  return files.flatMap((file) => [...decodeEvents(file)].map(({ event }) => event))
}

/** Ten steps with evaluations after 5 and 10, as a first term leaves them. */
async function firstTerm(): Promise<void> {
  const log = await MetricsLog.open({ path })
  for (let number = 1; number <= 10; number++) {
    log.step({ ...step(number), ...(number === 3 ? { stateDigest: 'abc' } : {}) })
    if (number % 5 === 0) log.evaluation(evaluation(number))
  }
  await log.close()
}

describe('MetricsLog', () => {
  it('writes a line and scalars for each step and evaluation', async () => {
    await firstTerm()
    const all = await lines()
    expect(all).toHaveLength(12)
    expect(all[2]).toEqual({ type: 'step', ...step(3), stateDigest: 'abc' })
    expect(all[5]).toEqual({ type: 'evaluation', ...evaluation(5) })
    const written = await events()
    expect(written[0]?.fileVersion).toBe('brain.Event:2')
    expect(written[4]?.scalars?.['train/loss']).toBeCloseTo(1 / 4, 6)
    expect(written.filter((event) => event.scalars?.['validation/top1'] === 0.75).map((event) => event.step)).toEqual([5, 10])
  })

  it.each([
    [7, 8],
    [5, 6],
    [0, 0],
    [10, 12],
  ])('cuts back to step %i, leaving %i lines, and goes on from there', async (cutBackTo, left) => {
    await firstTerm()
    const log = await MetricsLog.open({ path }, { cutBackTo })
    expect(await lines()).toHaveLength(left)
    expect((await events()).filter((event) => event.scalars !== undefined && event.step > cutBackTo)).toEqual([])
    log.evaluation(evaluation(5)) // done again after resuming: there already, unless it was cut away
    log.step(step(cutBackTo + 1))
    await log.close()
    expect((await lines()).filter((line) => line.type === 'evaluation' && line.step === 5)).toHaveLength(1)
    expect((await lines()).at(-1)).toMatchObject({ type: 'step', step: cutBackTo + 1 })
    expect((await events()).filter((event) => event.startsAgain === true).map((event) => event.step)).toEqual([cutBackTo + 1])
  })

  it('drops a torn last line and a torn last record, resumed or not', async () => {
    await firstTerm()
    await appendFile(join(path, 'metrics.jsonl'), '{"type":"step","step":11,"lo')
    const [name] = (await readdir(path)).filter((file) => file.startsWith('events'))
    const file = join(path, name ?? '')
    const { length } = await readFile(file)
    await truncate(file, length - 3)
    const log = await MetricsLog.open(path)
    log.step(step(11))
    await log.close()
    expect((await lines()).map((line) => line.step).slice(-3)).toEqual([10, 10, 11])
    expect((await events()).at(-1)?.step).toBe(11)
  })

  it('reaches the disk within a second or so, without being asked', async () => {
    const log = await MetricsLog.open(path)
    log.step(step(1))
    while ((await lines()).length === 0) await new Promise((resolve) => setTimeout(resolve, 50))
    await log.close()
    await log.close()
  })

  it('writes what is not a number as null', async () => {
    const log = await MetricsLog.open(path)
    log.step({ ...step(1), loss: Number.NaN })
    await log.close()
    expect(await lines()).toMatchObject([{ step: 1, loss: null }])
  })

  it('survives files that begin in the middle of nothing', async () => {
    await firstTerm()
    await truncate(join(path, 'metrics.jsonl'), 0)
    await appendFile(join(path, 'metrics.jsonl'), '\0\0\0\0')
    const log = await MetricsLog.open(path, { cutBackTo: 3 })
    log.step(step(4))
    await log.close()
    expect((await lines()).map((line) => line.step)).toEqual([4])
  })
})

describe('AppendFile', () => {
  it('says which file a full disk did not take, and keeps what was not written', async () => {
    const file = await AppendFile.open('/dev/full')
    file.append('line\n')
    await expect(file.flush()).rejects.toMatchObject({
      code: 'DISK',
      message: expect.stringMatching(/\/dev\/full.*free some space/) as string,
    })
    expect(file.failure).toMatchObject({ code: 'DISK' })
    await expect(file.close()).rejects.toMatchObject({ code: 'DISK' })
  })

  it('keeps the order of records over flushes that overlap', async () => {
    const file = await AppendFile.open(join(path, 'records'))
    const flushes: Promise<void>[] = []
    for (let number = 0; number < 100; number++) {
      file.append(`${String(number)}\n`)
      flushes.push(file.flush())
    }
    await Promise.all(flushes)
    await file.close()
    expect(await readFile(join(path, 'records'), 'utf8')).toBe(Array.from({ length: 100 }, (_, number) => `${String(number)}\n`).join(''))
  })
})
