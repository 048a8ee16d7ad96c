/** What a run came to: summary.json. */
export interface RunSummary {
  /** Updates done. */
  readonly steps: number
  /** Of the last evaluation, or of the last step where there was none. */
  readonly loss: number | null
  /** Shares, 0–1, of the last evaluation. */
  readonly top1: number | null
  readonly top5: number | null
  /** SHA-256, hexadecimal. */
  readonly weightsDigest: string
  readonly stateDigest: string
  /** Of this term: since the coordinator started. */
  readonly wallSeconds: number
  readonly samplesPerSecond: number
  /** How many workers took part. */
  readonly workers: number
  /** How often each kind of fault happened, by its name. */
  readonly faults: Readonly<Record<string, number>>
  /** Leaves that were computed twice and compared. */
  readonly audits: number
  /** Whether the weights are the one bit pattern that the recipe defines. */
  readonly exact: boolean
  /** Why it is not. */
  readonly inexact?: string
  /** The engine's fingerprint, SHA-256, hexadecimal. */
  readonly fingerprint: string
}
