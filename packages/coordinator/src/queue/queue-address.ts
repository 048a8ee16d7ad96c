import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { redactAddresses } from '../logs/redaction.js'

/** Where a queue is. `url` carries the password and is for programs; `printable` does not and is for people. */
export interface QueueAddress {
  readonly url: string
  readonly printable: string
}

/** The variable of the environment that holds an external queue's password. */
export const QUEUE_PASSWORD_VARIABLE = 'LOCKSTEP_QUEUE_PASSWORD'

/**
 * Reads a queue address, redis:// or rediss:// (TLS). A password in the address wins over the one of the environment.
 * @param password of the environment, if any
 * @throws TrainError RECIPE_INVALID, without the password in it
 */
export function parseQueueAddress(text: string, password?: string): QueueAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'redis:' && url.protocol !== 'rediss:') || url.hostname === '') {
    throw new TrainError(
      'RECIPE_INVALID',
      `run.queue: ${JSON.stringify(redactAddresses(text))} is no queue address; write embedded, redis://HOST[:PORT] or rediss://HOST[:PORT]`,
    )
  }
  if (!/^(\/\d*)?$/.test(url.pathname)) {
    throw new TrainError(
      'RECIPE_INVALID',
      `run.queue: ${redactAddresses(text)}: after the host only a database number can follow, as in redis://HOST:6379/0`,
    )
  }
  if (url.password === '' && password !== undefined && password !== '') url.password = encodeURIComponent(password)
  return { url: url.href, printable: printableAddress(url) }
}

function printableAddress(url: URL): string {
  const copy = new URL(url.href)
  copy.password = ''
  copy.username = ''
  copy.search = ''
  return copy.href
}
