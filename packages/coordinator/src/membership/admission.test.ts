import { describe, expect, it } from 'vitest'
import { placeTaken } from './admission.js'

describe('placeTaken', () => {
  it('keeps to run.workers.maximum, and says what to do', () => {
    expect(placeTaken(3, 2)).toBeNull()
    expect(placeTaken(3, 3)).toMatch(/all the 3 workers it takes \(run\.workers\.maximum\).*asks again.*--set run\.workers\.maximum=4$/)
    expect(placeTaken(3, 9)).not.toBeNull()
  })
})
