import { invariant } from '@lockstep/shared/errors/train-error.js'
import { parentOf, type LeafRange } from '@lockstep/shared/reduction/tree.js'

/** What to do with an arriving node: drop it, or take it, letting go of the bodies it makes superfluous. */
export type Placement<Body> =
  | { readonly outcome: 'duplicate' }
  | { readonly outcome: 'accepted'; readonly replaced: readonly Body[]; readonly covered: readonly LeafRange[] }

interface Present<Body> {
  readonly node: LeafRange
  readonly body: Body
}

/**
 * Which nodes of the reduction tree are there for one chunk of one step. Nodes of a tree are nested or disjoint, so the
 * present ones are disjoint: an arriving node inside a present one is a duplicate, equal by contract; one around present
 * ones replaces them. Two siblings become their parent. Bodies are opaque here: nothing is added, nothing is kept.
 */
export class ChunkCover<Body> {
  readonly #leaves: number
  /** By first leaf, which is unique among disjoint nodes. */
  readonly #present = new Map<number, Present<Body>>()

  /** @param leaves M, the leaves of a step */
  constructor(leaves: number) {
    this.#leaves = leaves
  }

  /** Places an arriving node. @param node a node of the tree */
  place(node: LeafRange, body: Body): Placement<Body> {
    const inside: Present<Body>[] = []
    for (const other of this.#present.values()) {
      if (contains(other.node, node)) return { outcome: 'duplicate' }
      if (contains(node, other.node)) inside.push(other)
    }
    for (const other of inside) this.#present.delete(other.node.first)
    this.#present.set(node.first, { node, body })
    const nodes = inside.map((other) => other.node)
    return { outcome: 'accepted', replaced: inside.map((other) => other.body), covered: without(node, nodes) }
  }

  /** Adds up what can be added from `node` upwards: siblings that are both present become their parent, left + right. */
  rise(node: LeafRange, add: (left: Body, right: Body) => Body): void {
    let own = this.#present.get(node.first)
    while (own !== undefined) {
      const family = parentOf(this.#leaves, own.node)
      if (family === undefined) return
      const other = this.#present.get(family.sibling.first)
      if (other?.node.count !== family.sibling.count) return
      const [left, right] = family.side === 'left' ? [own, other] : [other, own]
      this.#present.delete(right.node.first)
      own = { node: family.parent, body: add(left.body, right.body) }
      this.#present.set(own.node.first, own)
    }
  }

  /** The body of the whole tree, once it is there. */
  get root(): Body | undefined {
    const first = this.#present.get(0)
    return first?.node.count === this.#leaves ? first.body : undefined
  }

  /** Takes the root's body out; the chunk stays covered, with `rest` in its place. */
  replaceRoot(rest: Body): Body {
    const body = this.root
    invariant(body !== undefined, 'a chunk is finished only when all its leaves are there')
    this.#present.set(0, { node: { first: 0, count: this.#leaves }, body: rest })
    return body
  }

  /** Forgets everything. @returns the bodies that were there */
  clear(): Body[] {
    const bodies = [...this.#present.values()].map((present) => present.body)
    this.#present.clear()
    return bodies
  }
}

function contains(outer: LeafRange, inner: LeafRange): boolean {
  return outer.first <= inner.first && inner.first + inner.count <= outer.first + outer.count
}

/** The leaves of `node` that are in none of the disjoint `holes` inside it. */
function without(node: LeafRange, holes: readonly LeafRange[]): LeafRange[] {
  const left: LeafRange[] = []
  let first = node.first
  for (const hole of [...holes].sort((a, b) => a.first - b.first)) {
    if (hole.first > first) left.push({ first, count: hole.first - first })
    first = hole.first + hole.count
  }
  const end = node.first + node.count
  if (end > first) left.push({ first, count: end - first })
  return left
}
