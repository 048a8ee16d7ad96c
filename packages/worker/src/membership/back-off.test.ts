import { describe, expect, it } from 'vitest'
import { backOffMs } from './back-off.js'
import { checkAddress } from './membership.js'

describe('backOffMs', () => {
  const limits = { firstMs: 50, mostMs: 1000, limitMs: 10_000 }
  it.each([
    { attempt: 1, awayMs: 0, waitMs: 50 },
    { attempt: 3, awayMs: 100, waitMs: 200 },
    { attempt: 1000, awayMs: 9_999, waitMs: 1000 },
    { attempt: 2, awayMs: 10_000, waitMs: undefined },
  ])('attempt $attempt after $awayMs ms: $waitMs', ({ attempt, awayMs, waitMs }) => {
    expect(backOffMs(limits, attempt, awayMs)).toBe(waitMs)
  })
})

describe('checkAddress', () => {
  it.each([
    { address: 'localhost', code: 'USAGE' },
    { address: '10.0.0.1:5000', code: 'NETWORK' },
    { address: '[fe80::1]:5000', code: 'NETWORK' },
  ])('refuses $address', ({ address, code }) => {
    expect(() => {
      checkAddress(address, false)
    }).toThrow(expect.objectContaining({ code }) as Error)
  })

  it('takes loopback, and anything once it was said', () => {
    for (const address of ['127.0.0.1:1', 'localhost:1', '[::1]:1'])
      expect(() => {
        checkAddress(address, false)
      }).not.toThrow()
    expect(() => {
      checkAddress('10.0.0.1:5000', true)
    }).not.toThrow()
  })
})
