import { once } from 'node:events'
import { connect, createServer as createHttp2Server } from 'node:http2'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { keepAlive } from './session-keeping.js'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close()
})

async function connectedTo(server: Server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => server.close())
  const session = connect(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`)
  closers.push(() => {
    session.destroy()
  })
  return session
}

describe('a connection that is kept alive', () => {
  it('ends, saying why, when its other end does not answer', async () => {
    const deaf = createServer({ pauseOnConnect: true }, (socket) => {
      socket.on('error', () => undefined)
      closers.push(() => socket.destroy())
    })
    const session = await connectedTo(deaf)
    const broken = once(session, 'error').catch((error: unknown) => [error])
    await once(session, 'connect')
    keepAlive(session, { everyMs: 20, withinMs: 30 })
    expect(await broken).toMatchObject([{ message: 'no answer to a ping for 0.03 s' }])
  })

  it('stays when it does, however often it is asked', async () => {
    let asked = 0
    const server = createHttp2Server().on('session', (session) => session.on('ping', () => asked++))
    const session = await connectedTo(server)
    await once(session, 'connect')
    keepAlive(session, { everyMs: 10, withinMs: 2000 })
    await expect.poll(() => asked, { timeout: 10_000 }).toBeGreaterThan(5)
    expect(session.destroyed).toBe(false)
  })
})
