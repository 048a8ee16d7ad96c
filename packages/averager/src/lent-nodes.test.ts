import { describe, expect, it } from 'vitest'
import { Arena } from '@lockstep/shared/kernels/arena.js'
import { CHUNK_FLOATS } from '@lockstep/shared/parameters/layout.js'
import { SharedBlock, wholePages } from '@lockstep/shared/shared-memory/page-mapping.js'
import { LentNodes } from './lent-nodes.js'

/** The second slice of three chunks and a bit. */
const FLOATS = 3 * CHUNK_FLOATS + 100
const SLICE = { index: 1, offset: CHUNK_FLOATS, size: FLOATS - CHUNK_FLOATS }

/** A worker's accumulator: element i is i. */
function accumulator(): { arena: Arena; offset: number; block: SharedBlock } {
  const arena = Arena.create(16 * 1024 * 1024)
  const bytes = wholePages(FLOATS * 4)
  const offset = arena.allocatePages(bytes)
  const block = SharedBlock.create(arena.memory, offset, bytes)
  if (block === undefined) throw new Error('Linux shares memory')
  const values = arena.view(offset, FLOATS)
  for (let index = 0; index < FLOATS; index++) values[index] = index
  return { arena, offset, block }
}

function bodyOf({ block }: { block: SharedBlock }, first: number, floats: number) {
  return { path: block.path, inode: block.inode, offset: first * 4, bytes: floats * 4, lent: true }
}

describe.skipIf(process.platform !== 'linux')('nodes that are lent', () => {
  it('lie where the slice can add from them, and change with their accumulator', () => {
    const [arena, worker] = [Arena.create(), accumulator()]
    const nodes = new LentNodes(arena, SLICE)
    const at = nodes.locate(bodyOf(worker, 2 * CHUNK_FLOATS, CHUNK_FLOATS), {})
    expect(at).toBeDefined()
    expect(arena.view(at ?? 0, CHUNK_FLOATS)[5]).toBe(2 * CHUNK_FLOATS + 5)
    worker.arena.view(worker.offset, FLOATS)[2 * CHUNK_FLOATS + 5] = -1
    expect(arena.view(at ?? 0, CHUNK_FLOATS)[5]).toBe(-1)
    const last = nodes.locate(bodyOf(worker, 3 * CHUNK_FLOATS, 100), {})
    expect(arena.view(last ?? 0, 100)[99]).toBe(FLOATS - 1)
  })

  it.each([
    ['before the slice', 0, CHUNK_FLOATS],
    ['beyond its end', FLOATS, CHUNK_FLOATS],
    ['across its end', 3 * CHUNK_FLOATS, CHUNK_FLOATS],
  ])('are copied when they lie %s', (_name, first, floats) => {
    expect(new LentNodes(Arena.create(), SLICE).locate(bodyOf(accumulator(), first, floats), {})).toBeUndefined()
  })

  it('stay until no stream names them and no step runs; their pages are used again', () => {
    const [arena, worker, other] = [Arena.create(), accumulator(), accumulator()]
    const nodes = new LentNodes(arena, SLICE)
    const [first, second] = [{}, {}]
    const body = bodyOf(worker, CHUNK_FLOATS, CHUNK_FLOATS)
    const at = nodes.locate(body, first) ?? 0
    expect(nodes.locate(body, second)).toBe(at)
    nodes.ended(first)
    nodes.sweep()
    worker.block.close()
    expect(arena.view(at, 1)[0]).toBe(CHUNK_FLOATS)
    nodes.ended(second)
    expect(arena.view(at, 1)[0]).toBe(CHUNK_FLOATS)
    nodes.sweep()
    expect(arena.view(at, 1)[0]).toBe(0)
    expect(nodes.locate(body, first)).toBeUndefined()
    expect(nodes.locate(bodyOf(other, CHUNK_FLOATS, CHUNK_FLOATS), first)).toBe(at)
    const bytes = arena.memory.buffer.byteLength
    nodes.locate(bodyOf(other, 2 * CHUNK_FLOATS, CHUNK_FLOATS), second)
    expect(arena.memory.buffer.byteLength).toBe(bytes)
  })

  it('are copied when the slice has no addresses left', () => {
    const arena = Arena.create(4 * 1024 * 1024)
    expect(new LentNodes(arena, SLICE).locate(bodyOf(accumulator(), CHUNK_FLOATS, CHUNK_FLOATS), {})).toBeDefined()
    arena.allocate(CHUNK_FLOATS / 2)
    expect(new LentNodes(arena, SLICE).locate(bodyOf(accumulator(), CHUNK_FLOATS, CHUNK_FLOATS), {})).toBeUndefined()
  })
})
