import { describe, expect, it } from 'vitest'
import { findingsOf, type Verdict } from './findings.js'
import type { Beginning, Configuration } from './training-plan.js'
import { bestOf, chanceCeiling, fateOf, type TrainingResult } from './training-result.js'

const CHANCE = { top1: 0.1, pictures: 1000 }

/** Trainings of one kind, a seed each, by their last top-1; `diverged` for one that did not get there. */
function trained(configuration: Configuration, beginning: Beginning, ...top1s: (number | 'diverged')[]): TrainingResult[] {
  return top1s.map((top1, index) => ({
    ...{
      id: '',
      configuration,
      beginning,
      seed: index + 1,
      after: [],
      source: null,
      steps: 10,
      losses: [],
      seconds: 1,
      imagesPerSecond: 1,
    },
    ...{ parameters: 1, work: 1, stateDigest: null },
    diverged: top1 === 'diverged' ? 'loss was NaN' : null,
    evaluations: [{ step: 5, loss: 1, top1: 0.1, top5: 1 }, ...(top1 === 'diverged' ? [] : [{ step: 10, loss: 1, top1, top5: 1 }])],
  }))
}

function verdict(results: readonly TrainingResult[], claim: RegExp): Verdict | undefined {
  return findingsOf(results, CHANCE).find((finding) => claim.test(finding.claim))?.verdict
}

const LRN = /A-LRN errs/
const B_A = /B errs less than A/
const D_C = /errs less than C/
const SATURATES = /saturates/
const STALLS = /stay at chance/
const OTHER = /other reading/
const FROM_A = /layers of A helps/
const GLOROT = /Glorot/

describe('the fate of a training', () => {
  it.each([
    ['at chance', 0.1, 'stalls'],
    ['a little above by luck', 0.12, 'stalls'],
    ['above', 0.15, 'learns'],
    ['not finite', 'diverged', 'diverges'],
  ] as const)('%s', (_, top1, fate) => {
    const [result] = trained('vgg-d', 'he', top1)
    expect(result && fateOf(result, CHANCE)).toBe(fate)
  })

  it('counts every evaluation: one that learned and fell back has learned', () => {
    const evaluations = [0.5, 0.1].map((top1, index) => ({ step: index, loss: 1, top1, top5: 1 }))
    expect(fateOf({ diverged: null, evaluations }, CHANCE)).toBe('learns')
  })

  it('allows luck three standard errors', () => {
    expect(chanceCeiling({ top1: 0.5, pictures: 100 })).toBeCloseTo(0.65, 12)
  })
})

