import { ContributionClient } from '@lockstep/averager/contribution-client.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { buildDigest } from '@lockstep/shared/protocol/build-digest.js'
import { clientEndpoint } from '@lockstep/shared/protocol/endpoints.js'
import type { CoordinatorMessage__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import type { Contribution } from '@lockstep/shared/protocol/generated/lockstep/v1/Contribution.js'
import type { NodeStatistics } from '@lockstep/shared/protocol/generated/lockstep/v1/NodeStatistics.js'
import type { Welcome__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Welcome.js'
import { services } from '@lockstep/shared/protocol/grpc-definitions.js'
import { OWN_REGION } from '@lockstep/worker/compute/weights-memory.js'
import { positionOf } from '@lockstep/worker/loader/span-batches.js'
import { prepare, type Preparation } from '@lockstep/worker/preparation.js'
import { createWorkerLog } from '@lockstep/worker/worker-log.js'

/**
 * A contributor nobody asked: it computes leaf 0 of every step it can catch, truly, and sends it twice, late, and spoiled
 * in every way that the averager has a word for, until it has heard every word or for so many rounds. Words: JOIN ROUNDS SLICE….
 * Its last line is the outcomes, counted.
 */

const [join = '', rounds = '1', ...slices] = process.argv.slice(2)
const WANTED = ['DUPLICATE', 'OTHER_RUN', 'OTHER_TERM', 'PAST_STEP', 'FUTURE_STEP', 'MALFORMED']
const LEAF = 0

async function welcomeOf(): Promise<Welcome__Output> {
  const { credentials, options } = clientEndpoint()
  const client = new services.Coordinator(join, credentials, options)
  const stream = client.Join()
  const answer = new Promise<CoordinatorMessage__Output>((resolve, reject) => stream.on('data', resolve).on('error', reject))
  stream.write({ hello: { name: 'ghost', host: 'here', pid: process.pid, buildDigest: buildDigest() } })
  const { welcome } = await answer
  stream.end()
  client.close()
  invariant(welcome, 'a worker of this build is welcome')
  return welcome
}

/** The newest committed version: the averager names it when it refuses an older one. */
async function committedVersion(client: ContributionClient): Promise<number> {
  try {
    await client.weights(0)
    return 0
  } catch (error) {
    return Number(/version (\d+) is committed/.exec(String(error))?.[1] ?? Number.NaN)
  }
}

async function trueLeaf(step: number, weights: Float32Array, { recipe, compute, weights: memory, layout, training }: Preparation) {
  memory.view(OWN_REGION).set(weights)
  await compute.setWeights(OWN_REGION)
  const position = positionOf(recipe.batch, step, LEAF, 0)
  training.plan([position, positionOf(recipe.batch, step + 1, LEAF, 0)])
  const { byteOffset, statistics } = await compute.gradient(await training.take(position), 0, 'copy')
  return { values: new Float32Array(compute.memory.buffer, byteOffset, layout.size).slice(), statistics }
}

/** Ways to spoil a contribution; none of them may leave a trace in the sum. */
function spoiled(step: number, term: number): Partial<Contribution>[] {
  return [
    { run: 'f'.repeat(32) },
    { term: term + 1 },
    { term: Math.max(0, term - 1) },
    { step: step + 3 },
    { leafCount: 3 },
    { chunk: 100_000 },
    { body: Buffer.alloc(12) },
  ]
}

const welcome = await welcomeOf()
const preparation = await prepare(welcome, undefined, createWorkerLog('ghost'))
const sender = { run: welcome.run, term: welcome.term }
const client = new ContributionClient(slices, preparation.layout.size, sender)
const node = { first: LEAF, count: 1 }
const outcomes: Record<string, number> = {}
let sent = 0
let step = (await committedVersion(client)) + 1
let late: { step: number; values: Float32Array; statistics: NodeStatistics } | undefined
for (let round = 0; round < Number(rounds) && WANTED.some((outcome) => outcomes[outcome] === undefined); round++) {
  // as workers do: the weights of the next step are asked for before they exist
  const weights = await client.weights(step).catch(() => undefined)
  if (weights === undefined) {
    step = (await committedVersion(client)) + 1
    continue
  }
  const { values, statistics } = await trueLeaf(step, weights, preparation)
  const first = client.chunks()[0]
  invariant(first, 'a vector has a chunk')
  for (const copy of [{ step, values, statistics }, { step, values, statistics }, ...(late === undefined ? [] : [late])]) {
    for (const address of client.chunks()) {
      await client.send(copy.step, node, copy.values, address, { statistics: address === first ? copy.statistics : null })
      sent++
    }
  }
  for (const changes of spoiled(step, welcome.term)) {
    // garbage in every one that is refused: were it taken, the digests would part
    await client.send(step, node, new Float32Array(values.length).fill(7), first, { statistics, ...changes })
    sent++
  }
  late = { step, values, statistics }
  step++
  for (const key of Object.keys(outcomes)) Reflect.deleteProperty(outcomes, key)
  for (const { outcome } of await client.outcomes(sent)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
}
client.close()
process.stdout.write(`${JSON.stringify(outcomes)}\n`)
process.exit(0)
