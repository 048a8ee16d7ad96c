import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CHUNK_FLOATS, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { maximalNodes, type LeafRange } from '@lockstep/shared/reduction/tree.js'
import { Averager } from './averager.js'
import { ContributionClient } from './contribution-client.js'
import type { LeafCopy } from './leaf-copies.js'
import { leafGradient, nodeGradient, referenceUpdate } from './reference-step.js'

/** Audited leaves over real gRPC: two slices, the second with two chunks. */

const SIZE = 3 * CHUNK_FLOATS + 1_003
const LEAVES = 4
const AUDITED = 2
const RATE = 0.01
const layout: ParameterLayout = { size: SIZE, entries: [{ name: 'fc/kernel', shape: [SIZE], offset: 0, size: SIZE, kind: 'kernel' }] }
const optimizer = { type: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 0, decayOn: 'kernels' } as const
const identity = { run: 'audited', term: 1 }
const leaf = (first: number): LeafRange => ({ first, count: 1 })

let averager: Averager
let copies: LeafCopy[]
let clients: ContributionClient[]

beforeEach(async () => {
  averager = await Averager.start({
    ...{ ...identity, layout, leaves: LEAVES, microBatches: LEAVES, optimizer, slices: 2, host: '127.0.0.1', insecureNetwork: false },
  })
  averager.write('weights', 0, leafGradient(1000, 0, SIZE))
  await averager.open(0)
  copies = []
  averager.on('copied', ({ step, ...copy }) => {
    expect(step).toBe(0)
    copies.push(copy)
  })
  clients = []
})

afterEach(async () => {
  for (const client of clients) client.close()
  await averager.close()
})

function member(worker: string): ContributionClient {
  const client = new ContributionClient(averager.addresses, SIZE, { ...identity, worker })
  clients.push(client)
  return client
}

/** When so many copies were told. */
async function told(count: number): Promise<LeafCopy[]> {
  while (copies.length < count) await once(averager, 'copied')
  return copies
}

/** Sends everything but leaf 2, as a worker does that has it apart. */
async function sendRest(client: ContributionClient): Promise<void> {
  for (const node of maximalNodes(LEAVES, { first: 0, count: LEAVES }, [AUDITED])) {
    if (node.first !== AUDITED) await client.sendNode(0, node, nodeGradient(0, node, SIZE))
  }
}

function oneBitFlipped(values: Float32Array): Float32Array {
  const flipped = values.slice()
  const bits = new Uint32Array(flipped.buffer)
  bits[SIZE - 1] = (bits[SIZE - 1] ?? 0) ^ 1
  return flipped
}

function expectHonestWeights(): void {
  const weights = leafGradient(1000, 0, SIZE)
  referenceUpdate(weights, new Float32Array(SIZE), nodeGradient(0, { first: 0, count: LEAVES }, SIZE), {
    ...{ momentum: optimizer.momentum, rate: RATE, decayOf: () => 0 },
  })
  expect(Buffer.from(averager.read('weights', 0, SIZE).buffer).equals(Buffer.from(weights.buffer))).toBe(true)
}

const audits = { audited: [AUDITED], quarantined: [] }

