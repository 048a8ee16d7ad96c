import sharp, { type Sharp } from 'sharp'
import { describe, expect, it } from 'vitest'
import { drawn, drawnPixels, drawnPng } from './drawn-pictures.js'
import { decodePicture, describePicture, reencodePicture } from './picture.js'

const flat = (channels: 3 | 4 = 3, alpha = 0.5): Sharp =>
  sharp({
    create: { width: 24, height: 12, channels, background: channels === 3 ? { r: 200, g: 30, b: 60 } : { r: 200, g: 30, b: 60, alpha } },
  })

const mean = (pixels: Uint8Array, channel: number): number => {
  let sum = 0
  for (let i = channel; i < pixels.length; i += 3) sum += pixels[i] ?? 0
  return sum / (pixels.length / 3)
}

describe('decodePicture', () => {
  it.each([
    ['PNG', flat().png(), 'png', [200, 30, 60], 0],
    ['palette PNG', flat().png({ palette: true }), 'png', [200, 30, 60], 0],
    ['16-bit PNG', flat().toColourspace('rgb16').png(), 'png', [200, 30, 60], 0],
    ['grayscale PNG', flat().greyscale().png(), 'png', [103, 103, 103], 1],
    ['16-bit grayscale PNG', flat().greyscale().toColourspace('grey16').png(), 'png', [103, 103, 103], 1],
    ['transparent PNG, over white', flat(4).png(), 'png', [227.5, 142.5, 157.5], 1],
    ['wholly transparent PNG', flat(4, 0).png(), 'png', [255, 255, 255], 0],
    ['transparent 16-bit PNG', flat(4).toColourspace('rgb16').png(), 'png', [227.5, 142.5, 157.5], 1],
    ['JPEG', flat().jpeg({ quality: 95 }), 'jpg', [200, 30, 60], 2],
    ['progressive JPEG', flat().jpeg({ quality: 95, progressive: true }), 'jpg', [200, 30, 60], 2],
    ['grayscale JPEG', flat().greyscale().jpeg({ quality: 95 }), 'jpg', [103, 103, 103], 2],
    ['CMYK JPEG', flat().toColourspace('cmyk').jpeg({ quality: 95 }), 'jpg', [200, 20, 50], 20],
    ['lossless WebP', flat().webp({ lossless: true }), 'webp', [200, 30, 60], 0],
    ['transparent WebP', flat(4).webp({ lossless: true }), 'webp', [227.5, 142.5, 157.5], 1],
    ['GIF', flat().gif(), 'gif', [200, 30, 60], 0],
    ['TIFF', flat().tiff({ compression: 'none' }), 'tif', [200, 30, 60], 0],
    ['AVIF', flat().avif({ lossless: true }), 'avif', [200, 30, 60], 2],
  ] as const)('reads %s', async (_, pipeline, extension, rgb, tolerance) => {
    const encoded = await pipeline.toBuffer()
    const picture = await decodePicture(encoded, null)
    expect([picture.height, picture.width, picture.pixels.length]).toEqual([12, 24, 12 * 24 * 3])
    for (const [channel, value] of rgb.entries()) expect(Math.abs(mean(picture.pixels, channel) - value)).toBeLessThanOrEqual(tolerance)
    expect(await describePicture(encoded)).toEqual({ extension, shortSide: 12 })
  })

  it('reads SVG over white', async () => {
    const svg = Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="4" height="8" fill="#102030"/></svg>',
    )
    const { pixels } = await decodePicture(svg, null)
    expect([...pixels.subarray(0, 3), ...pixels.subarray(21, 24)]).toEqual([16, 32, 48, 255, 255, 255])
  })

  it('applies the EXIF rotation, all eight of them', async () => {
    const [height, width] = [4, 6]
    const pixels = drawnPixels(height, width, 3)
    const at = (row: number, column: number): number[] => [...pixels.subarray((row * width + column) * 3, (row * width + column) * 3 + 3)]
    // Orientation → where the stored pixel of the upper left corner of the upright picture lies.
    const corners: [number, number, number][] = [
      [1, 0, 0],
      [2, 0, width - 1],
      [3, height - 1, width - 1],
      [4, height - 1, 0],
      [5, 0, 0],
      [6, height - 1, 0],
      [7, height - 1, width - 1],
      [8, 0, width - 1],
    ]
    for (const [orientation, row, column] of corners) {
      const encoded = await drawn(height, width, 3).withMetadata({ orientation }).png().toBuffer()
      const picture = await decodePicture(encoded, null)
      expect([picture.height, picture.width]).toEqual(orientation < 5 ? [height, width] : [width, height])
      expect([orientation, ...picture.pixels.subarray(0, 3)]).toEqual([orientation, ...at(row, column)])
    }
  })

  it.each([
    ['landscape, smaller', 30, 50, 20, 20, 33],
    ['portrait, smaller', 50, 30, 20, 33, 20],
    ['square, larger', 10, 10, 32, 32, 32],
    ['landscape, larger', 9, 27, 16, 16, 48],
  ])('brings the shorter side to S: %s', async (_, height, width, shortSide, toHeight, toWidth) => {
    const picture = await decodePicture(await drawnPng(height, width, 1), shortSide)
    expect([picture.height, picture.width]).toEqual([toHeight, toWidth])
  })

  it('leaves the pixels alone when the size is right already', async () => {
    const { pixels } = await decodePicture(await drawnPng(20, 31, 1), 20)
    expect(Buffer.compare(pixels, drawnPixels(20, 31, 1))).toBe(0)
  })

  it('refuses what is no whole picture', async () => {
    const jpeg = await drawn(40, 40, 1).jpeg().toBuffer()
    for (const broken of [
      Buffer.alloc(0),
      Buffer.from('hello'),
      jpeg.subarray(0, jpeg.length - 200),
      (await drawnPng(40, 40, 1)).subarray(0, 300),
    ]) {
      await expect(decodePicture(broken, null)).rejects.toThrow()
    }
  })
})

describe('reencodePicture', () => {
  it('makes an upright JPEG of the size asked for', async () => {
    const encoded = await drawn(30, 60, 1).withMetadata({ orientation: 6 }).jpeg().toBuffer()
    const smaller = await reencodePicture(encoded, 15)
    expect(await describePicture(smaller)).toEqual({ extension: 'jpg', shortSide: 15 })
    const picture = await decodePicture(smaller, null)
    expect([picture.height, picture.width]).toEqual([30, 15])
  })
})
