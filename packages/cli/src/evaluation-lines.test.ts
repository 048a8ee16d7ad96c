import { describe, expect, it } from 'vitest'
import type { EvaluationReport } from '@lockstep/worker/standalone/messages.js'
import { evaluationLines } from './evaluation-lines.js'

const report = (changes: Partial<EvaluationReport> = {}): EvaluationReport => ({
  views: [{ protocol: 'dense', scales: [224, 256], flip: true }],
  loss: 0.5,
  top1: 0.75,
  top5: 1,
  samples: 4,
  correctTop1: 3,
  correctTop5: 4,
  perClass: [
    { name: 'cat', samples: 3, top1: 2 / 3, top5: 1 },
    { name: 'extraordinary dog', samples: 1, top1: 1, top5: 1 },
    { name: 'none', samples: 0, top1: 0, top5: 0 },
  ],
  confusion: [
    [2, 1, 0],
    [0, 1, 0],
    [0, 0, 0],
  ],
  seconds: 1,
  ...changes,
})

describe('evaluationLines', () => {
  it('shows totals, classes and the matrix', () => {
    expect(evaluationLines(['/a.safetensors'], report(), 80)).toEqual([
      'checkpoint  /a.safetensors',
      'looked at   dense at scales 224 and 256, with mirror images',
      'pictures    4',
      'loss        0.500',
      'top-1       75.0 %  3 right',
      'top-5       100.0 %  4 right',
      '',
      'class              pictures    top-1    top-5',
      '─────────────────────────────────────────────',
      'cat                       3   66.7 %  100.0 %',
      'extraordinary dog         1  100.0 %  100.0 %',
      'none                      0        –        –',
      '',
      'true \\ seen as     cat  extraordi…  none',
      '────────────────────────────────────────',
      'cat                  2           1     ·',
      'extraordinary dog    ·           1     ·',
      'none                 ·           ·     ·',
    ])
  })

  it('names the most frequent mistakes where the matrix is too wide', () => {
    expect(evaluationLines(['/a.safetensors'], report(), 39).slice(-4)).toEqual([
      'the most frequent mistakes (--json has the whole matrix)',
      'true class  seen as            pictures',
      '───────────────────────────────────────',
      'cat         extraordinary dog         1',
    ])
    const right = report({ confusion: [[3, 0, 0], [0, 1, 0], [0, 0, 0]] }) // prettier-ignore
    expect(evaluationLines(['/a.safetensors'], right, 39).at(-1)).toBe('no picture was taken for one of another class')
  })

  it('names every checkpoint, and how each looked', () => {
    const views = [
      { protocol: 'center', scales: [32], flip: false },
      { protocol: 'center', scales: [64], flip: false },
    ] as const
    expect(evaluationLines(['/a.safetensors', '/b.safetensors'], report({ views }), 80).slice(0, 5)).toEqual([
      'checkpoint  /a.safetensors',
      '            /b.safetensors',
      'together    the mean of their soft-max outputs',
      'looked at   centre crop at scale 32',
      '            centre crop at scale 64',
    ])
  })
})
