/** Compares the digests that a run wrote down with those that a replay of it comes to: pure, the replay is elsewhere. */

/** A stateDigest that a run left behind. */
export interface RecordedDigest {
  /** Updates done. */
  readonly step: number
  /** Written by the step into metrics.jsonl, or kept in the metadata of a checkpoint. */
  readonly of: 'step' | 'checkpoint'
  readonly digest: string
}

/** One comparison that was made. */
export interface ComparedDigest extends RecordedDigest {
  readonly replayed: string
  readonly agrees: boolean
}

export type Verdict =
  /** All that could be compared is equal. */
  | { readonly outcome: 'agree'; readonly steps: number; readonly checkpoints: number; readonly lastStep: number }
  /** The first that differs; `replayed` is null where the replay ended before it. `agreed`: the last step that was equal, or null. */
  | ({ readonly outcome: 'part'; readonly replayed: string | null; readonly agreed: number | null } & RecordedDigest)
  /** The run left no digest of the steps that were asked for. */
  | { readonly outcome: 'nothing' }

/**
 * The digests that metrics.jsonl holds of the steps in (from, until], one a step, rising. Torn lines and others are passed over.
 * @param metrics the file's text
 */
export function digestsInMetrics(metrics: string, from: number, until: number): RecordedDigest[] {
  const found = new Map<number, string>()
  for (const line of metrics.split('\n')) {
    if (!line.startsWith('{"type":"step"')) continue
    const parsed = parsedLine(line)
    if (parsed !== undefined && parsed.step > from && parsed.step <= until) found.set(parsed.step, parsed.digest)
  }
  return [...found].sort(([left], [right]) => left - right).map(([step, digest]) => ({ step, of: 'step', digest }))
}

function parsedLine(line: string): { step: number; digest: string } | undefined {
  try {
    const { step, stateDigest } = JSON.parse(line) as { step?: unknown; stateDigest?: unknown }
    return typeof step === 'number' && typeof stateDigest === 'string' ? { step, digest: stateDigest } : undefined
  } catch {
    return undefined
  }
}

/** The newest step that metrics.jsonl tells of, 0 where it tells of none. */
export function lastStepInMetrics(metrics: string): number {
  const steps = metrics.split('\n').map((line) => Number(/^\{"type":"step","step":(\d+)/.exec(line)?.[1] ?? 0))
  return Math.max(0, ...steps)
}

/** The largest number that divides all of them: how often a replay has to hash. 0 for none. */
export function commonInterval(steps: readonly number[]): number {
  const divisor = (left: number, right: number): number => (right === 0 ? left : divisor(right, left % right))
  return steps.reduce(divisor, 0)
}

/** Takes a replay's digests as they come and ends in a verdict. */
export class ReplayComparison {
  readonly #open: Map<number, RecordedDigest[]>
  readonly #recorded: readonly RecordedDigest[]
  readonly #compared: ComparedDigest[] = []

  constructor(recorded: readonly RecordedDigest[]) {
    this.#recorded = [...recorded].sort((left, right) => left.step - right.step)
    this.#open = new Map(this.#recorded.map(({ step }) => [step, this.#recorded.filter((other) => other.step === step)]))
  }

  /** Compares what was recorded of a step. @returns the comparisons made, in their order */
  take(step: number, ofStep: string | null, ofCheckpoint: string | null): ComparedDigest[] {
    const made = (this.#open.get(step) ?? []).flatMap((recorded): ComparedDigest[] => {
      const replayed = recorded.of === 'step' ? ofStep : ofCheckpoint
      return replayed === null ? [] : [{ ...recorded, replayed, agrees: replayed === recorded.digest }]
    })
    this.#open.delete(step)
    this.#compared.push(...made)
    return made
  }

  /** What it has come to so far; a digest that the replay did not reach counts as one that differs. */
  verdict(): Verdict {
    const parted = this.#compared.find(({ agrees }) => !agrees)
    const missed = this.#recorded.find(({ step, of }) => !this.#compared.some((made) => made.step === step && made.of === of))
    const agreed = this.#compared.filter(({ agrees }) => agrees)
    const lastStep = agreed.at(-1)?.step ?? null
    if (parted !== undefined) {
      const { step, of, digest, replayed } = parted
      return { outcome: 'part', step, of, digest, replayed, agreed: this.#lastBefore(step) }
    }
    if (missed !== undefined) return { outcome: 'part', ...missed, replayed: null, agreed: lastStep }
    if (lastStep === null) return { outcome: 'nothing' }
    const steps = agreed.filter(({ of }) => of === 'step').length
    return { outcome: 'agree', steps, checkpoints: agreed.length - steps, lastStep }
  }

  #lastBefore(step: number): number | null {
    return this.#compared.filter((compared) => compared.agrees && compared.step < step).at(-1)?.step ?? null
  }
}
