import { describe, expect, it } from 'vitest'
import { allowedCores, canConfine, parseAllowedCores } from './allowed-cores.js'

describe('allowed cores', () => {
  it.each([
    ['Cpus_allowed:\tf\nCpus_allowed_list:\t0-3\n', [0, 1, 2, 3]],
    ['Cpus_allowed_list:\t1,4-5,9\n', [1, 4, 5, 9]],
    ['Name:\tnode\n', []],
  ])('reads %j', (status, cores) => {
    expect(parseAllowedCores(status)).toEqual(cores)
  })

  it('knows those of this very process, and that no process can be confined to none', async () => {
    expect((await allowedCores()).length).toBeGreaterThan(0)
    expect(await canConfine([])).toBe(false)
    expect(await canConfine([100_000])).toBe(false)
  })
})
