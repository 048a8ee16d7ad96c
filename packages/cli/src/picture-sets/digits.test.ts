import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { DIGIT_SIZE, picturesOf, readDigits } from './digits.js'

const AREA = DIGIT_SIZE * DIGIT_SIZE
const CLASSES = Array.from({ length: 10 }, (_, digit) => String(digit))

describe('the digits', () => {
  const { train, validation } = readDigits()

  it('are 9,000 and 1,000, of every class', () => {
    expect([train.labels.length, validation.labels.length]).toEqual([9000, 1000])
    for (const { labels } of [train, validation]) expect(new Set(labels).size).toBe(10)
  })

  it('stand in the middle of a black frame of two pixels', () => {
    const framed = train.pixels.filter((_, at) => {
      const row = Math.floor((at % AREA) / DIGIT_SIZE)
      const column = at % DIGIT_SIZE
      return Math.min(row, column) < 2 || Math.max(row, column) >= DIGIT_SIZE - 2
    })
    expect(framed.length).toBe(9000 * (AREA - 28 * 28))
    expect(framed.every((value) => value === 0)).toBe(true)
    expect(Math.max(...train.pixels.subarray(0, AREA))).toBeGreaterThan(200)
  })

  it('are none of them in both parts', () => {
    const drawn = (pixels: Uint8Array, index: number): string =>
      Buffer.from(pixels.subarray(index * AREA, (index + 1) * AREA)).toString('latin1')
    const trained = new Set(Array.from(train.labels, (_, index) => drawn(train.pixels, index)))
    expect(Array.from(validation.labels, (_, index) => trained.has(drawn(validation.pixels, index))).filter(Boolean)).toEqual([])
  })

  it('are encoded without loss, in the folder of their class', async () => {
    const pictures = picturesOf('validation', validation)
    expect([...new Set(pictures.map(({ className }) => className))]).toEqual(CLASSES)
    expect(new Set(pictures.map(({ className, name }) => `${className}/${name}`)).size).toBe(1000)
    for (const index of [0, 500, 999]) {
      const png = await pictures[index]?.png()
      const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true })
      const grey = data.filter((_, at) => at % info.channels === 0)
      expect([info.width, info.height]).toEqual([DIGIT_SIZE, DIGIT_SIZE])
      expect(Buffer.from(grey).equals(Buffer.from(validation.pixels.subarray(index * AREA, (index + 1) * AREA)))).toBe(true)
    }
  })
})
