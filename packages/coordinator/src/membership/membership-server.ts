import { EventEmitter } from 'node:events'
import type { Server } from '@grpc/grpc-js'
import { services } from '@lockstep/shared/protocol/grpc-definitions.js'
import { bind, createServer } from '@lockstep/shared/protocol/endpoints.js'
import type { CoordinatorMessage } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import type { EvaluationResult__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/EvaluationResult.js'
import type { Hello__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Hello.js'
import type { Probe__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Probe.js'
import type { SpanFinished__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/SpanFinished.js'
import { clockIdentity, monotonicUs } from '@lockstep/shared/trace/clock.js'
import type { TraceSpans__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/TraceSpans.js'
import type { Trouble__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Trouble.js'
import type { WorkerMessage__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/WorkerMessage.js'
import { HealthImplementation } from 'grpc-health-check'
import {
  describeEnvironment,
  placeTaken,
  refuseBuild,
  refuseProbe,
  refuseQuarantined,
  type Engine,
  type Refusal,
  type Requirements,
} from './admission.js'
import { Member, type MemberStream } from './member.js'

/** What a new member is told once it may work. */
export interface Admission {
  readonly queueName: string
  readonly queueUrl: string
  readonly slices: string[]
  readonly version: number
}

export interface MembershipOptions {
  readonly run: string
  readonly term: number
  readonly recipeJson: string
  readonly dataJson: string
  readonly requirements: Requirements
  /** run.workers.maximum: who comes when so many are here is asked to come again. */
  readonly maximum: number
  /** Known on resume: the engine recorded in the checkpoint. */
  readonly engine: Engine | null
  /** Opens the member's queue; called once a worker passed every check. */
  readonly admit: (worker: string) => Promise<Admission>
}

interface MembershipEvents {
  joined: [member: Member, leafSeconds: number]
  /** The membership ended. `polite`: the worker said goodbye. Only for members that had joined. */
  gone: [member: Member, reason: string, polite: boolean]
  refused: [name: string, refusal: Refusal]
  /** There was no place; the worker asks again by itself. */
  turnedAway: [member: Member, reason: string]
  heard: [member: Member, progress: boolean]
  spanFinished: [member: Member, message: SpanFinished__Output]
  evaluationResult: [member: Member, message: EvaluationResult__Output]
  /** What a worker did when. */
  spans: [member: Member, message: TraceSpans__Output]
  trouble: [member: Member, message: Trouble__Output]
  failed: [error: Error]
}

/** Heartbeats come this often; 3 s of silence are six of them. */
const HEARTBEAT_MS = 500
const DRAIN_MS = 1_000

/** The gRPC server of lockstep.v1.Coordinator: who is a member, and what members say. It decides nothing about work. */
export class MembershipServer extends EventEmitter<MembershipEvents> {
  readonly #options: MembershipOptions
  readonly #server: Server = createServer()
  readonly #members = new Map<string, Member>()
  readonly #streams = new Set<MemberStream>()
  /** Processes that computed wrong bits. */
  readonly #quarantined = new Set<string>()
  #engine: Engine | null
  #count = 0

  constructor(options: MembershipOptions) {
    super()
    this.#options = options
    this.#engine = options.engine
    this.#server.addService(services.Coordinator.service, {
      Join: (stream: MemberStream) => {
        this.#join(stream)
      },
    })
    const health = new HealthImplementation({ '': 'SERVING', 'lockstep.v1.Coordinator': 'SERVING' })
    health.addToServer(this.#server)
  }

  /** The engine whose bits count, once a worker has joined or a checkpoint named it. */
  get engine(): Engine | null {
    return this.#engine
  }

  /** Members that may work now. */
  get members(): Member[] {
    return [...this.#members.values()].filter((member) => member.state === 'admitted')
  }

  /** @returns the bound port. @throws TrainError NETWORK, PORT_TAKEN */
  async listen(host: string, port: number, insecureNetwork: boolean): Promise<number> {
    return await bind(this.#server, host, port, insecureNetwork)
  }

  send(worker: string, message: CoordinatorMessage): void {
    this.#members.get(worker)?.send(message)
  }

  broadcast(message: CoordinatorMessage): void {
    for (const member of this.members) member.send(message)
  }

  /** Ends a membership from our side. @param rejoin whether the worker may ask again */
  expel(worker: string, reason: string, rejoin: boolean): void {
    const member = this.#members.get(worker)
    if (member === undefined) return
    member.send({ stop: { reason, rejoin } })
    this.#end(member, reason, false)
  }

  /** Ends every membership of a process and refuses it from now on. */
  quarantine(process: string, reason: string): void {
    this.#quarantined.add(process)
    for (const member of [...this.#members.values()]) if (member.process === process) this.expel(member.worker, reason, false)
  }

  /** Tells everybody to go, waits a little for the messages to leave, and closes. */
  async close(reason: string): Promise<void> {
    for (const stream of this.#streams) {
      if (stream.writable) stream.write({ stop: { reason, rejoin: false } })
      stream.end()
    }
    for (const member of this.#members.values()) member.state = 'gone'
    this.#members.clear()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#server.forceShutdown()
        resolve()
      }, DRAIN_MS)
      this.#server.tryShutdown(() => {
        clearTimeout(timer)
        resolve()
      })
    })
    this.removeAllListeners()
  }

  #join(stream: MemberStream): void {
    this.#count += 1
    const member = new Member(`t${String(this.#options.term)}w${String(this.#count)}`, stream)
    this.#streams.add(stream)
    this.#members.set(member.worker, member)
    stream.on('data', (message: WorkerMessage__Output) => {
      this.#receive(member, message).catch((error: unknown) => {
        this.emit('failed', error instanceof Error ? error : new Error(String(error)))
      })
    })
    const ended = (): void => {
      this.#streams.delete(stream)
      stream.end()
      this.#end(member, 'the connection broke', false)
    }
    stream.on('end', ended)
    stream.on('error', ended)
    stream.on('cancelled', ended)
  }

  async #receive(member: Member, message: WorkerMessage__Output): Promise<void> {
    if (member.state === 'gone') return
    if (message.hello) {
      this.#welcome(member, message.hello)
      return
    }
    if (message.probe) {
      await this.#examine(member, message.probe)
      return
    }
    if (message.leave) {
      this.#end(member, message.leave.reason, true)
      return
    }
    if (message.trouble) this.emit('trouble', member, message.trouble)
    if (member.state !== 'admitted') return
    if (message.heartbeat) {
      const { sentUs } = message.heartbeat
      if (sentUs > 0) member.send({ clockReading: { sentUs, receivedUs: monotonicUs() } })
      this.emit('heard', member, member.progressed(message.heartbeat))
    }
    if (message.traceSpans) this.emit('spans', member, message.traceSpans)
    if (message.spanFinished) this.emit('spanFinished', member, message.spanFinished)
    if (message.evaluationResult) this.emit('evaluationResult', member, message.evaluationResult)
  }

  #welcome(member: Member, hello: Hello__Output): void {
    if (member.state !== 'new') return
    member.name = hello.name === '' ? member.worker : hello.name
    member.host = hello.host
    member.pid = hello.pid
    member.environment = describeEnvironment(hello.environment)
    const { buildDigest } = this.#options.requirements
    const refusal = refuseQuarantined(this.#quarantined, member.process) ?? refuseBuild(buildDigest, hello.buildDigest)
    if (refusal !== null) {
      this.#refuse(member, refusal)
      return
    }
    const full = placeTaken(this.#options.maximum, this.#present)
    if (full !== null) {
      this.#turnAway(member, full)
      return
    }
    member.state = 'probing'
    const { run, term, recipeJson, dataJson, requirements } = this.#options
    const { recipeDigest } = requirements
    const clock = clockIdentity()
    member.send({ welcome: { worker: member.worker, run, term, recipeJson, recipeDigest, dataJson, heartbeatMs: HEARTBEAT_MS, clock } })
  }

  async #examine(member: Member, probe: Probe__Output): Promise<void> {
    if (member.state !== 'probing') return
    const refusal = refuseProbe(this.#options.requirements, this.#engine, probe, member.environment)
    if (refusal !== null) {
      this.#refuse(member, refusal)
      return
    }
    this.#engine ??= { fingerprint: probe.fingerprint, description: member.environment }
    const admission = await this.#options.admit(member.worker)
    if (this.#members.get(member.worker) !== member) return // gone while its queue was opened
    member.state = 'admitted'
    member.send({ admitted: { ...admission } })
    this.emit('joined', member, probe.leafSeconds)
  }

  /** Members, and those who will be once their probe is right. */
  get #present(): number {
    return [...this.#members.values()].filter(({ state }) => state === 'admitted' || state === 'probing').length
  }

  #turnAway(member: Member, reason: string): void {
    member.send({ stop: { reason, rejoin: true } })
    member.stream.end()
    member.state = 'gone'
    this.#members.delete(member.worker)
    this.emit('turnedAway', member, reason)
  }

  #refuse(member: Member, refusal: Refusal): void {
    member.send({ refused: { ...refusal } })
    member.stream.end()
    member.state = 'gone'
    this.#members.delete(member.worker)
    this.emit('refused', member.name, refusal)
  }

  #end(member: Member, reason: string, polite: boolean): void {
    if (this.#members.get(member.worker) !== member) return
    this.#members.delete(member.worker)
    const joined = member.state === 'admitted'
    member.state = 'gone'
    member.stream.end()
    if (joined) this.emit('gone', member, reason, polite)
  }
}
