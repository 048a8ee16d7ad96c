import type { CoordinatorMessage } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import type { Heartbeat__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Heartbeat.js'
import type { Probe__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Probe.js'
import { Channel } from './channel.js'
import type { Place } from './virtual-time.js'
import type { World } from './world-parts.js'

/** What a worker says on its membership stream. */
export type WorkerWord =
  | { readonly type: 'hello'; readonly buildDigest: string; readonly name: string }
  | { readonly type: 'probe'; readonly probe: Probe__Output }
  | { readonly type: 'leave' }
  | { readonly type: 'heartbeat'; readonly beat: Heartbeat__Output }
  | { readonly type: 'spanFinished'; readonly step: number; readonly leaves: number; readonly seconds: number }
  | {
      readonly type: 'evaluationResult'
      readonly term: number
      readonly version: number
      readonly batch: number
      readonly samples: number
      readonly correctTop1: number
      readonly correctTop5: number
      readonly lossSum: number
    }

/** A membership stream: two channels that break together. */
export class Connection {
  readonly up: Channel
  readonly down: Channel
  /** Told on the coordinator's side. */
  heard: (word: WorkerWord) => void = () => undefined
  ended: () => void = () => undefined
  /** Told on the worker's side. */
  told: (message: CoordinatorMessage) => void = () => undefined
  broken: () => void = () => undefined
  #open = true
  #writable = true

  constructor(
    private readonly world: World,
    name: string,
    private readonly coordinator: Place,
    private readonly worker: Place,
  ) {
    this.up = new Channel(world.time, world.chance(`${name} up`), world.networkDelays, coordinator)
    this.down = new Channel(world.time, world.chance(`${name} down`), world.networkDelays, worker)
  }

  get isOpen(): boolean {
    return this.#open
  }

  say(word: WorkerWord): void {
    this.up.send(() => this.heard(word))
  }

  /** The stream as the coordinator's Member sees it. */
  get writable(): boolean {
    return this.#writable && this.#open
  }

  write(message: CoordinatorMessage): void {
    this.down.send(() => this.told(message))
  }

  /** The coordinator ends the stream: the worker reads what is before the end. */
  end(): void {
    if (!this.#writable) return
    this.#writable = false
    this.down.send(() => this.broken())
  }

  /** The worker ends the stream. */
  leave(): void {
    this.up.send(() => this.ended())
  }

  /** The stream breaks. @param noticed whether the two sides learn of it, as they do not when a machine is gone */
  break(noticed: boolean): void {
    if (!this.#open) return
    this.#open = false
    const { time } = this.world
    const lateMs = this.world.networkDelays.mostMs
    this.up.cut(lateMs)
    this.down.cut(lateMs)
    if (!noticed) return
    time.after(lateMs * 2, this.coordinator, () => this.ended())
    time.after(lateMs * 2, this.worker, () => this.broken())
  }
}
