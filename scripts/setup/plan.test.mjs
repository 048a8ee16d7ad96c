import { describe, expect, it } from 'vitest'
import { readFileSync } from 'node:fs'
import { announcement, atLeast, diskProblem, downloadProblem, partsFor, stepsFor, WINDOWS } from './plan.mjs'

const lock = JSON.parse(readFileSync(new URL('../runtime-lock.json', import.meta.url), 'utf8'))
const NOTHING = { packages: false, tensorflow: false, binding: false, valkey: false, build: false }
const ALL = { packages: true, tensorflow: true, binding: true, valkey: true, build: true }
const linux = partsFor(lock, { platform: 'linux', arch: 'x64' }, 'cpu')

describe('the lock file', () => {
  it('names a digest, a size and members for every wheel', () => {
    const wheels = [...Object.values(lock.tensorflow), ...Object.values(lock.valkey)].flatMap((part) => part.wheels)
    expect(wheels.length).toBeGreaterThan(15)
    for (const wheel of wheels) {
      expect(wheel.sha256).toMatch(/^[0-9a-f]{64}$/)
      expect(wheel.bytes).toBeGreaterThan(1e6)
      expect(wheel.unpackedBytes).toBeGreaterThan(wheel.bytes)
      expect(wheel.members.length).toBeGreaterThan(0)
    }
  })
})

describe('partsFor', () => {
  it.each([
    ['linux', 'x64', 'cpu', 'tensorflow-cpu', false],
    ['linux', 'x64', 'gpu', 'tensorflow', true],
    ['linux', 'arm64', 'cpu', 'tensorflow', true],
    ['darwin', 'arm64', 'cpu', 'tensorflow', true],
  ])('%s %s %s gets %s, untried: %s', (platform, arch, variant, name, untried) => {
    const { tensorflow } = partsFor(lock, { platform, arch }, variant)
    expect([tensorflow.wheels[0].package, tensorflow.untried]).toEqual([name, untried])
  })

  it('sends Windows to WSL 2, and names what there is to others', () => {
    expect(partsFor(lock, { platform: 'win32', arch: 'x64' }, 'cpu')).toEqual({ problem: WINDOWS })
    expect(WINDOWS).toContain('WSL 2')
    expect(partsFor(lock, { platform: 'freebsd', arch: 'x64' }, 'cpu').problem).toContain('linux-x64')
  })
})

describe('stepsFor', () => {
  const names = (done) => stepsFor(done, linux).map(({ name }) => name)

  it.each([
    ['nothing is there', NOTHING, ['packages', 'tensorflow', 'binding', 'valkey', 'build']],
    ['all is there', ALL, []],
    ['a source changed', { ...ALL, build: false }, ['build']],
    ['packages changed', { ...ALL, packages: false }, ['packages', 'binding', 'build']],
    ['npm ci was run by hand', { ...ALL, binding: false }, ['binding']],
    ['TensorFlow is gone', { ...ALL, tensorflow: false }, ['tensorflow', 'binding']],
    ['Valkey is gone', { ...ALL, valkey: false }, ['valkey']],
  ])('does what is missing when %s', (_, done, expected) => {
    expect(names(done)).toEqual(expected)
  })

  it('does not count a wheel that lies here already', () => {
    const fetched = new Set(linux.tensorflow.wheels.map((wheel) => wheel.sha256))
    expect(stepsFor({ ...ALL, tensorflow: false }, linux, fetched)[0].downloadBytes).toBe(0)
  })
})

describe('announcement', () => {
  it('says what is downloaded, how much disk it takes and how long', () => {
    const lines = announcement(stepsFor(NOTHING, linux), 80e9).join('\n')
    expect(lines).toContain('TensorFlow 2.21.0 for the CPU (274 MB)')
    expect(lines).toContain('Valkey 8.1.8 (6 MB)')
    expect(lines).toMatch(/1\.6 GB in this folder, .* 80\.0 GB are free/)
    expect(lines).toMatch(/about \d minutes/)
  })

  it('is silent where there is only something to build', () => {
    expect(announcement(stepsFor({ ...ALL, build: false }, linux), 80e9)).toEqual([])
  })

  it('marks what nobody has tried', () => {
    const gpu = partsFor(lock, { platform: 'linux', arch: 'x64' }, 'gpu')
    expect(announcement(stepsFor(NOTHING, gpu), 80e9).join('\n')).toContain('untried')
  })
})

describe('diskProblem', () => {
  it('names both figures when the disk is too full, and nothing else', () => {
    expect(diskProblem(stepsFor(NOTHING, linux), 1e9)).toMatch(/needs 2\.\d GB here and 1\.0 GB are free/)
    expect(diskProblem(stepsFor(NOTHING, linux), 80e9)).toBeUndefined()
    expect(diskProblem(stepsFor({ ...ALL, build: false }, linux), 1e6)).toBeUndefined()
  })
})

describe('atLeast', () => {
  it.each([
    ['v20.19.0', '20.19.0', true],
    ['v20.18.3', '20.19.0', false],
    ['v26.10.0', '20.19.0', true],
    ['20.3', '20.3', true],
    ['9.0.3', '20.3', false],
    ['2.31', '2.27', true],
    ['23', '20.3', true],
  ])('%s against %s: %s', (version, wanted, expected) => {
    expect(atLeast(version, wanted)).toBe(expected)
  })
})

describe('downloadProblem', () => {
  it.each([
    ['npm error code ENOTFOUND', 'no network'],
    ["Retrying after connection broken by 'NewConnectionError'", 'no network'],
    ['ERROR: No matching distribution found for x', 'package index'],
    ['OSError: [Errno 28] No space left on device', 'the disk is full'],
    ['npm error code EINTEGRITY', 'package-lock.json'],
    ['something else', 'failed'],
  ])('%s → %s', (output, expected) => {
    expect(downloadProblem('Fetching x', output)).toContain(expected)
    expect(downloadProblem('Fetching x', output)).not.toContain('\n')
  })
})
