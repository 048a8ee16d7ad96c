/** Waiting times between attempts: they double from `firstMs` up to `mostMs`, until `limitMs` have passed since the first failure. */
export interface BackOffLimits {
  readonly firstMs: number
  readonly mostMs: number
  readonly limitMs: number
}

/**
 * How long to wait before attempt number `attempt` (1 after the first failure).
 * @param awayMs since when nothing has worked
 * @returns undefined when it is time to give up
 */
export function backOffMs(limits: BackOffLimits, attempt: number, awayMs: number): number | undefined {
  if (awayMs >= limits.limitMs) return undefined
  return Math.min(limits.mostMs, limits.firstMs * 2 ** Math.min(attempt - 1, 16))
}
