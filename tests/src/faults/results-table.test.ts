import { expect, it } from 'vitest'
import { tableLines, tally } from './results-table.js'
import type { Trial } from './trial.js'

const trial = (changes: Partial<Trial>): Trial => ({
  ...{ fault: 'a', repetition: 0, seed: 1, passed: true, digestsEqual: true, pauseSeconds: 1, seen: '', failure: [] },
  ...changes,
})

it('counts rows, of which every repetition has to pass, and says where digests differ', () => {
  const rows = [
    { fault: 'a', trials: [trial({ pauseSeconds: 3, seen: 'joined again' }), trial({ seen: 'joined again' }), trial({ pauseSeconds: 2 })] },
    { fault: 'bad bits', trials: [trial({}), trial({ passed: false, digestsEqual: false })] },
    { fault: 'c', trials: [], skipped: 'no tmpfs' },
  ]
  expect(tally(rows)).toEqual({ passed: 1, failed: 1, skipped: 1 })
  expect(tableLines(rows)).toEqual([
    'fault     repetitions  digests    longest pause       seen',
    'a         3 of 3       all equal  2.0 s, worst 3.0 s  joined again (2×)',
    'bad bits  1 of 2       1 DIFFER   1.0 s, worst 1.0 s',
    'c         skipped                                     no tmpfs',
  ])
})
