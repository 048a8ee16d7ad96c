import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { invariant } from '@lockstep/shared/errors/train-error.js'

/**
 * Below the range from which systems give ports to outgoing connections. A queue that was killed is started again on
 * its old port; from the usual range that port could meanwhile belong to a client that tries to reach the dead queue
 * (on loopback such a connection can even connect to itself).
 */
const LOWEST = 20_000
const HIGHEST = 32_000
const TRIES = 20

/** A TCP port that is free at this moment on that host; the caller must be ready to lose the race for it. */
export async function freePort(host: string): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const port = await tryPort(host, randomInt(LOWEST, HIGHEST))
    if (port !== undefined) return port
  }
  const port = await tryPort(host, 0)
  invariant(port !== undefined, 'the system gives a free port when asked for any')
  return port
}

async function tryPort(host: string, wanted: number): Promise<number | undefined> {
  return await new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(undefined)
    })
    server.listen(wanted, host, () => {
      const address = server.address()
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : undefined)
      })
    })
  })
}
