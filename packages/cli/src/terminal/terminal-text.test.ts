import { describe, expect, it } from 'vitest'
import { parseAddress } from '../options.js'
import { sparkline } from './sparkline.js'
import { fields, table } from './table.js'
import { bytes, count, duration, percent, rate, significant } from './units.js'

describe('numbers for people', () => {
  it.each<[shown: string, expected: string]>([
    [count(138_357_544), '138,357,544'],
    [bytes(0), '0 B'],
    [bytes(999), '999 B'],
    [bytes(999_600), '1.00 MB'],
    [bytes(60_950_432), '61.0 MB'],
    [bytes(553_430_176), '553 MB'],
    [duration(42), '0:42'],
    [duration(727), '12:07'],
    [duration(11_045), '3:04:05'],
    [duration(183_600), '2 d 3 h'],
    [duration(Number.NaN), '–'],
    [percent(0.973), '97.3 %'],
    [significant(0.01234), '0.0123'],
    [significant(123.4), '123'],
    [significant(0), '0'],
    [significant(Number.NaN), 'NaN'],
    [rate(0.001), '0.001'],
    [rate(0.1 * 0.1 * 0.01), '0.0001'],
  ])('%s', (shown, expected) => {
    expect(shown).toBe(expected)
  })
})

describe('a sparkline', () => {
  it.each<[values: number[], columns: number, line: string]>([
    [[], 8, ''],
    [[3], 8, '▁'],
    [[2, 2, 2], 8, '▁▁▁'],
    [[8, 7, 6, 5, 4, 3, 2, 1], 8, '█▇▆▅▄▃▂▁'],
    [[4, 4, 1, 1], 2, '█▁'],
    [[1, Number.NaN, 2], 8, '▁█'],
  ])('of %j in %i columns', (values, columns, line) => {
    expect(sparkline(values, columns)).toBe(line)
  })
})

describe('a table', () => {
  it('aligns its columns', () => {
    const columns = [
      { title: 'layer', align: 'left' },
      { title: 'n', align: 'right' },
    ] as const
    expect(
      table(columns, [
        ['fc', '1,024'],
        ['conv', '3'],
      ]),
    ).toEqual(['layer      n', '────────────', 'fc     1,024', 'conv       3'])
  })

  it('puts the values of fields under each other', () => {
    expect(
      fields([
        ['a', '1'],
        ['long', '2'],
      ]),
    ).toEqual(['a     1', 'long  2'])
  })
})

describe('an address', () => {
  it.each<[text: string, host: string, port: number]>([
    ['10.0.0.5:7', '10.0.0.5', 7],
    ['host', 'host', 99],
    [':5', 'any', 5],
    ['[::1]:5', '::1', 5],
  ])('%s', (text, host, port) => {
    expect(parseAddress(text, '--join', { host: 'any', port: 99 })).toEqual({ host, port })
  })

  it.each(['', 'a:b', 'a:1:2', 'a:99999', '[::1'])('%s is none', (text) => {
    expect(() => parseAddress(text, '--join', { host: 'any', port: 99 })).toThrow(/expected HOST:PORT/)
  })
})
