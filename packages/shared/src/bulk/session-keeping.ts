import type { Http2Session } from 'node:http2'

const PING_EVERY_MS = 10_000
const ANSWER_WITHIN_MS = 5000

/**
 * Ends a connection whose other end does not answer any more: a machine that lost its power says no goodbye.
 * @param times when it asks, and how long it waits; default: every 10 s, for 5 s
 */
export function keepAlive(session: Http2Session, { everyMs = PING_EVERY_MS, withinMs = ANSWER_WITHIN_MS } = {}): void {
  const timer = setInterval(() => {
    if (session.destroyed) return
    const late = setTimeout(() => {
      session.destroy(new Error(`no answer to a ping for ${String(withinMs / 1000)} s`))
    }, withinMs).unref()
    session.ping(() => {
      clearTimeout(late)
    })
  }, everyMs).unref()
  session.once('close', () => {
    clearInterval(timer)
  })
}
