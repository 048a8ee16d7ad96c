import { once } from 'node:events'
import net from 'node:net'
import { median } from '@lockstep/cli/measurement/statistics.js'

const ECHOES = 21

/** A server that sends back what it gets: what is at the other end of a way whose round trip is to be measured. */
export async function echoServer(): Promise<net.Server> {
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** Median of the times in which one byte goes there and comes back, ms. */
export async function echoMs(port: number): Promise<number> {
  const socket = net.connect({ host: '127.0.0.1', port, noDelay: true })
  try {
    await once(socket, 'connect')
    const times: number[] = []
    for (let echo = 0; echo < ECHOES; echo++) {
      const startMs = performance.now()
      const answered = once(socket, 'data')
      socket.write('?')
      await answered
      times.push(performance.now() - startMs)
    }
    return median(times)
  } finally {
    socket.destroy()
  }
}
