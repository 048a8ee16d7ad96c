import { clientEndpoint, isLoopback } from '@lockstep/shared/protocol/endpoints.js'
import { services } from '@lockstep/shared/protocol/grpc-definitions.js'
import type { CoordinatorClient } from '@lockstep/shared/protocol/generated/lockstep/v1/Coordinator.js'
import type { CoordinatorMessage__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import type { WorkerMessage } from '@lockstep/shared/protocol/generated/lockstep/v1/WorkerMessage.js'
import { TrainError, type TrainErrorCode } from '@lockstep/shared/errors/train-error.js'
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js'

/** Why a membership is over. */
export type MembershipEnd =
  | { readonly kind: 'broken'; readonly reason: string }
  | { readonly kind: 'stopped'; readonly reason: string; readonly rejoin: boolean }
  | { readonly kind: 'refused'; readonly error: TrainError }
  | { readonly kind: 'left' }

/** Messages that may come at any time of a membership. */
export type MembershipNotice = 'withdraw' | 'committed' | 'dropped' | 'clockReading' | 'flushTrace'
/** Messages that answer one of ours. */
type MembershipAnswer = 'welcome' | 'admitted'

/** How long a polite goodbye may take to be delivered. */
const GOODBYE_MS = 1000

/**
 * host:port of a coordinator. @throws TrainError USAGE (no port), NETWORK (not loopback and no encryption)
 */
export function checkAddress(address: string, insecureNetwork: boolean): void {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<host>[^:]+)):(?<port>\d+)$/.exec(address)
  const host = match?.groups?.six ?? match?.groups?.host
  if (host === undefined) throw new TrainError('USAGE', `--join ${address}: give HOST:PORT, as the coordinator printed it`)
  if (!insecureNetwork && !isLoopback(host)) {
    throw new TrainError(
      'NETWORK',
      `refusing to join ${address}: there is no encryption yet; say --insecure-network if every machine on the way is yours`,
    )
  }
}

/** One Join stream: one membership in a run, from Hello to its end. */
export class Membership {
  /** Resolves when the membership is over, and never rejects. */
  readonly ended: Promise<MembershipEnd>
  private readonly client: CoordinatorClient
  private readonly stream: ClientDuplexStream<WorkerMessage, CoordinatorMessage__Output>
  private readonly answers = new Map<MembershipAnswer, (message: CoordinatorMessage__Output) => void>()
  private notice: (kind: MembershipNotice, message: CoordinatorMessage__Output) => void = () => undefined
  private finish!: (end: MembershipEnd) => void
  private isOver = false

  private constructor(address: string) {
    const { credentials, options } = clientEndpoint()
    this.client = new services.Coordinator(address, credentials, options)
    this.ended = new Promise((resolve) => {
      this.finish = (end) => {
        if (this.isOver) return
        this.isOver = true
        resolve(end)
      }
    })
    this.stream = this.client.Join()
    this.stream.on('data', (message: CoordinatorMessage__Output) => {
      this.received(message)
    })
    this.stream.on('error', (error: ServiceError) => {
      this.finish({ kind: 'broken', reason: error.details })
    })
    this.stream.on('end', () => {
      this.finish({ kind: 'broken', reason: 'the coordinator ended the membership' })
    })
  }

  /** Opens a stream; whether anybody answers shows later. @param address host:port */
  static open(address: string): Membership {
    return new Membership(address)
  }

  /** Says something, if there is still somebody to say it to. */
  send(message: WorkerMessage): void {
    if (!this.isOver) this.stream.write(message)
  }

  /** Calls back for every notice from now on. */
  onNotice(notice: (kind: MembershipNotice, message: CoordinatorMessage__Output) => void): void {
    this.notice = notice
  }

  /** The next answer of a kind, or undefined if the membership ends first. */
  async answer<Kind extends MembershipAnswer>(kind: Kind): Promise<NonNullable<CoordinatorMessage__Output[Kind]> | undefined> {
    const answered = new Promise<CoordinatorMessage__Output>((resolve) => {
      this.answers.set(kind, resolve)
    })
    const first = await Promise.race([answered, this.ended])
    return kind in first ? ((first as CoordinatorMessage__Output)[kind] ?? undefined) : undefined
  }

  /** Ends the membership after a last message has been delivered, or after a second. */
  async leave(message: WorkerMessage): Promise<void> {
    if (!this.isOver) {
      const closed = new Promise<void>((resolve) =>
        this.stream.once('status', () => {
          resolve()
        }),
      )
      this.stream.write(message)
      this.stream.end()
      let timer: NodeJS.Timeout | undefined
      const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, GOODBYE_MS)))
      await Promise.race([closed, patience])
      clearTimeout(timer)
    }
    this.close()
  }

  /** Ends the stream at once. */
  close(): void {
    this.finish({ kind: 'left' })
    this.stream.cancel()
    this.client.close()
  }

  private received(message: CoordinatorMessage__Output): void {
    switch (message.message) {
      case 'welcome':
      case 'admitted':
        this.answers.get(message.message)?.(message)
        return
      case 'withdraw':
      case 'committed':
      case 'dropped':
      case 'clockReading':
      case 'flushTrace':
        this.notice(message.message, message)
        return
      case 'refused': {
        const { code = 'INTERNAL', message: text = 'the coordinator refused this worker' } = message.refused ?? {}
        this.finish({ kind: 'refused', error: new TrainError(code as TrainErrorCode, text) })
        return
      }
      case 'stop':
        this.finish({ kind: 'stopped', reason: message.stop?.reason ?? '', rejoin: message.stop?.rejoin ?? false })
        return
      case undefined:
        return
    }
  }
}
