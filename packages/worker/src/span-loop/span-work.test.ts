import { initializeParameter } from '@lockstep/shared/initialization/parameters.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { philox } from '@lockstep/shared/random/philox.js'
import { PURPOSE } from '@lockstep/shared/random/purposes.js'
import { recipeSchema } from '@lockstep/shared/recipe/schema.js'
import { childrenOf, maximalNodes, type LeafRange } from '@lockstep/shared/reduction/tree.js'
import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ComputeClient } from '../compute/compute-client.js'
import type { MicroBatch } from '../compute/compute-messages.js'
import { OWN_REGION, WeightsMemory } from '../compute/weights-memory.js'
import { positionOf } from '../loader/span-batches.js'
import { setComputeThreads } from '../membership/environment.js'
import { SlotPool } from './slot-pool.js'
import { SpanWork } from './span-work.js'
import { nodeKey } from './summation-plan.js'

const CLASSES = 3
const LEAVES = 5
const STEP = 2
const recipe = recipeSchema.parse({
  name: 'tiny',
  model: { name: 'vgg-a', width: 0.05, inputSize: 32, fullyConnected: [16], dropout: 0.5 },
  data: { train: 'nowhere' },
  batch: { global: 20, micro: 2, leaf: 2 },
})
const network = networkOf(recipe.model, CLASSES)
const layout = layoutOf(network)

/** Pictures that depend on the stream position alone. */
function batchAt(position: number): MicroBatch {
  const images = new Float32Array(2 * 32 * 32 * 3)
  const words = new Uint32Array(4)
  for (let index = 0; index < images.length; index++) {
    philox(index, position, 0, 0, recipe.seed, PURPOSE.probe, words)
    images[index] = (words[0] ?? 0) / 2 ** 31 - 1
  }
  return { images, labels: Int32Array.of(position % CLASSES, (position + 1) % CLASSES), count: 2, firstPosition: position }
}

interface Node {
  readonly values: Float32Array
  readonly statistics: NodeStatistics
}

/** left + right, in plain arithmetic. */
function plus(left: Node, right: Node): Node {
  const add = (key: Exclude<keyof NodeStatistics, 'nonFiniteLayer'>): number => left.statistics[key] + right.statistics[key]
  return {
    values: left.values.map((value, index) => Math.fround(value + (right.values[index] ?? Number.NaN))),
    statistics: { lossSum: add('lossSum'), samples: add('samples'), correctTop1: add('correctTop1'), correctTop5: add('correctTop5') },
  }
}

