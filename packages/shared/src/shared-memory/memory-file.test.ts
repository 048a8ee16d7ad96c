import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { MemoryFile, MemoryReader } from './memory-file.js'

describe.runIf(process.platform === 'linux')('a file in memory', () => {
  it('hands bytes over, into shared memory too, and has no name', () => {
    const before = readdirSync('/dev/shm').length
    const file = MemoryFile.create()
    expect(readdirSync('/dev/shm').length).toBe(before)
    file?.write(Uint8Array.from([1, 2, 3, 4]), 1000)
    const into = new Uint8Array(new SharedArrayBuffer(4))
    const reader = new MemoryReader()
    expect(reader.read({ path: file?.path ?? '', inode: file?.inode ?? 0, offset: 1000, bytes: 4 }, into)).toBe(true)
    expect([...into]).toEqual([1, 2, 3, 4])
    file?.write(Uint8Array.from([9]), 1003)
    expect(reader.read({ path: file?.path ?? '', inode: file?.inode ?? 0, offset: 1003, bytes: 1 }, into.subarray(0, 1))).toBe(true)
    expect(into[0]).toBe(9)
    reader.close()
    file?.close()
  })

  it('says no to what is not there, ends too early, or is no process of this machine holds open', () => {
    const file = MemoryFile.create()
    file?.write(new Uint8Array(10), 0)
    const reader = new MemoryReader()
    const into = new Uint8Array(8)
    expect(reader.read({ path: file?.path ?? '', inode: file?.inode ?? 0, offset: 5, bytes: 8 }, into)).toBe(false)
    expect(reader.read({ path: file?.path ?? '', inode: 1, offset: 0, bytes: 8 }, into)).toBe(false)
    expect(reader.read({ path: '/proc/1/fd/99999', offset: 0, bytes: 8 }, into)).toBe(false)
    expect(reader.read({ path: '/etc/passwd', offset: 0, bytes: 8 }, into)).toBe(false)
    reader.close()
    file?.close()
  })
})
