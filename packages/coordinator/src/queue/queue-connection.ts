import { Redis } from 'ioredis'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { QUEUE_PASSWORD_VARIABLE, parseQueueAddress, type QueueAddress } from './queue-address.js'

/** BullMQ's scripts need it; Debian's oldest supported Redis has it. */
export const OLDEST_VERSION = '6.2.0'
/** At the start a queue answers within this time or is reported: a person is waiting. */
const FIRST_ANSWER_MS = 5_000
/** After that the connection is tried again for as long as the run goes on, this often at most. */
const RETRY_MS = 500

/** The address of an external queue as the recipe names it, with the password of the environment. @throws TrainError RECIPE_INVALID */
export function externalQueue(text: string, environment: NodeJS.ProcessEnv = process.env): QueueAddress {
  return parseQueueAddress(text, environment[QUEUE_PASSWORD_VARIABLE])
}

/**
 * Connects to a queue server and checks that it can carry our jobs: new enough, and never dropping a key by itself.
 * Fails at once when the server is not there; a connection that broke later comes back by itself, and commands given
 * meanwhile wait for it.
 * @param url with password
 * @throws TrainError QUEUE_UNAVAILABLE
 */
export async function connectQueue(url: string, firstAnswerMs = FIRST_ANSWER_MS): Promise<Redis> {
  const { printable } = parseQueueAddress(url)
  let connected = false
  let cause: Error | undefined
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: firstAnswerMs,
    disconnectTimeout: 100,
    maxRetriesPerRequest: null,
    retryStrategy: (times) => (connected ? Math.min(50 * times, RETRY_MS) : null),
  })
  const remember = (error: Error): void => {
    cause ??= error
  }
  client.on('error', remember)
  const deadline = setTimeout(() => {
    cause ??= new Error(`no answer within ${String(firstAnswerMs / 1000)} s`)
    client.disconnect()
  }, firstAnswerMs)
  try {
    await client.connect()
    checkServer(await client.info(), printable)
    connected = true
    return client
  } catch (error) {
    client.disconnect()
    throw error instanceof TrainError ? error : unavailable(printable, cause ?? error)
  } finally {
    clearTimeout(deadline)
    // Errors of a broken connection are expected from here on; the reconnection speaks for itself.
    client.off('error', remember)
    client.on('error', () => undefined)
  }
}

/**
 * Checks what a server says of itself.
 * @param info the answer to INFO
 * @throws TrainError QUEUE_UNAVAILABLE, naming what must be changed on the server
 */
export function checkServer(info: string, printable: string): void {
  const version = infoField(info, 'redis_version')
  if (version !== undefined && olderThan(version, OLDEST_VERSION)) {
    throw new TrainError(
      'QUEUE_UNAVAILABLE',
      `the queue ${printable} is version ${version}: Lockstep needs Redis ${OLDEST_VERSION} or newer, or any Valkey`,
    )
  }
  const policy = infoField(info, 'maxmemory_policy')
  if (policy !== undefined && policy !== 'noeviction') {
    throw new TrainError(
      'QUEUE_UNAVAILABLE',
      `the queue ${printable} may drop jobs (maxmemory-policy ${policy}): set maxmemory-policy noeviction on the server`,
    )
  }
}

/** One field of the answer to INFO. */
export function infoField(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1]
}

function olderThan(version: string, oldest: string): boolean {
  const have = version.split('.').map(Number)
  for (const [index, need] of oldest.split('.').map(Number).entries()) {
    const part = have[index] ?? 0
    if (part !== need) return part < need
  }
  return false
}

function unavailable(printable: string, cause: unknown): TrainError {
  const reason = cause instanceof Error ? (cause.message === '' && 'code' in cause ? String(cause.code) : cause.message) : String(cause)
  if (/NOAUTH|WRONGPASS|without any password configured|invalid password/i.test(reason)) {
    return new TrainError(
      'QUEUE_UNAVAILABLE',
      `the queue ${printable} refuses the password: put the right one into ${QUEUE_PASSWORD_VARIABLE}`,
      { cause },
    )
  }
  return new TrainError(
    'QUEUE_UNAVAILABLE',
    `the queue ${printable} cannot be reached (${reason}): start it, correct run.queue, or leave run.queue at embedded`,
    { cause },
  )
}
