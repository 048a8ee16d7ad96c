import { refuseBuild, refuseProbe, type Engine, type Refusal } from '@lockstep/coordinator/membership/admission.js'
import { Member, type MemberStream } from '@lockstep/coordinator/membership/member.js'
import type { BatchCounts } from '@lockstep/coordinator/run-loop/run-state.js'
import type { CoordinatorMessage } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import type { Probe__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Probe.js'
import type { Connection, WorkerWord } from './connection.js'
import type { SimulatedCoordinator } from './simulated-coordinator.js'
import { RUN, type World } from './world-parts.js'

/** What the run asks of a worker, and what an honest one shows. */
export const HONEST = { buildDigest: 'build', recipeDigest: 'recipe', dataDigest: 'data', fingerprint: 'engine' }

interface MembershipNews {
  joined(worker: string, leafSeconds: number): void
  gone(worker: string): void
  heard(worker: string, progress: boolean): void
  spanFinished(worker: string, step: number, leaves: number, seconds: number): void
  evaluationResult(worker: string, term: number, version: number, batch: number, counts: BatchCounts): void
}

/** What membership-server.ts does, around the real checks and the real Member. */
export class SimulatedMembership {
  readonly #members = new Map<string, Member>()
  readonly #connections = new Set<Connection>()
  #engine: Engine | null = { fingerprint: HONEST.fingerprint, description: '' }
  #count = 0

  constructor(
    private readonly world: World,
    private readonly coordinator: SimulatedCoordinator,
    private readonly news: MembershipNews,
  ) {}

  connect(connection: Connection): void {
    this.#count += 1
    const member = new Member(`t${String(this.coordinator.term)}w${String(this.#count)}`, connection as unknown as MemberStream)
    this.#members.set(member.worker, member)
    this.#connections.add(connection)
    connection.heard = (word) => this.#receive(member, word)
    connection.ended = () => {
      this.#connections.delete(connection)
      connection.end()
      this.#end(member)
    }
  }

  send(worker: string, message: CoordinatorMessage): void {
    this.#members.get(worker)?.send(message)
  }

  broadcast(message: CoordinatorMessage): void {
    for (const member of this.#members.values()) if (member.state === 'admitted') member.send(message)
  }

  /** Which worker process a member is: its name begins with "worker N". */
  processOf(worker: string): number {
    return Number(this.#members.get(worker)?.name.split(' ')[1] ?? -1)
  }

  expel(worker: string): void {
    const member = this.#members.get(worker)
    if (member === undefined) return
    member.send({ stop: { reason: 'overdue', rejoin: true } })
    this.#end(member)
  }

  close(): void {
    for (const connection of this.#connections) {
      if (connection.writable) connection.write({ stop: { reason: 'the run is over', rejoin: false } })
      connection.end()
    }
    for (const member of this.#members.values()) member.state = 'gone'
    this.#members.clear()
  }

  /** The process is gone, and with it every stream. */
  breakAll(): void {
    for (const connection of this.#connections) connection.break(true)
  }

  #receive(member: Member, word: WorkerWord): void {
    if (member.state === 'gone') return
    if (word.type === 'hello') return this.#welcome(member, word.name, word.buildDigest)
    if (word.type === 'probe') return this.#examine(member, word.probe)
    if (word.type === 'leave') return this.#end(member)
    if (member.state !== 'admitted') return
    const { worker } = member
    if (word.type === 'heartbeat') return this.news.heard(worker, member.progressed(word.beat))
    if (word.type === 'spanFinished') return this.news.spanFinished(worker, word.step, word.leaves, word.seconds)
    const { term, version, batch, samples, correctTop1, correctTop5, lossSum } = word
    this.news.evaluationResult(worker, term, version, batch, { samples, correctTop1, correctTop5, lossSum })
  }

  #welcome(member: Member, name: string, buildDigest: string): void {
    if (member.state !== 'new') return
    member.name = name
    const refusal = refuseBuild(HONEST.buildDigest, buildDigest)
    if (refusal !== null) return this.#refuse(member, refusal)
    member.state = 'probing'
    member.send({ welcome: { worker: member.worker, run: RUN, term: this.coordinator.term } })
  }

  #examine(member: Member, probe: Probe__Output): void {
    if (member.state !== 'probing') return
    const refusal = refuseProbe(HONEST, this.#engine, probe, '')
    if (refusal !== null) return this.#refuse(member, refusal)
    this.#engine ??= { fingerprint: probe.fingerprint, description: '' }
    const { queue, place, averager } = this.coordinator
    queue.open(member.worker, place, () => {
      if (this.#members.get(member.worker) !== member) return
      member.state = 'admitted'
      member.send({ admitted: { queueName: member.worker, version: averager.committed } })
      this.world.note(() => `  ${member.name} is ${member.worker}`)
      this.news.joined(member.worker, probe.leafSeconds)
    })
  }

  #refuse(member: Member, refusal: Refusal): void {
    member.send({ refused: { ...refusal } })
    member.stream.end()
    member.state = 'gone'
    this.#members.delete(member.worker)
  }

  #end(member: Member): void {
    if (this.#members.get(member.worker) !== member) return
    this.#members.delete(member.worker)
    const joined = member.state === 'admitted'
    member.state = 'gone'
    member.stream.end()
    if (joined) this.news.gone(member.worker)
  }
}
