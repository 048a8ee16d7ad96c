import { createReadStream } from 'node:fs'
import { readFile, readdir, stat, truncate } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { AppendFile } from './append-file.js'
import { decodeEvents, encodeEvent } from './event-records.js'
import { metricsLine, staysAfterCut, type EvaluationMetrics, type StepMetrics } from './metrics-lines.js'

export const METRICS_FILE = 'metrics.jsonl'

/** What a run measures: metrics.jsonl for programs, an events file for TensorBoard. */
export class MetricsLog {
  readonly #lines: AppendFile
  readonly #events: AppendFile
  #lastEvaluation = -1

  private constructor(lines: AppendFile, events: AppendFile) {
    this.#lines = lines
    this.#events = events
  }

  /**
   * Opens a run's metrics for appending.
   * @param runDirectory the folder, or anything with its path
   * @param cutBackTo the updates done from which the run goes on: later lines and events are removed, torn ones always
   * @throws TrainError DISK
   */
  static async open(runDirectory: string | { readonly path: string }, { cutBackTo }: { cutBackTo?: number } = {}): Promise<MetricsLog> {
    const folder = typeof runDirectory === 'string' ? runDirectory : runDirectory.path
    const step = cutBackTo ?? Number.MAX_SAFE_INTEGER
    try {
      const lastEvaluation = await cutLines(join(folder, METRICS_FILE), step)
      for (const name of await readdir(folder)) if (name.startsWith('events.out.tfevents.')) await cutEvents(join(folder, name), step)
      const lines = await AppendFile.open(join(folder, METRICS_FILE))
      // One file a term, as TensorBoard expects of a run that was interrupted; it reads them in the order of their names.
      const seconds = String(Math.floor(Date.now() / 1000)).padStart(10, '0')
      const events = await AppendFile.open(join(folder, `events.out.tfevents.${seconds}.${hostname()}.${String(process.pid)}`))
      const log = new MetricsLog(lines, events)
      log.#lastEvaluation = lastEvaluation
      log.#begin(cutBackTo)
      return log
    } catch (error) {
      if (error instanceof TrainError) throw error
      throw new TrainError(
        'DISK',
        `cannot write metrics in ${folder} (${error instanceof Error ? error.message : String(error)}): free some space, then resume the run`,
        { cause: error },
      )
    }
  }

  /** Adds a step's line and scalars. */
  step(metrics: StepMetrics): void {
    this.#lines.append(metricsLine({ type: 'step', ...metrics }))
    this.#scalars(metrics.step, {
      'train/loss': metrics.loss,
      'train/top1': metrics.top1,
      'train/learning_rate': metrics.learningRate,
      'train/samples_per_second': metrics.samplesPerSecond,
      'train/workers': metrics.workers,
    })
  }

  /** Adds an evaluation's line and scalars; one that is done again after resuming is the same, and is written once. */
  evaluation(metrics: EvaluationMetrics): void {
    if (metrics.step <= this.#lastEvaluation) return
    this.#lastEvaluation = metrics.step
    this.#lines.append(metricsLine({ type: 'evaluation', ...metrics }))
    this.#scalars(metrics.step, { 'validation/loss': metrics.loss, 'validation/top1': metrics.top1, 'validation/top5': metrics.top5 })
  }

  /** The reason why the last second's metrics are not on disk yet (disk full); they are kept and tried again. */
  get failure(): Error | undefined {
    return this.#lines.failure ?? this.#events.failure
  }

  /** @throws TrainError DISK */
  async flush(): Promise<void> {
    await Promise.all([this.#lines.flush(), this.#events.flush()])
  }

  /** Writes the rest and closes both files. @throws TrainError DISK */
  async close(): Promise<void> {
    const results = await Promise.allSettled([this.#lines.close(), this.#events.close()])
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  #begin(cutBackTo: number | undefined): void {
    const wallTime = Date.now() / 1000
    this.#events.append(encodeEvent({ wallTime, step: 0, fileVersion: 'brain.Event:2' }))
    // A TensorBoard that is looking on has read what was cut away: this makes it forget.
    if (cutBackTo !== undefined) this.#events.append(encodeEvent({ wallTime, step: cutBackTo + 1, startsAgain: true }))
  }

  #scalars(step: number, scalars: Readonly<Record<string, number>>): void {
    this.#events.append(encodeEvent({ wallTime: Date.now() / 1000, step, scalars }))
  }
}

/** Cuts metrics.jsonl at the first line beyond `step`, or torn. @returns the step of the last evaluation that stays, -1 without one */
async function cutLines(path: string, step: number): Promise<number> {
  const size = await sizeOf(path)
  if (size === undefined) return -1
  let whole = 0
  let lastEvaluation = -1
  let rest = Buffer.alloc(0)
  reading: for await (const part of createReadStream(path) as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, part])
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = rest.toString('utf8', 0, end)
      if (!staysAfterCut(line, step)) break reading
      if (line.startsWith('{"type":"evaluation"')) lastEvaluation = (JSON.parse(line) as { step: number }).step
      whole += end + 1
      rest = rest.subarray(end + 1)
    }
  }
  if (whole < size) await truncate(path, whole)
  return lastEvaluation
}

/** Cuts an events file at the first record beyond `step`, or torn. */
async function cutEvents(path: string, step: number): Promise<void> {
  const file = await readFile(path)
  let whole = 0
  for (const { end, event } of decodeEvents(file)) {
    if (event.scalars !== undefined && event.step > step) break
    whole = end
  }
  if (whole < file.length) await truncate(path, whole)
}

async function sizeOf(path: string): Promise<number | undefined> {
  return await stat(path).then(
    (found) => found.size,
    () => undefined,
  )
}
