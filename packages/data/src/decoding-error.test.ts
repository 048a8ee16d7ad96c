import { describe, expect, it } from 'vitest'
import { decodingError } from './picture.js'

describe('a picture that could not be decoded', () => {
  it.each([
    ['Input buffer contains unsupported image format', 'DATA_CORRUPT'],
    ['VipsJpeg: Premature end of input file', 'DATA_CORRUPT'],
    ['glib: Error creating thread: Resource temporarily unavailable', 'MEMORY'],
    ['Unknown error', 'MEMORY'],
    ['vips_malloc: out of memory -- size == 3MB', 'MEMORY'],
  ])('%s is %s', (reason, code) => {
    const error = decodingError(new Error(reason), 'a/7.png', 'replace it')
    expect(error.code).toBe(code)
    expect(error.message).toContain('a/7.png')
  })
})
