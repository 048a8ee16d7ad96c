import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync, readlinkSync, truncateSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { wasm, type WasmMemory } from '../kernels/web-assembly.js'
import { BLOCK_ALIGNMENT, mapBlock, SharedBlock, unmapBlock, wholePages } from './page-mapping.js'

const BYTES = 2 * BLOCK_ALIGNMENT

function memoryOf(pages: number): WasmMemory {
  return new wasm.Memory({ initial: pages, maximum: 64, shared: true })
}

function floats(memory: WasmMemory, offset: number): Float32Array {
  return new Float32Array(memory.buffer, offset, 4)
}

/** Whether an open file is one of ours in memory. */
function isMemory(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('/memfd:lockstep')
  } catch {
    return false // closed meanwhile
  }
}

/** A process of its own that maps a block, adds 1 to its first number and tells what it was. */
const OTHER = `
const { mapBlock } = await import(process.argv[1])
const memory = new WebAssembly.Memory({ initial: 4, maximum: 8, shared: true })
const mapped = mapBlock(memory, { offset: 65536, bytes: 131072 }, { path: process.argv[2], inode: Number(process.argv[3]) }, 0, true)
memory.grow(2)
const values = new Float32Array(memory.buffer, 65536, 4)
console.log(JSON.stringify({ mapped, value: values[0] }))
values[0] += 1
`

async function inAnotherProcess({ path, inode }: SharedBlock): Promise<unknown> {
  const module = fileURLToPath(new URL('./page-mapping.js', import.meta.url))
  const child = spawn(process.execPath, ['--input-type=module', '-e', OTHER, module, path, String(inode)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const output: string[] = []
  child.stdout.on('data', (data: Buffer) => output.push(data.toString()))
  await once(child, 'close')
  return JSON.parse(output.join(''))
}

describe.skipIf(process.platform !== 'linux')('pages that processes share', () => {
  it('are seen by another process, both ways, while both memories grow', async () => {
    const memory = memoryOf(4)
    const block = SharedBlock.create(memory, BLOCK_ALIGNMENT, BYTES)
    if (block === undefined) throw new Error('Linux shares memory')
    memory.grow(2)
    floats(memory, BLOCK_ALIGNMENT)[0] = 41.5
    expect(await inAnotherProcess(block)).toEqual({ mapped: true, value: 41.5 })
    expect(floats(memory, BLOCK_ALIGNMENT)[0]).toBe(42.5)
    block.close()
  })

  it('lie in the middle of a memory and touch nothing beside them', () => {
    const memory = memoryOf(4)
    new Uint8Array(memory.buffer).fill(7)
    SharedBlock.create(memory, BLOCK_ALIGNMENT, BLOCK_ALIGNMENT)
    const bytes = new Uint8Array(memory.buffer)
    expect([0, BLOCK_ALIGNMENT - 1, BLOCK_ALIGNMENT, 2 * BLOCK_ALIGNMENT - 1, 2 * BLOCK_ALIGNMENT].map((at) => bytes[at])).toEqual([
      7, 7, 0, 0, 7,
    ])
  })

  it('outlive their maker for whoever has them, and are the memory’s own again when given back', () => {
    const [mine, yours] = [memoryOf(4), memoryOf(4)]
    const block = SharedBlock.create(mine, 0, BYTES)
    if (block === undefined) throw new Error('Linux shares memory')
    floats(mine, 0)[1] = 3
    const place = { offset: BLOCK_ALIGNMENT, bytes: BLOCK_ALIGNMENT }
    expect(mapBlock(yours, place, block, 0, false)).toBe(true)
    block.close()
    expect(mapBlock(yours, place, block, 0, false)).toBe(false)
    floats(mine, 0)[1] = 4
    expect(floats(yours, BLOCK_ALIGNMENT)[1]).toBe(4)
    unmapBlock(yours, place)
    expect(floats(yours, BLOCK_ALIGNMENT)[1]).toBe(0)
    floats(yours, BLOCK_ALIGNMENT)[1] = 9
    expect(floats(mine, 0)[1]).toBe(4)
  })

  it('leave no memory behind when the thread that made them ends', async () => {
    const held = (): number => readdirSync('/proc/self/fd').filter((fd) => isMemory(`/proc/self/fd/${fd}`)).length
    const before = held()
    const module = new URL('./page-mapping.js', import.meta.url).href
    const thread = new Worker(
      `import(${JSON.stringify(module)}).then(({ SharedBlock }) => {
        const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true })
        const blocks = [SharedBlock.create(memory, 0, 65536), SharedBlock.create(memory, 65536, 65536)]
        blocks[1].close()
        require('node:worker_threads').parentPort.once('message', () => process.exit()).postMessage('made')
      })`,
      { eval: true },
    )
    await once(thread, 'message')
    expect(held()).toBe(before + 1)
    const ended = once(thread, 'exit')
    thread.postMessage('end')
    await ended
    expect(held()).toBe(before)
  })

  it('cannot be shortened under those who read them', () => {
    const block = SharedBlock.create(memoryOf(2), 0, BLOCK_ALIGNMENT)
    expect(() => {
      truncateSync(block?.path ?? '', 0)
    }).toThrow(/EPERM|not permitted/)
    expect(readFileSync(block?.path ?? '').length).toBe(BLOCK_ALIGNMENT)
  })

  it.each([
    ['a file by its name', { path: '/etc/hostname', inode: 1 }, BLOCK_ALIGNMENT, 0],
    ['another file under that number', { path: `/proc/${String(process.pid)}/fd/0`, inode: 1 }, BLOCK_ALIGNMENT, 0],
    ['more than there is', undefined, 2 * BLOCK_ALIGNMENT, 0],
    ['what lies behind its end', undefined, BLOCK_ALIGNMENT, BLOCK_ALIGNMENT],
  ])('are not %s', (_name, file, bytes, from) => {
    const block = SharedBlock.create(memoryOf(2), 0, BLOCK_ALIGNMENT)
    if (block === undefined) throw new Error('Linux shares memory')
    const memory = memoryOf(4)
    expect(mapBlock(memory, { offset: 0, bytes }, file ?? block, from, true)).toBe(false)
    floats(memory, 0)[0] = 1
    expect(floats(memory, 0)[0]).toBe(1)
  })

  it('are whole pages', () => {
    expect([1, BLOCK_ALIGNMENT, BLOCK_ALIGNMENT + 1].map(wholePages)).toEqual([BLOCK_ALIGNMENT, BLOCK_ALIGNMENT, 2 * BLOCK_ALIGNMENT])
    expect(() => SharedBlock.create(memoryOf(2), 100, BLOCK_ALIGNMENT)).toThrow(/whole pages/)
  })
})
