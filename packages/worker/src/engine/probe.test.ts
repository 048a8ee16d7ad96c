import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import type { LayerSpec } from '@lockstep/shared/models/network.js'
import { frozenPart, trainedPart } from '@lockstep/shared/parameters/layout.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Engine } from './engine.js'
import { probeFingerprint, type ProbeOptions } from './probe.js'
import { oneThread, smallVgg } from './test-networks.js'

oneThread()

const network = smallVgg()
const options: ProbeOptions = {
  network,
  layout: layoutOf(network),
  seed: 3,
  batch: { global: 8, micro: 4, leaf: 2 },
  evaluationBatch: 5,
}

/** The same probe, as a program of its own. */
const CHILD = `
  const { Engine } = await import(${JSON.stringify(new URL('./engine.js', import.meta.url).href)})
  const { probeFingerprint } = await import(${JSON.stringify(new URL('./probe.js', import.meta.url).href)})
  const options = ${JSON.stringify(options)}
  const engine = await Engine.create({ ...options, globalBatch: options.batch.global })
  console.log(probeFingerprint(engine, options).fingerprint)
`

describe('probeFingerprint', () => {
  let engine: Engine
  beforeAll(async () => {
    engine = await Engine.create({ network, layout: options.layout, seed: 3, globalBatch: 8 })
  })
  afterAll(() => {
    engine.dispose()
  })

  it('is the same twice in one process and in another process', async () => {
    const first = probeFingerprint(engine, options)
    expect(first.fingerprint).toMatch(/^[0-9a-f]{64}$/)
    expect(first.leafSeconds).toBeGreaterThan(0)
    const tensors = engine.tensors()
    expect(probeFingerprint(engine, options).fingerprint).toBe(first.fingerprint)
    expect(engine.tensors()).toBe(tensors)
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', CHILD])
    expect(stdout.trim().split('\n').at(-1)).toBe(first.fingerprint)
  })

  it('differs by seed, leaf, evaluation batch and scales of whole pictures', () => {
    const fingerprints = [
      options,
      { ...options, seed: 4 },
      { ...options, batch: { ...options.batch, leaf: 1 } },
      { ...options, evaluationBatch: 6 },
      { ...options, denseScales: [40] },
      { ...options, denseScales: [40, 48] },
    ].map((changed) => probeFingerprint(engine, changed).fingerprint)
    expect(new Set(fingerprints).size).toBe(6)
  })

  it('covers what a frozen base makes of a batch, apart from seed and head, where that is kept', async () => {
    const boundary = network.layers.findIndex(({ name }) => name === 'flatten')
    const layers = network.layers.map((layer, index): LayerSpec => (index < boundary ? { ...layer, trainable: false } : layer))
    const frozen = { ...network, layers }
    const layout = trainedPart(layoutOf(frozen))
    const own = await Engine.create({ network: frozen, layout, seed: 3, globalBatch: 8 })
    const values = new Float32Array(frozenPart(layoutOf(frozen)).size)
    const probed = (changes: Partial<ProbeOptions> = {}): ReturnType<typeof probeFingerprint> =>
      probeFingerprint(own, { ...options, network: frozen, layout, cachesFeatures: true, ...changes })
    own.setFrozen(values.fill(0.01))
    const first = probed()
    expect(first.features).toMatch(/^[0-9a-f]{64}$/)
    expect(probed({ cachesFeatures: false }).features).toBeUndefined()
    const [seeded, larger] = [probed({ seed: 4 }), probed({ batch: { global: 8, micro: 8, leaf: 1 } })]
    expect([seeded.features, seeded.fingerprint === first.fingerprint]).toEqual([first.features, false])
    expect(larger.features).not.toBe(first.features)
    own.setFrozen(values.fill(0.02))
    expect(probed().features).not.toBe(first.features)
    own.dispose()
  })
})
