/** Eight digits sort by name up to a hundred million steps; beyond that the number is simply longer. */
const DIGITS = 8
const NAME = /^step-(\d{8,})\.safetensors$/

export const BEST = 'best.safetensors'
export const LATEST = 'latest.safetensors'

/** A checkpoint file of a run. `step`: updates done. */
export interface CheckpointFile {
  readonly step: number
  readonly path: string
}

/** The file name of the checkpoint after so many updates. */
export function checkpointName(step: number): string {
  return `step-${String(step).padStart(DIGITS, '0')}.safetensors`
}

/** The updates done of a checkpoint's file name; undefined for every other name. */
export function stepOfName(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Which checkpoints can go: all but the newest `count` and the protected ones. @param steps in any order */
export function superfluous(steps: readonly number[], count: number, protectedSteps: ReadonlySet<number>): number[] {
  return [...steps]
    .sort((a, b) => b - a)
    .slice(Math.max(1, count))
    .filter((step) => !protectedSteps.has(step))
}
