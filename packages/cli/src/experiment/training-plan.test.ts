import { describe, expect, it } from 'vitest'
import { BEGINNINGS, beginningTitle, CONFIGURATIONS, planTrainings, settingsOf } from './training-plan.js'

describe('the plan of trainings', () => {
  it('has A, A-LRN and the deep ones from every beginning, a seed after the other', () => {
    const plan = planTrainings({ configurations: CONFIGURATIONS, beginnings: BEGINNINGS, seeds: [4, 7] })
    expect(plan).toHaveLength(2 * (5 + 1 + 4 * 5))
    expect(new Set(plan.map(({ id }) => id)).size).toBe(plan.length)
    expect(plan.map(({ seed }) => seed)).toEqual([...new Array<number>(26).fill(4), ...new Array<number>(26).fill(7)])
    expect(plan.filter(({ configuration }) => configuration === 'vgg-a-lrn').map(({ beginning }) => beginning)).toEqual([
      'glorot',
      'glorot',
    ])
  })

  it('never begins with a checkpoint that is not there yet', () => {
    const plan = planTrainings({ configurations: CONFIGURATIONS, beginnings: BEGINNINGS, seeds: [1, 2] })
    const done = new Set<string>()
    for (const { id, after, beginning, seed } of plan) {
      expect(after.length > 0).toBe(beginning === 'from-a')
      for (const source of after) {
        expect(done).toContain(source)
        expect(source).toMatch(new RegExp(`^vgg-a-(normal-0.01|normal-0.1|he|glorot)-seed-${String(seed)}$`))
      }
      done.add(id)
    }
  })

  it.each([
    [['vgg-d'], ['from-a'], ['vgg-a-glorot-seed-1', 'vgg-a-from-a-seed-1', 'vgg-d-from-a-seed-1']],
    [['vgg-a'], ['he'], ['vgg-a-he-seed-1', 'vgg-a-glorot-seed-1']],
    [
      ['vgg-b', 'vgg-a-lrn'],
      ['normal-0.1'],
      ['vgg-a-normal-0.1-seed-1', 'vgg-a-glorot-seed-1', 'vgg-a-lrn-glorot-seed-1', 'vgg-b-normal-0.1-seed-1'],
    ],
  ] as const)('of %j from %j', (configurations, beginnings, ids) => {
    expect(planTrainings({ configurations, beginnings, seeds: [1] }).map(({ id }) => id)).toEqual(ids)
  })

  it.each([
    ['normal-0.01', ['initialization.method=normal', 'initialization.std=0.01']],
    ['normal-0.1', ['initialization.method=normal', 'initialization.std=0.1']],
    ['he', ['initialization.method=he']],
    ['glorot', ['initialization.method=glorot']],
    ['from-a', ['initialization.method=he']],
  ] as const)('sets what %s means', (beginning, expected) => {
    const training = { id: 'x', configuration: 'vgg-c', beginning, seed: 3, after: [] } as const
    expect(settingsOf(training)).toEqual(['name=x', 'seed=3', 'model.name=vgg-c', ...expected])
  })

  it('says of A from A that it goes on', () => {
    expect(beginningTitle('vgg-a', 'from-a')).toBe('from A, going on')
    expect(beginningTitle('vgg-e', 'from-a')).toBe('from A')
  })
})
