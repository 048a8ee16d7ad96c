import { expect, it } from 'vitest'
import { growth, tableOf, type Facts } from './soak-facts.js'

const QUIET: Facts = {
  ...{ coordinatorFiles: 40, coordinatorSockets: 12, coordinatorTimers: 5, coordinatorThreads: 12, coordinatorMib: 200 },
  ...{ workerFiles: 30, workerSockets: 6, workerThreads: 12, workerMib: 400, workerTensors: 30, sharedMemoryFiles: 0, queueKeys: 6 },
}
const BEFORE: Facts = { ...QUIET, coordinatorFiles: 25, coordinatorSockets: 2, coordinatorTimers: 0, queueKeys: 0 }

it('finds what grew while it ran and what stayed after it, and nothing else', () => {
  const looks = (late: Partial<Facts>, after: Partial<Facts>): [string, Facts][] => [
    ['before', BEFORE],
    ['early', QUIET],
    ['late', { ...QUIET, ...late }],
    ['after', { ...BEFORE, ...after }],
  ]
  expect(growth(looks({}, {}))).toEqual([])
  expect(growth(looks({ workerTensors: 31 }, {}))).toEqual(['workerTensors grew from 30 to 31'])
  expect(growth(looks({ coordinatorSockets: 40 }, { queueKeys: 1 }))).toEqual([
    'coordinatorSockets grew from 12 to 40',
    'queueKeys was 0 before and is 1 after',
  ])
  expect(tableOf(looks({}, {}))[1]).toBe('|---|---:|---:|---:|---:|')
})
