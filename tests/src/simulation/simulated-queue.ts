import { jobId } from '@lockstep/coordinator/queue/queue-names.js'
import type { Job } from '@lockstep/shared/protocol/jobs.js'
import type { Chance } from './chance.js'
import { delayOf } from './channel.js'
import type { Place } from './virtual-time.js'
import type { World } from './world-parts.js'

/** Does a job, and says when it is done. */
export type JobHandler = (job: Job, done: () => void) => void

interface Consumer {
  readonly place: Place
  readonly handle: JobHandler
  busy: boolean
  /** Jobs reach it late, or twice, until then. */
  lateUntilMs: number
  twiceUntilMs: number
  open: boolean
}

interface Queue {
  waiting: Job[]
  readonly active: Set<string>
  consumer: Consumer | undefined
}

/** A reconnecting client looks again this often, milliseconds. */
const RECONNECT_MS = 50

/**
 * The queue server: a job with the id of one that waits or is being worked on is not doubled, a consumer takes one at a
 * time, and what is killed or flushed is gone.
 */
export class SimulatedQueue {
  /** Told when the coordinator's connection broke and is back. */
  onReconnected: (() => void) | undefined
  readonly #queues = new Map<string, Queue>()
  readonly #chance: Chance
  #awayUntilMs = 0

  constructor(private readonly world: World) {
    this.#chance = world.chance('queue')
  }

  /** @param place the coordinator's */
  open(name: string, place: Place, done: () => void): void {
    this.#reach(place, () => {
      this.#queues.set(name, { waiting: [], active: new Set(), consumer: undefined })
      done()
    })
  }

  add(name: string, place: Place, job: Job, done: () => void): void {
    this.#reach(place, () => {
      const queue = this.#queues.get(name)
      if (queue !== undefined) {
        const id = jobId(job)
        if (!queue.active.has(id) && !queue.waiting.some((other) => jobId(other) === id)) queue.waiting.push(job)
        this.#serve(queue)
      }
      done()
    })
  }

  /** Looks whether no job waits or is being worked on. */
  whenEmpty(name: string, place: Place, act: () => void): void {
    this.#reach(place, () => {
      const queue = this.#queues.get(name)
      if (queue !== undefined && queue.waiting.length + queue.active.size === 0) act()
    })
  }

  close(name: string): void {
    const queue = this.#queues.get(name)
    if (queue?.consumer) queue.consumer.open = false
    this.#queues.delete(name)
  }

  /** Everything of earlier terms goes. */
  removeAll(): void {
    for (const name of [...this.#queues.keys()]) this.close(name)
  }

  consume(name: string, place: Place, handle: JobHandler): Consumer {
    const consumer: Consumer = { place, handle, busy: false, lateUntilMs: 0, twiceUntilMs: 0, open: true }
    const queue = this.#queues.get(name)
    if (queue !== undefined) {
      queue.consumer = consumer
      this.#serve(queue)
    }
    return consumer
  }

  /** All jobs are gone, and nobody is told. */
  flush(): void {
    for (const queue of this.#queues.values()) {
      queue.waiting = []
      queue.active.clear()
    }
  }

  /** The server is away, and comes back empty; the clients notice. @param place the coordinator's */
  kill(forMs: number, place: Place | undefined): void {
    const { time } = this.world
    this.flush()
    this.#awayUntilMs = Math.max(this.#awayUntilMs, time.nowMs + forMs)
    time.at(this.#awayUntilMs, undefined, () => {
      this.flush()
      for (const queue of this.#queues.values()) this.#serve(queue)
    })
    time.at(this.#awayUntilMs + this.#chance.between(0, 500), place, () => this.onReconnected?.())
  }

  #reach(place: Place, act: () => void): void {
    const { time, networkDelays } = this.world
    time.after(delayOf(this.#chance, networkDelays), place, () => {
      if (time.nowMs < this.#awayUntilMs)
        time.at(this.#awayUntilMs + this.#chance.between(0, RECONNECT_MS), place, () => this.#reach(place, act))
      else act()
    })
  }

  #serve(queue: Queue): void {
    const { time, networkDelays } = this.world
    const { consumer } = queue
    if (consumer === undefined || consumer.busy || !consumer.open || time.nowMs < this.#awayUntilMs) return
    const job = queue.waiting.shift()
    if (job === undefined) return
    consumer.busy = true
    const id = jobId(job)
    queue.active.add(id)
    const late = time.nowMs < consumer.lateUntilMs ? this.#chance.between(0, 3_000) : 0
    const arrive = (): void => {
      if (!consumer.open) return
      consumer.handle(job, () => {
        consumer.busy = false
        queue.active.delete(id)
        this.#serve(queue)
      })
    }
    time.after(delayOf(this.#chance, networkDelays) + late, consumer.place, arrive)
    if (time.nowMs < consumer.twiceUntilMs) {
      time.after(this.#chance.between(0, 3_000), consumer.place, () => {
        if (consumer.open) consumer.handle(job, () => undefined)
      })
    }
  }
}

export type { Consumer }
