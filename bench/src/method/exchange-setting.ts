import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Averager } from '@lockstep/averager/averager.js'
import { readInstant, windowBetween } from '@lockstep/cli/measurement/foreign-load.js'
import { cpuSecondsOf, readMemory, readTree, resetPeak } from '@lockstep/cli/measurement/process-readings.js'
import { echoMs, echoServer } from './echo-time.js'
import { EXCHANGE_RUN, flatLayout } from './exchanged-vector.js'
import { LineProcess } from './line-process.js'

const WORKERS = 2
const RATE = 1e-6
const OPTIMIZER = { type: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 5e-4, decayOn: 'kernels' } as const
const MEBIBYTE = 1024 * 1024

export interface ExchangeSettingOptions {
  readonly floats: number
  readonly slices: number
  /** The ways that are compared. */
  readonly roundTripsMs: readonly number[]
  /** Of each way, a worker and direction; 0 for no limit. */
  readonly megabytesPerSecond: number
}

/** One step by one way. */
export interface ExchangeSample {
  /** From the call to both workers until the version that both have is committed. */
  readonly ms: number
  /** Until the last worker had its gradient acknowledged, and until it had all weights. */
  readonly sentMs: number
  readonly receivedMs: number
  readonly relayCpuSeconds: number
  /** Averager and workers. */
  readonly ownCpuSeconds: number
  readonly steal: number
  readonly foreign: number
  readonly disturbed: boolean
}

/** Memory of one process, MiB. */
export interface ProcessMemory {
  readonly name: string
  readonly pid: number
  readonly residentMib: number
  readonly peakMib: number
}

/** Two workers' exchanges, a process each, and relays, all in one more, against an averager in this process. */
export class ExchangeSetting {
  readonly #averager: Averager
  readonly #relays: LineProcess
  readonly #workers: readonly LineProcess[]
  readonly #floats: number
  readonly #megabytesPerSecond: number
  #version = 0

  private constructor(averager: Averager, { floats, megabytesPerSecond }: ExchangeSettingOptions) {
    const program = (name: string): string => fileURLToPath(new URL(`../processes/${name}.js`, import.meta.url))
    this.#averager = averager
    this.#floats = floats
    this.#megabytesPerSecond = megabytesPerSecond
    this.#relays = new LineProcess(process.execPath, [program('delay-relay')], {})
    this.#workers = Array.from(
      { length: WORKERS },
      (_, leaf) => new LineProcess(process.execPath, [program('exchange-step'), String(leaf), String(floats)], {}),
    )
  }

  static async start(options: ExchangeSettingOptions): Promise<ExchangeSetting> {
    const { floats, slices, roundTripsMs } = options
    const averager = await Averager.start({
      ...EXCHANGE_RUN,
      ...{ layout: flatLayout(floats), leaves: WORKERS, microBatches: WORKERS, optimizer: OPTIMIZER, slices },
      ...{ host: '127.0.0.1', insecureNetwork: false },
    })
    averager.write(
      'weights',
      0,
      Float32Array.from({ length: floats }, (_, index) => (index % 13) - 6),
    )
    await averager.open(0)
    const setting = new ExchangeSetting(averager, options)
    try {
      for (const roundTripMs of roundTripsMs) await setting.#connect(roundTripMs)
      return setting
    } catch (error) {
      await setting.close()
      throw error
    }
  }

  /** Every worker gets one more exchange, by relays of this delay. */
  async #connect(roundTripMs: number): Promise<void> {
    const addresses: string[] = []
    for (const address of this.#averager.addresses) addresses.push(`127.0.0.1:${await this.#relayTo(address, roundTripMs)}`)
    for (const worker of this.#workers) await worker.ask(`connect ${addresses.join(',')}`)
  }

  /** @returns the port of a new relay */
  async #relayTo(address: string, roundTripMs: number): Promise<string> {
    return await this.#relays.ask(`${address} ${String(roundTripMs)} ${String(this.#megabytesPerSecond)}`)
  }

  /** The round trip of a byte by a relay of this delay, when nothing else goes by it. */
  async echoMs(roundTripMs: number): Promise<number> {
    const server = await echoServer()
    try {
      return await echoMs(Number(await this.#relayTo(`127.0.0.1:${String((server.address() as AddressInfo).port)}`, roundTripMs)))
    } finally {
      server.close()
    }
  }

  /** One step: gradients out, averaged, applied, new weights in, both directions at once, committed. @param way index of its delay */
  async step(way: number): Promise<ExchangeSample> {
    const step = this.#version
    const [before, relayBefore] = [await readInstant(), await this.#relayCpuSeconds()]
    const startMs = performance.now()
    const reduced = once(this.#averager, 'reduced')
    await this.#averager.beginStep(step, RATE)
    const answers = await Promise.all(this.#workers.map((worker) => worker.ask(`step ${String(way)} ${String(step)}`)))
    const [news] = (await reduced) as [{ readonly finite: boolean }]
    if (!news.finite) throw new Error('the weights are not finite any more')
    await this.#averager.commit(step + 1)
    const ms = performance.now() - startMs
    this.#version = step + 1
    const [after, relayAfter] = [await readInstant(), await this.#relayCpuSeconds()]
    const { ownSeconds, steal, foreign, disturbed } = windowBetween(before, after)
    const times = answers.map((answer) => answer.split(' ').map(Number))
    const relayCpuSeconds = relayAfter - relayBefore
    return {
      ms,
      sentMs: Math.max(...times.map(([sentMs = Number.NaN]) => sentMs)),
      receivedMs: Math.max(...times.map(([, receivedMs = Number.NaN]) => receivedMs)),
      ...{ relayCpuSeconds, ownCpuSeconds: ownSeconds - relayCpuSeconds, steal, foreign, disturbed },
    }
  }

  async #relayCpuSeconds(): Promise<number> {
    return cpuSecondsOf(await readTree(this.#relays.pid))
  }

  get #processes(): { readonly name: string; readonly pid: number }[] {
    const workers = this.#workers.map(({ pid }, index) => ({ name: `worker ${String(index)}`, pid }))
    return [{ name: 'averager', pid: process.pid }, ...workers, { name: 'relays', pid: this.#relays.pid }]
  }

  /** What every process has, and the most it had since {@link forgetPeaks}. */
  async memory(): Promise<ProcessMemory[]> {
    return await Promise.all(
      this.#processes.map(async ({ name, pid }) => {
        const { residentBytes, peakBytes } = await readMemory(pid)
        return { name, pid, residentMib: residentBytes / MEBIBYTE, peakMib: peakBytes / MEBIBYTE }
      }),
    )
  }

  async forgetPeaks(): Promise<void> {
    await Promise.all(this.#processes.map(({ pid }) => resetPeak(pid)))
  }

  /** @throws Error if a worker has other weights than the averager */
  async compareWeights(): Promise<void> {
    const expected = createHash('sha256')
      .update(this.#averager.read('weights', 0, this.#floats))
      .digest('hex')
    for (const worker of this.#workers)
      if ((await worker.ask('digest')) !== expected) throw new Error('a worker has other weights than the averager')
  }

  async close(): Promise<void> {
    for (const child of [...this.#workers, this.#relays]) child.close()
    await this.#averager.close()
  }
}