describe('SpanWork on the compute thread', () => {
  let compute: ComputeClient
  const slots = new SlotPool()
  const leafGradients: Node[] = []

  const read = (byteOffset: number): Float32Array => {
    compute.memory.grow(0)
    return new Float32Array(compute.memory.buffer, byteOffset, layout.size).slice()
  }

  const expected = (node: LeafRange): Node => {
    if (node.count > 1) {
      const [left, right] = childrenOf(node)
      return plus(expected(left), expected(right))
    }
    const found = leafGradients[node.first]
    if (found === undefined) throw new Error('no such leaf')
    return found
  }

  const spanOf = (span: LeafRange, atLeaf?: (work: SpanWork, leaf: number) => void, wanted?: Promise<boolean>) => {
    const sent = new Map<string, Node>()
    let finished = 0
    const work: SpanWork = new SpanWork(
      {
        ...{ batch: recipe.batch, leaves: LEAVES, compute, slots, wanted },
        take: async (position) => await Promise.resolve(batchAt(position)),
        send: async ({ node, byteOffset, statistics }) => {
          sent.set(nodeKey(node), { values: read(byteOffset), statistics })
          return await Promise.resolve('taken')
        },
        leafFinished: () => {
          atLeaf?.(work, finished++)
        },
      },
      { kind: 'span', term: 1, step: STEP, ...span, hint: null },
    )
    return { work, sent }
  }

  beforeAll(async () => {
    setComputeThreads(1)
    const weights = WeightsMemory.create(layout.size)
    const flat = weights.view(OWN_REGION)
    layout.entries.forEach((entry, index) => {
      initializeParameter(
        network,
        layout,
        index,
        recipe.initialization,
        recipe.seed,
        flat.subarray(entry.offset, entry.offset + entry.size),
      )
    })
    compute = await ComputeClient.start({ recipe, classes: CLASSES, weights: weights.memory })
    await compute.setWeights(OWN_REGION)
    const slot = await slots.take(100)
    for (let leaf = 0; leaf < LEAVES; leaf++) {
      const micro: Node[] = []
      for (let index = 0; index < recipe.batch.leaf; index++) {
        const { byteOffset, statistics } = await compute.gradient(batchAt(positionOf(recipe.batch, STEP, leaf, index)), slot, 'copy')
        micro.push({ values: read(byteOffset), statistics })
      }
      leafGradients.push(micro.reduce(plus))
    }
    slots.give(slot)
  })

  afterAll(async () => {
    await compute.terminate()
  })

  it('sends nodes that are bit for bit the tree sum, for every span', async () => {
    for (let first = 0; first < LEAVES; first++) {
      for (let count = 1; count <= LEAVES - first; count++) {
        const { work, sent } = spanOf({ first, count })
        const outcome = await work.run(() => undefined)
        expect(outcome).toMatchObject({ leaves: count, stale: false })
        const nodes = maximalNodes(LEAVES, { first, count })
        expect([...sent.keys()]).toEqual(nodes.map(nodeKey))
        for (const node of nodes) {
          const wanted = expected(node)
          const found = sent.get(nodeKey(node))
          expect(Buffer.from(found?.values.buffer ?? new ArrayBuffer(0)).equals(Buffer.from(wanted.values.buffer))).toBe(true)
          expect(found?.statistics).toEqual(wanted.statistics)
        }
      }
    }
    expect(leafGradients[0]?.values.some((value) => value !== 0)).toBe(true)
  })

  it('has shortened what it sends after a withdrawal, and keeps the bits', async () => {
    const { work, sent } = spanOf({ first: 0, count: 5 }, (running, leaf) => {
      if (leaf === 0) running.withdraw({ first: 2, count: 3 })
    })
    const { leaves } = await work.run(() => undefined)
    expect(leaves).toBeLessThan(LEAVES)
    expect(leaves).toBeGreaterThanOrEqual(2)
    for (const [key, node] of sent) {
      const [first = 0, count = 0] = key.split('+').map(Number)
      expect(node).toEqual(expected({ first, count }))
    }
  })

  it.each([true, false])('begun early, sends nothing until it is known whether it is wanted: %s', async (isWanted) => {
    let leafDone = (): void => undefined
    const computed = new Promise<void>((resolve) => (leafDone = resolve))
    let decide = (_: boolean): void => undefined
    const wanted = new Promise<boolean>((resolve) => (decide = resolve))
    let lastNodes = 0
    const { work, sent } = spanOf({ first: 4, count: 1 }, leafDone, wanted)
    const outcome = work.run(() => lastNodes++)
    await computed
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect([sent.size, lastNodes]).toEqual([0, 0])
    decide(isWanted)
    expect((await outcome).leaves).toBe(isWanted ? 1 : 0)
    expect([sent.size, lastNodes]).toEqual(isWanted ? [1, 1] : [0, 0])
    if (isWanted) expect(sent.get('4+1')).toEqual(expected({ first: 4, count: 1 }))
  })

  it('needs no more tensors and no more accumulators for more spans', async () => {
    const { work } = spanOf({ first: 0, count: 5 })
    await work.run(() => undefined)
    const before = { tensors: compute.tensors, slots: slots.size, bytes: compute.memory.buffer.byteLength }
    for (let repeat = 0; repeat < 3; repeat++) await spanOf({ first: 0, count: 5 }).work.run(() => undefined)
    expect({ tensors: compute.tensors, slots: slots.size, bytes: compute.memory.buffer.byteLength }).toEqual(before)
  })

  it('passes on what the engine throws, and can go on after it', async () => {
    const { work } = spanOf({ first: 0, count: 1 })
    const broken = new SpanWork(
      {
        ...{ batch: recipe.batch, leaves: LEAVES, compute, slots },
        take: async (position) => await Promise.resolve({ ...batchAt(position), images: new Float32Array(7) }),
        send: async () => await Promise.resolve('taken'),
        leafFinished: () => undefined,
      },
      { kind: 'span', term: 1, step: STEP, first: 0, count: 2, hint: null },
    )
    await expect(broken.run(() => undefined)).rejects.toMatchObject({ name: 'TrainError', code: 'INTERNAL' })
    expect(await work.run(() => undefined)).toMatchObject({ leaves: 1 })
  })
})
