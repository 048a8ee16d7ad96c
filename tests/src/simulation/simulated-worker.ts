import { backOffMs } from '@lockstep/worker/membership/back-off.js'
import type { CoordinatorMessage, CoordinatorMessage__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import type { Chance } from './chance.js'
import { Connection } from './connection.js'
import type { WorkerPlan } from './scenario.js'
import type { SimulatedCoordinator } from './simulated-coordinator.js'
import { HONEST } from './simulated-membership.js'
import { SimulatedSession, type Computer } from './simulated-session.js'
import { Place } from './virtual-time.js'
import type { World } from './world-parts.js'

/** As in run-worker.ts; simulated coordinators are back sooner than its limit. */
const BACK_OFF = { firstMs: 200, mostMs: 5_000, limitMs: Infinity }

/** A worker process: one membership after the other, as run-worker.ts has it, and a computing thread. */
export class SimulatedWorker implements Computer {
  readonly place: Place
  session: SimulatedSession | undefined
  connection: Connection | undefined
  /** The computing thread stands still until then. */
  hungUntilMs = 0
  slowUntilMs = 0
  slowFactor = 1
  readonly #chance: Chance
  #failures = 0
  #awaySinceMs = 0
  /** Measured by the process once, and again when it was sent away. */
  #leafSeconds: number | undefined
  #memberships = 0

  constructor(
    private readonly world: World,
    readonly index: number,
    incarnation: number,
    private readonly plan: WorkerPlan,
    private readonly coordinator: () => SimulatedCoordinator | undefined,
    /** Told when the process ends by itself: told to, refused, or for want of a connection. */
    private readonly ended: () => void,
  ) {
    this.place = new Place(`worker ${String(index)}${incarnation > 0 ? ` (${String(incarnation + 1)})` : ''}`)
    this.#chance = world.chance(this.place.name)
    this.#join()
  }

  compute(share: number, done: (seconds: number) => void): void {
    const { time } = this.world
    const startMs = time.nowMs
    const slow = startMs < this.slowUntilMs ? this.slowFactor : 1
    const workMs = share * this.plan.leafMs * slow * this.#chance.between(0.9, 1.2)
    const end = (): void => {
      if (time.nowMs < this.hungUntilMs) time.at(this.hungUntilMs + workMs, this.place, end)
      else done((time.nowMs - startMs) / 1000)
    }
    time.after(workMs, this.place, end)
  }

  #join(): void {
    const coordinator = this.coordinator()
    if (coordinator?.place.alive !== true) return this.#again()
    const name = `${this.place.name} membership ${String(this.#memberships++)}`
    const connection = new Connection(this.world, name, coordinator.place, this.place)
    this.connection = connection
    connection.told = (message) => this.#told(coordinator, connection, message)
    connection.broken = () => this.#over(connection, true)
    coordinator.membership.connect(connection)
    const { impostor } = this.plan
    connection.say({ type: 'hello', name: this.place.name, buildDigest: impostor === 'build' ? 'other' : HONEST.buildDigest })
  }

  #told(coordinator: SimulatedCoordinator, connection: Connection, message: CoordinatorMessage): void {
    if (this.connection !== connection) return
    if (message.welcome) {
      this.#failures = 0
      this.#awaySinceMs = 0
      this.#prepare(() => this.#probe(connection))
    } else if (message.admitted) {
      const { queueName = '', version = 0 } = message.admitted
      const member = { worker: queueName, term: coordinator.term, version: Number(version) }
      this.session = new SimulatedSession(this.world, coordinator, this, connection, member, () => this.#end(connection))
    } else if (message.refused) this.#end(connection)
    else if (message.stop) {
      this.#leafSeconds = undefined
      this.#over(connection, message.stop.rejoin ?? false)
    } else this.session?.notice(message as CoordinatorMessage__Output)
  }

  /** Data and engine, and the probe that measures a leaf. */
  #prepare(done: () => void): void {
    if (this.#leafSeconds !== undefined) return done()
    this.compute(1, (seconds) => {
      this.#leafSeconds = seconds
      done()
    })
  }

  #probe(connection: Connection): void {
    if (this.connection !== connection) return
    const { impostor } = this.plan
    const shown = (kind: WorkerPlan['impostor'], honest: string): string => (impostor === kind ? 'other' : honest)
    const probe = {
      recipeDigest: shown('recipe', HONEST.recipeDigest),
      dataDigest: shown('data', HONEST.dataDigest),
      fingerprint: shown('engine', HONEST.fingerprint),
      leafSeconds: this.#leafSeconds ?? 0,
    }
    connection.say({ type: 'probe', probe })
  }

  #over(connection: Connection, rejoin: boolean): void {
    if (this.connection !== connection) return
    this.connection = undefined
    const next = (): void => (rejoin ? this.#again() : this.#end(undefined))
    const { session } = this
    this.session = undefined
    // the streams of this membership end with it
    connection.break(false)
    if (session === undefined) next()
    else session.stop(next)
  }

  #again(): void {
    const { time } = this.world
    if (this.#failures++ === 0) this.#awaySinceMs = time.nowMs
    const waitMs = backOffMs(BACK_OFF, this.#failures, time.nowMs - this.#awaySinceMs) ?? 0
    time.after(waitMs, this.place, () => this.#join())
  }

  /** Says goodbye and ends. */
  leave(): void {
    this.connection?.say({ type: 'leave' })
    this.world.time.after(this.world.networkDelays.mostMs, this.place, () => this.#end(this.connection))
  }

  #end(connection: Connection | undefined): void {
    this.die(connection !== undefined)
    this.ended()
  }

  /** The process is gone. @param noticed whether its connections are closed, as they are unless the machine is gone too */
  die(noticed: boolean): void {
    this.place.alive = false
    this.connection?.break(noticed)
    this.session?.stop(() => undefined)
    this.connection = undefined
    this.session = undefined
  }
}
