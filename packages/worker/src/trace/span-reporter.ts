import type { WorkerMessage } from '@lockstep/shared/protocol/generated/lockstep/v1/WorkerMessage.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { ClockOffset } from '@lockstep/shared/trace/clock-offset.js'
import { clockIdentity, monotonicUs } from '@lockstep/shared/trace/clock.js'
import type { SpanRecorder } from '@lockstep/shared/trace/span-recorder.js'
import type { DoneRequest } from '../compute/compute-client.js'

/** Spans of one message: about 40 KB twice a second. */
export const SPANS_A_MESSAGE = 1000

/** Tells the coordinator what this worker did when, a bounded number of spans with every heartbeat. One a membership. */
export class SpanReporter {
  readonly #sameClock: boolean
  readonly #offset = new ClockOffset()

  /** @param coordinatorClock name of the coordinator's clock */
  constructor(
    readonly recorder: SpanRecorder,
    { detail, steps }: Recipe['run']['trace'],
    coordinatorClock: string,
    private readonly tell: (message: WorkerMessage) => void,
  ) {
    this.#sameClock = coordinatorClock !== '' && coordinatorClock === clockIdentity()
    recorder.record(detail === 'off' ? undefined : steps)
  }

  /** What a heartbeat asks: our clock's time, or 0 when there is nothing to ask. */
  question(): number {
    return this.recorder.isOn && !this.#sameClock ? monotonicUs() : 0
  }

  /** The coordinator's answer. @param sentUs our time in the heartbeat @param receivedUs its time */
  answered(sentUs: number, receivedUs: number): void {
    this.#offset.add(sentUs, receivedUs, monotonicUs())
  }

  /** Tells what there is. @param last whether the run waits for it */
  report(last = false): void {
    const clockOffsetUs = this.#sameClock ? 0 : this.#offset.offsetUs
    // without an offset nobody knows when it was: it waits, and the oldest is lost
    const spans = clockOffsetUs === undefined ? [] : this.recorder.take(SPANS_A_MESSAGE)
    if (spans.length > 0 || last) this.tell({ traceSpans: { spans, clockOffsetUs: clockOffsetUs ?? 0, last } })
  }

  /** Records what the compute thread did. @param batch samples a step @param sampleCount samples a leaf @param step the one in hand */
  computed(done: DoneRequest, batch: { readonly global: number; readonly leafSamples: number }, step: number): void {
    const { kind, firstPosition, startUs, seconds, layers } = done
    const at = firstPosition === undefined ? step : Math.floor(firstPosition / batch.global)
    const leaf = Math.floor(((firstPosition ?? 0) % batch.global) / batch.leafSamples)
    const names = {
      gradient: `leaf ${String(leaf)}`,
      add: 'add nodes',
      setWeights: 'set weights',
      narrow: 'round to bfloat16',
      renew: 'take other memory',
      probe: 'probe',
    }
    const name = kind in names ? names[kind as keyof typeof names] : 'forward pass'
    this.recorder.add({ track: 'compute', kind: 'compute', name, step: at }, startUs, startUs + seconds * 1e6)
    for (const layer of layers)
      this.recorder.add({ track: 'compute', kind: 'layer', name: layer.name, step: at }, layer.startUs, layer.startUs + layer.durationUs)
  }
}
