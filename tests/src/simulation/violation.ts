/** Something that must never be was: the history is a counterexample. */
export class Violation extends Error {
  override readonly name = 'Violation'

  /** @param invariant which one; shrinking keeps to it */
  constructor(
    readonly invariant: string,
    detail: string,
  ) {
    super(`${invariant}: ${detail}`)
  }
}
