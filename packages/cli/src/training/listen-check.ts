import { createServer } from 'node:net'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { isLoopback } from '@lockstep/shared/protocol/endpoints.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'

/**
 * Looks whether the coordinator will be able to listen, before a run's folder is made. Whoever takes the port between now and
 * then makes the training fail later, with the same words.
 * @throws TrainError NETWORK, PORT_TAKEN
 */
export async function checkListening({ run: { listen } }: Recipe, insecureNetwork: boolean): Promise<void> {
  const { host, port } = listen
  if (!insecureNetwork && !isLoopback(host)) {
    throw new TrainError(
      'NETWORK',
      `refusing to listen on ${host}: there is no encryption yet; say --insecure-network if every machine that can reach it is yours`,
    )
  }
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(new TrainError('PORT_TAKEN', refusal(host, port, error.code), { cause: error }))
    })
    server.listen({ host, port }, () => server.close(() => resolve()))
  })
}

function refusal(host: string, port: number, code: string | undefined): string {
  const address = `${host.includes(':') ? `[${host}]` : host}:${String(port)}`
  if (code === 'EADDRINUSE')
    return `cannot listen on ${address}: the port is taken; choose another with --listen ${host}:PORT, or 0 for any free one`
  if (code === 'EACCES') return `cannot listen on ${address}: ports below 1024 need root; choose another with --listen ${host}:PORT`
  return `cannot listen on ${address} (${code ?? 'unknown error'}): give an address of this machine with --listen HOST:PORT`
}
