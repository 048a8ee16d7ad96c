import { describe, expect, it } from 'vitest'
import { deepTrainings, remarks, shallowTraining } from './depth-story.js'
import { resultsTable, type TrainingRow } from './results-table.js'

const BASELINE = { name: 'nearest neighbour on pixels', top1: 0.947, seconds: 3.2 }

function row(configuration: string, initialization: string, top1: number): TrainingRow {
  return { configuration, initialization, parameters: 1_234_567, top1, imagesPerSecond: 811.6, seconds: 41.3 }
}

describe('the table of results', () => {
  it('has a row a training and the yardstick last', () => {
    const lines = resultsTable([row('VGG-A', 'random, He', 0.9812)], BASELINE)
    expect(lines[0]).toMatch(/^configuration +initialization +parameters +top-1 +images\/s +seconds$/)
    expect(lines[2]).toMatch(/^VGG-A +random, He +1,234,567 +98\.1 % +812 +41$/)
    expect(lines.at(-1)).toMatch(/^nearest neighbour on pixels +– +– +94\.7 % +– +3$/)
  })

  it('is followed by what did not go as told, and only by that', () => {
    const [normal, he, fromA] = deepTrainings(1, '/a/best.safetensors')
    const trainings = (shallowTop1: number, heTop1: number, fromATop1: number): TrainingRow[] => [
      row('VGG-A', shallowTraining(1).initialization, shallowTop1),
      row('VGG-D', normal?.initialization ?? '', 0.11),
      row('VGG-D', he?.initialization ?? '', heTop1),
      row('VGG-D', fromA?.initialization ?? '', fromATop1),
    ]
    expect(remarks({ trainings: trainings(0.98, 0.9, 0.96), baseline: BASELINE })).toEqual([])
    expect(remarks({ trainings: trainings(0.94, 0.9, 0.96), baseline: BASELINE })).toHaveLength(1)
    expect(remarks({ trainings: trainings(0.98, 0.97, 0.96), baseline: BASELINE })).toHaveLength(1)
  })
})

describe('the trainings', () => {
  it('of VGG-D differ in their beginning alone', () => {
    const kept = (set: readonly string[]): string[] => set.filter((change) => !/^(name|initialization\.\w+)=/.test(change))
    const [first, ...others] = deepTrainings(5, '/a/best.safetensors')
    for (const other of others) {
      expect(other.recipe).toBe(first?.recipe)
      expect(kept(other.set)).toEqual(kept(first?.set ?? []))
    }
    expect(new Set(deepTrainings(5, '/a').map(({ set }) => set.join(' '))).size).toBe(3)
  })
})
