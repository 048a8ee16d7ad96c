/**
 * Passwords never reach a log, a message or a file. Addresses are recognised by their shape; a password that stands
 * alone is recognised because it was announced here first.
 */

/** scheme://user:password@host, up to the last "@" before the path, also inside JSON. */
const CREDENTIALS = /\b([a-z][a-z0-9+.-]*:\/\/)([^\s:@/"'<>]*):([^\s/"'<>]*)@/gi
/** A shorter secret would blank out half of every line, and would protect nothing. */
const SHORTEST_SECRET = 6

/** Text without the passwords of any address in it: `redis://user:***@host`. */
export function redactAddresses(text: string): string {
  return text.replace(CREDENTIALS, '$1$2:***@')
}

/** Text in which addresses carry no password at all, so that it can be read back: `redis://user@host`. */
export function withoutPasswords(text: string): string {
  return text.replace(CREDENTIALS, (_match, scheme: string, user: string) => (user === '' ? scheme : `${scheme}${user}@`))
}

/** Blanks out passwords: those in addresses, and those announced with {@link Redaction.add}. */
export class Redaction {
  readonly #secrets = new Set<string>()

  /** Announces a secret; from now on it is replaced wherever it stands, plain, JSON-escaped or percent-encoded. */
  add(secret: string | undefined): void {
    if (secret === undefined || secret.length < SHORTEST_SECRET) return
    this.#secrets.add(secret)
    this.#secrets.add(JSON.stringify(secret).slice(1, -1))
    this.#secrets.add(encodeURIComponent(secret))
  }

  /** The text with every secret replaced by `***`. */
  redact(text: string): string {
    let result = redactAddresses(text)
    for (const secret of this.#secrets) result = result.replaceAll(secret, '***')
    return result
  }
}