describe('an averager that audits', () => {
  it('tells the digests of both copies and of what counts, and the sum has the bits of the definition', async () => {
    await averager.beginStep(0, RATE, audits)
    const reduced = once(averager, 'reduced')
    const [owner, auditor] = [member('owner'), member('auditor')]
    await owner.sendNode(0, leaf(AUDITED), leafGradient(0, AUDITED, SIZE))
    await told(2)
    await auditor.sendNode(0, leaf(AUDITED), leafGradient(0, AUDITED, SIZE))
    const all = await told(3)
    const [digest] = all.map((copy) => copy.digest)
    expect(all).toEqual(
      expect.arrayContaining([
        { leaf: AUDITED, from: ['owner'], counted: false, digest },
        { leaf: AUDITED, from: ['owner'], counted: true, digest },
        { leaf: AUDITED, from: ['auditor'], counted: false, digest },
      ]),
    )
    await sendRest(owner)
    await reduced
    await averager.commit(1)
    expectHonestWeights()
    expect(averager.counters()).toMatchObject({ MALFORMED: 0, QUARANTINED: 0, DUPLICATE: 4 })
  })

  it('shows a single bit that differs, and takes nothing from a quarantined worker when the step is done again', async () => {
    await averager.beginStep(0, RATE, audits)
    const [liar, honest] = [member('liar'), member('honest')]
    await liar.sendNode(0, leaf(AUDITED), oneBitFlipped(leafGradient(0, AUDITED, SIZE)))
    await told(2)
    await honest.sendNode(0, leaf(AUDITED), leafGradient(0, AUDITED, SIZE))
    const [first, , second] = await told(3)
    expect(second?.digest).not.toBe(first?.digest)
    expect(copies.find(({ counted }) => counted)).toMatchObject({ from: ['liar'], digest: first?.digest })
    await averager.drop(1)
    copies = []
    await averager.beginStep(0, RATE, { audited: [AUDITED], quarantined: ['liar'] })
    await liar.sendNode(0, leaf(AUDITED), oneBitFlipped(leafGradient(0, AUDITED, SIZE)))
    await liar.sendNode(0, leaf(0), oneBitFlipped(leafGradient(0, 0, SIZE)))
    const outcomes = (await liar.outcomes(12)).slice(4).map(({ outcome }) => outcome)
    expect(new Set(outcomes)).toEqual(new Set(['QUARANTINED']))
    const reduced = once(averager, 'reduced')
    const other = member('other')
    await honest.sendNode(0, leaf(AUDITED), leafGradient(0, AUDITED, SIZE))
    await other.sendNode(0, leaf(AUDITED), leafGradient(0, AUDITED, SIZE))
    await sendRest(honest)
    await reduced
    expect(new Set((await told(3)).map(({ digest }) => digest))).toEqual(new Set([second?.digest]))
    await averager.commit(1)
    expectHonestWeights()
  })

  it('shows the part that a worker left of a leaf before it died', async () => {
    await averager.beginStep(0, RATE, audits)
    const dying = member('dying')
    const [, second, third] = dying.chunks()
    const wrong = oneBitFlipped(leafGradient(0, AUDITED, SIZE))
    wrong[CHUNK_FLOATS] = 1
    if (second !== undefined) await dying.send(0, leaf(AUDITED), wrong, second)
    if (third !== undefined) await dying.send(0, leaf(AUDITED), wrong, third)
    await dying.outcomes(2)
    dying.close()
    for (const worker of ['a', 'b']) await member(worker).sendNode(0, leaf(AUDITED), leafGradient(0, AUDITED, SIZE))
    const all = await told(3)
    const [a, b] = all.filter(({ counted }) => !counted)
    const sum = all.find(({ counted }) => counted)
    expect(a?.digest).toBe(b?.digest)
    expect(sum?.digest).not.toBe(a?.digest)
    expect(sum?.from).toContain('dying')
  })

  it('does not take a node that hides an audited leaf, and takes it when nothing is audited', async () => {
    await averager.beginStep(0, RATE, audits)
    const client = member('a')
    const right = { first: 2, count: 2 }
    await client.sendNode(0, right, nodeGradient(0, right, SIZE))
    expect((await client.outcomes(4)).map(({ outcome }) => outcome)).toEqual(Array.from({ length: 4 }, () => 'MALFORMED'))
    await averager.drop(1)
    await averager.beginStep(0, RATE)
    await client.sendNode(0, right, nodeGradient(0, right, SIZE))
    expect((await client.outcomes(8)).slice(4).map(({ outcome }) => outcome)).toEqual(Array.from({ length: 4 }, () => 'ACCEPTED'))
    expect(copies).toEqual([])
  })
})
