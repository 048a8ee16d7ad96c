import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FAULTS } from './fault-table.js'
import { Ground } from './ground.js'
import { runTrial } from './trial.js'

/**
 * The short form of `npm run test:faults`: the quick rows, each once and always at the same moment.
 */
const MINUTES = 60_000
const SEED = 1

let ground: Ground

beforeAll(async () => {
  ground = await Ground.make()
  await ground.reference('short')
  await ground.reference('long')
}, 3 * MINUTES)

afterAll(async () => {
  await ground.remove()
})

describe('the undisturbed bits, although', () => {
  it.each(FAULTS.filter(({ quick }) => quick).map((fault) => [fault.name, fault] as const))(
    '%s',
    async (_, fault) => {
      const unavailable = await fault.unavailable?.()
      if (unavailable !== undefined) {
        console.log(`skipped: ${fault.name}: ${unavailable}`)
        return
      }
      const trial = await runTrial(fault, ground, 0, SEED)
      expect(trial.failure.join('\n')).toBe('')
    },
    3 * MINUTES,
  )
})