describe('findings', () => {
  it.each<[string, RegExp, TrainingResult[], Verdict]>([
    ['LRN worse', LRN, [...trained('vgg-a', 'glorot', 0.95, 0.95), ...trained('vgg-a-lrn', 'glorot', 0.85, 0.86)], 'seen'],
    ['LRN the same', LRN, [...trained('vgg-a', 'glorot', 0.95, 0.95), ...trained('vgg-a-lrn', 'glorot', 0.95, 0.945)], 'not told apart'],
    ['LRN better', LRN, [...trained('vgg-a', 'glorot', 0.85, 0.86), ...trained('vgg-a-lrn', 'glorot', 0.95, 0.95)], 'not seen'],
    ['LRN not trained', LRN, trained('vgg-a', 'glorot', 0.85), 'not measured'],
    ['B better', B_A, [...trained('vgg-a', 'from-a', 0.9, 0.9), ...trained('vgg-b', 'from-a', 0.97, 0.98)], 'seen'],
    ['B worse', B_A, [...trained('vgg-a', 'from-a', 0.97, 0.98), ...trained('vgg-b', 'from-a', 0.9, 0.9)], 'not seen'],
    ['B and A from He alone', B_A, [...trained('vgg-a', 'he', 0.9), ...trained('vgg-b', 'he', 0.97)], 'not measured'],
    [
      'B diverged on a seed',
      B_A,
      [...trained('vgg-a', 'from-a', 0.9, 0.9), ...trained('vgg-b', 'from-a', 0.97, 'diverged')],
      'not measured',
    ],
    [
      'D within the spread of C',
      D_C,
      [...trained('vgg-c', 'from-a', 0.9, 0.97), ...trained('vgg-d', 'from-a', 0.96, 0.97)],
      'not told apart',
    ],
    [
      'E as D, D better than A',
      SATURATES,
      [...trained('vgg-a', 'from-a', 0.9), ...trained('vgg-d', 'from-a', 0.97), ...trained('vgg-e', 'from-a', 0.97)],
      'seen',
    ],
    [
      'E as D, D as A',
      SATURATES,
      [...trained('vgg-a', 'from-a', 0.97), ...trained('vgg-d', 'from-a', 0.97), ...trained('vgg-e', 'from-a', 0.97)],
      'not told apart',
    ],
    ['E better than D', SATURATES, [...trained('vgg-d', 'from-a', 0.9), ...trained('vgg-e', 'from-a', 0.97)], 'not seen'],
    ['all stall', STALLS, [...trained('vgg-b', 'normal-0.01', 0.1, 0.11), ...trained('vgg-e', 'normal-0.01', 0.1, 0.1)], 'seen'],
    ['one learns', STALLS, [...trained('vgg-b', 'normal-0.01', 0.9, 0.1), ...trained('vgg-e', 'normal-0.01', 0.1, 0.1)], 'partly seen'],
    ['all learn', STALLS, trained('vgg-d', 'normal-0.01', 0.9, 0.9), 'not seen'],
    ['A stalls, which is not deep', STALLS, trained('vgg-a', 'normal-0.01', 0.1), 'not measured'],
    ['one stalls, one diverges', OTHER, [...trained('vgg-d', 'normal-0.1', 0.1), ...trained('vgg-e', 'normal-0.1', 'diverged')], 'seen'],
    [
      'from A better',
      FROM_A,
      [...trained('vgg-d', 'from-a', 0.95), ...trained('vgg-d', 'he', 0.5), ...trained('vgg-d', 'glorot', 0.1)],
      'seen',
    ],
    [
      'from A worse than the best',
      FROM_A,
      [...trained('vgg-d', 'from-a', 0.8), ...trained('vgg-d', 'he', 0.5), ...trained('vgg-d', 'glorot', 0.95)],
      'not seen',
    ],
    [
      'from A better in one of two',
      FROM_A,
      [
        ...trained('vgg-d', 'from-a', 0.95),
        ...trained('vgg-d', 'he', 0.5),
        ...trained('vgg-b', 'from-a', 0.95),
        ...trained('vgg-b', 'he', 0.95),
      ],
      'partly seen',
    ],
    ['Glorot learns', GLOROT, trained('vgg-d', 'glorot', 0.9, 0.95), 'seen'],
    ['Glorot learns once', GLOROT, trained('vgg-d', 'glorot', 0.9, 0.1), 'partly seen'],
  ])('%s', (_, claim, results, expected) => {
    expect(verdict(results, claim)).toBe(expected)
  })

  it('are told with the figures, and with how many seeds', () => {
    const sentenceOf = (...top1s: number[]): string =>
      findingsOf([...trained('vgg-a', 'from-a', ...top1s), ...trained('vgg-b', 'from-a', 0.97, 0.98)], CHANCE)
        .find(({ claim }) => claim.includes('B errs less than A'))
        ?.sentences.join(' ') ?? ''
    expect(sentenceOf(0.9, 0.9)).toBe(
      'Error 2.5 % for B from A, 10.0 % for A going on: 7.5 points less (the spread of 2 seeds and of 1000 pictures is 2.1).',
    )
    expect(sentenceOf(0.97, 0.97)).toMatch(/0\.5 points less, which is not told apart/)
  })

  it('of nothing say nothing', () => {
    const findings = findingsOf([], CHANCE)
    expect(findings.length).toBeGreaterThan(8)
    expect(findings.every((finding) => finding.verdict === 'not measured')).toBe(true)
  })
})

describe('the best of several trainings', () => {
  it.each([
    ['the one with the highest top-1', [0.5, 0.9, 0.7], 2],
    ['the first of equals', [0.9, 0.9], 1],
    ['never one that diverged', ['diverged', 0.1], 2],
    ['none', ['diverged', 'diverged'], undefined],
  ] as const)('is %s', (_, top1s, seed) => {
    expect(bestOf(trained('vgg-a', 'he', ...top1s))?.seed).toBe(seed)
  })
})
