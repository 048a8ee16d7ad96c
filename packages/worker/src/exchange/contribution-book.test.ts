import { describe, expect, it } from 'vitest'
import { ContributionBook } from './contribution-book.js'

const entry = (chunk: number, bytes = 10) => ({ step: 3, firstLeaf: 0, leafCount: 2, chunk, bytes })

describe('ContributionBook', () => {
  it('bounds the bytes in flight and lets them go with the acknowledgements, in order', () => {
    const book = new ContributionBook(25)
    for (let chunk = 0; chunk < 4; chunk++) book.add(entry(chunk))
    expect([book.take()?.chunk, book.take()?.chunk, book.take()]).toEqual([0, 1, undefined])
    expect(book.bytesInFlight).toBe(20)
    expect(book.acknowledge(entry(0)).chunk).toBe(0)
    expect([book.take()?.chunk, book.take()]).toEqual([2, undefined])
  })

  it('lets one entry fly that is larger than the limit', () => {
    const book = new ContributionBook(5)
    book.add(entry(0))
    book.add(entry(1))
    expect([book.take()?.chunk, book.take()]).toEqual([0, undefined])
  })

  it('sends again what was in flight when the stream broke, in the old order and before the rest', () => {
    const book = new ContributionBook(25)
    for (let chunk = 0; chunk < 3; chunk++) book.add(entry(chunk))
    book.take()
    book.take()
    book.acknowledge(entry(0))
    book.recall()
    expect(book.bytesInFlight).toBe(0)
    expect([book.take()?.chunk, book.take()?.chunk]).toEqual([1, 2])
  })

  it('keeps what is in flight when what waits is dropped', () => {
    const book = new ContributionBook(10)
    for (let chunk = 0; chunk < 3; chunk++) book.add(entry(chunk))
    book.take()
    expect(book.clearWaiting().map(({ chunk }) => chunk)).toEqual([1, 2])
    expect(book.isEmpty).toBe(false)
    book.acknowledge(entry(0))
    expect(book.isEmpty).toBe(true)
  })

  it('does not accept an acknowledgement of something else', () => {
    const book = new ContributionBook(100)
    expect(() => book.acknowledge(entry(0))).toThrow('answers something sent')
    book.add(entry(0))
    book.take()
    expect(() => book.acknowledge(entry(1))).toThrow('order of arrival')
  })
})
