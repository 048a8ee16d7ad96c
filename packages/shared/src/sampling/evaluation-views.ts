import type { Recipe } from '../recipe/schema.js'

/** How validation pictures are looked at: the VGG paper's ways (Simonyan & Zisserman 2014, sections 3.2 and 4). */
export interface EvaluationViews {
  /**
   * center: one crop of the input's size from the middle. dense: the network as convolutions over the whole picture. multi-crop: the
   * crops of a regular 5 × 5 grid and their mirror images. dense+multi-crop: the mean of both.
   */
  readonly protocol: Recipe['evaluation']['protocol']
  /** Test scales Q: pixels of the shorter side, none below the network's input. */
  readonly scales: readonly number[]
  /** Mirror images too. Multi-crop has them in any case. */
  readonly flip: boolean
}

/** Crops along a side of the grid. */
export const GRID = 5

/** One look at a picture. Its soft-max counts by its weight; the weights of all views are 1 together, up to rounding. */
export type EvaluationView = {
  /** Index into the scales. */
  readonly scale: number
  readonly flip: boolean
  readonly weight: number
} & (
  | {
      readonly kind: 'crop'
      /** Row and column in the grid, 0 to GRID − 1; in the middle for a centre crop. */
      readonly row: number
      readonly column: number
    }
  | { readonly kind: 'dense' }
)

type Look = { readonly kind: 'dense'; readonly flip: boolean } | { kind: 'crop'; row: number; column: number; flip: boolean }

const MIDDLE = (GRID - 1) / 2

/**
 * Every view of a picture, in the one order in which soft-max outputs are added: dense before crops; then scale after scale; in a scale
 * row after row of the grid; the mirror image after the picture.
 */
export function viewsOf({ protocol, scales, flip }: EvaluationViews): EvaluationView[] {
  const groups = looksOf(protocol, flip)
  return groups.flatMap((looks) =>
    scales.flatMap((_, scale) => looks.map((look) => ({ ...look, scale, weight: 1 / (groups.length * scales.length * looks.length) }))),
  )
}

/** Looks at one scale, in groups that count alike. */
function looksOf(protocol: EvaluationViews['protocol'], flip: boolean): Look[][] {
  const sides = flip ? [false, true] : [false]
  switch (protocol) {
    case 'center':
      return [sides.map((side) => ({ kind: 'crop', row: MIDDLE, column: MIDDLE, flip: side }))]
    case 'dense':
      return [denseLooks(sides)]
    case 'multi-crop':
      return [gridLooks()]
    case 'dense+multi-crop':
      return [denseLooks(sides), gridLooks()]
  }
}

function denseLooks(sides: readonly boolean[]): Look[] {
  return sides.map((flip) => ({ kind: 'dense', flip }))
}

function gridLooks(): Look[] {
  const places = Array.from({ length: GRID }, (_, place) => place)
  return places.flatMap((row) => places.flatMap((column) => [false, true].map((flip): Look => ({ kind: 'crop', row, column, flip }))))
}

/** Upper left corner of a crop of `side` pixels: the grid goes from edge to edge, evenly, rounded down. Its middle is the centre crop. */
export function gridOrigin(
  view: { readonly row: number; readonly column: number },
  height: number,
  width: number,
  side: number,
): { top: number; left: number } {
  return {
    top: Math.floor(((height - side) * view.row) / (GRID - 1)),
    left: Math.floor(((width - side) * view.column) / (GRID - 1)),
  }
}

/** Whether the network is to be laid over whole pictures. */
export function isDense(protocol: EvaluationViews['protocol']): boolean {
  return protocol === 'dense' || protocol === 'dense+multi-crop'
}

/** In words, for people: `dense and 5 × 5 crops at scales 224, 256 and 288, with mirror images`. */
export function viewsInWords({ protocol, scales, flip }: EvaluationViews): string {
  const what = { center: 'centre crop', dense: 'dense', 'multi-crop': '5 × 5 crops', 'dense+multi-crop': 'dense and 5 × 5 crops' }[protocol]
  const numbers = scales.map(String)
  const listed = numbers.length < 2 ? numbers.join('') : `${numbers.slice(0, -1).join(', ')} and ${numbers.at(-1) ?? ''}`
  const mirrored = flip || protocol === 'multi-crop' || protocol === 'dense+multi-crop'
  return `${what} at scale${scales.length > 1 ? 's' : ''} ${listed}${mirrored ? ', with mirror images' : ''}`
}
