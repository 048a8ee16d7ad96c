import { mkdtemp, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ClientDuplexStream } from '@grpc/grpc-js'
import { clientEndpoint } from '@lockstep/shared/protocol/endpoints.js'
import type { CoordinatorClient } from '@lockstep/shared/protocol/generated/lockstep/v1/Coordinator.js'
import type { CoordinatorMessage__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import type { WorkerMessage } from '@lockstep/shared/protocol/generated/lockstep/v1/WorkerMessage.js'
import { services } from '@lockstep/shared/protocol/grpc-definitions.js'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isRunning, until } from './local-workers/doomed-parent.js'
import { LocalWorkers } from './local-workers/local-workers.js'
import { MembershipServer } from './membership/membership-server.js'
import { Quarantine } from './quarantine.js'
import { RunReport } from './run-report.js'
import type { TrainEvent } from './train-event.js'

/** What becomes of a liar and who is fetched, with a real membership server and real processes. */

const requirements = { buildDigest: 'build', recipeDigest: 'recipe', dataDigest: 'data' }
const IDLE = `process.stdin.resume().on('end', () => process.exit(0)); setTimeout(() => undefined, 60_000)`

let logDirectory: string
let membership: MembershipServer
let workers: LocalWorkers
let client: CoordinatorClient
let report: RunReport
let quarantine: Quarantine
let events: TrainEvent[]

async function begin(program: string, localWorkers = 2): Promise<void> {
  const port = await membership.listen('127.0.0.1', 0, false)
  const { credentials, options } = clientEndpoint()
  client = new services.Coordinator(`127.0.0.1:${String(port)}`, credentials, options)
  workers = new LocalWorkers({ join: 'nowhere:1', logDirectory, computeThreads: 1, command: [process.execPath, '-e', program, '--'] })
  report = new RunReport(1, 0)
  quarantine = new Quarantine({
    ...{ membership, workers, localWorkers, report, logger: pino({ level: 'silent' }) },
    emit: (event) => events.push(event),
  })
}

/** One worker's side of a membership. */
class Visitor {
  readonly messages: CoordinatorMessage__Output[] = []
  private readonly stream: ClientDuplexStream<WorkerMessage, CoordinatorMessage__Output>

  constructor(name: string, pid: number, host = hostname()) {
    this.stream = client.Join()
    this.stream.on('data', (message: CoordinatorMessage__Output) => this.messages.push(message))
    this.stream.on('error', () => undefined)
    this.stream.write({ hello: { name, host, pid, buildDigest: 'build' } })
  }

  /** @returns the identity of the membership */
  async join(): Promise<string> {
    await until(() => this.messages.length === 1)
    this.stream.write({ probe: { recipeDigest: 'recipe', dataDigest: 'data', fingerprint: 'same', leafSeconds: 1 } })
    await until(() => this.messages.length === 2)
    expect(this.messages[1]?.message).toBe('admitted')
    return this.messages[0]?.welcome?.worker ?? ''
  }
}

beforeEach(async () => {
  logDirectory = await mkdtemp(join(tmpdir(), 'lockstep-quarantine-'))
  events = []
  membership = new MembershipServer({
    ...{ run: 'run', term: 1, recipeJson: '{}', dataJson: '{}', requirements, engine: null, maximum: 64 },
    admit: async () => await Promise.resolve({ queueName: 'q', queueUrl: 'redis://nowhere', slices: [], version: 0 }),
  })
})

afterEach(async () => {
  await workers.stopAll(500)
  client.close()
  await membership.close('the test is over')
  await rm(logDirectory, { recursive: true })
})

describe('Quarantine', () => {
  it('ends the membership of a liar for good, kills its local process and says so', async () => {
    await begin(IDLE)
    const { pid } = workers.start('worker-1')
    const liar = new Visitor('worker-1', pid)
    const worker = await liar.join()
    const bystander = new Visitor('worker-2', pid, 'another-host')
    await bystander.join()
    quarantine.perform({ type: 'quarantineWorker', worker, step: 6, leaf: 3 })
    await until(() => liar.messages.length === 3)
    expect(liar.messages[2]?.stop).toMatchObject({ rejoin: false })
    expect(liar.messages[2]?.stop?.reason).toMatch(/computed wrong bits/)
    await until(async () => !(await isRunning(pid)))
    expect(events).toEqual([{ type: 'workerQuarantined', worker, name: 'worker-1', pid, host: hostname(), step: 7, leaf: 3 }])
    expect(report.summary(0, { steps: 0, weightsDigest: '', stateDigest: '', fingerprint: '' }).faults).toEqual({ workerQuarantined: 1 })
    const again = new Visitor('worker-1', pid)
    await until(() => again.messages.length === 1)
    expect(again.messages[0]?.refused?.code).toBe('WORKER_QUARANTINED')
    expect(again.messages[0]?.refused?.message).toMatch(/not admitted again/)
    expect(membership.members.map(({ host }) => host)).toEqual(['another-host'])
    expect(bystander.messages.length).toBe(2)
  })

  it('keeps out a liar whose membership had ended before it was found out', async () => {
    await begin(IDLE)
    const worker = await new Visitor('worker-1', 4711, 'another-host').join()
    membership.expel(worker, 'silent', true)
    quarantine.perform({ type: 'quarantineWorker', worker, step: 0, leaf: 0 })
    const again = new Visitor('worker-1', 4711, 'another-host')
    await until(() => again.messages.length === 1)
    expect(again.messages[0]?.refused?.code).toBe('WORKER_QUARANTINED')
  })

  it('names those who differ and counts what was compared', async () => {
    await begin(IDLE)
    const [a, b] = [await new Visitor('ann', 1).join(), await new Visitor('bob', 2).join()]
    quarantine.perform({ type: 'auditSettled', step: 0, leaf: 0, equal: true })
    quarantine.perform({ type: 'auditDiffers', step: 1, leaf: 5, workers: [a, b] })
    expect(events).toEqual([{ type: 'auditDiffers', step: 2, leaf: 5, names: ['ann', 'bob'] }])
    expect(report.summary(0, { steps: 0, weightsDigest: '', stateDigest: '', fingerprint: '' })).toMatchObject({
      ...{ audits: 1, faults: { auditDiffers: 1 } },
    })
  })

  it('starts a referee, tells when it ended before it joined, and not when it ended after', async () => {
    await begin(IDLE, 0)
    let gone = 0
    quarantine.onRefereeGone(() => gone++)
    quarantine.perform({ type: 'startWorker', role: 'referee' })
    const [first] = workers.running
    expect(first?.name).toBe('referee-1')
    process.kill(first?.pid ?? 0, 'SIGKILL')
    await until(() => gone === 1)
    quarantine.perform({ type: 'startWorker', role: 'referee' })
    const [second] = workers.running
    await new Visitor('referee-2', second?.pid ?? 0).join()
    process.kill(second?.pid ?? 0, 'SIGKILL')
    await until(() => workers.running.length === 0)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(gone).toBe(1)
    // nobody is started in the place of a worker that came from elsewhere
    quarantine.perform({ type: 'startWorker', role: 'replacement' })
    expect(workers.running).toEqual([])
  })
})
