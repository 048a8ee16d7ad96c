import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EmbeddedValkey } from './embedded-valkey.js'
import { freePort } from './free-port.js'
import { checkServer, connectQueue, externalQueue } from './queue-connection.js'

let directory: string
let valkey: EmbeddedValkey
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lockstep-queue-connection-'))
  valkey = await EmbeddedValkey.start({ directory: join(directory, 'queue'), logFile: join(directory, 'queue.log') })
})
afterAll(async () => {
  await valkey.stop()
  await rm(directory, { recursive: true })
})

const unavailable = (words: RegExp): unknown =>
  expect.objectContaining({ code: 'QUEUE_UNAVAILABLE', message: expect.stringMatching(words) as string })

describe('connectQueue', () => {
  it('connects with the password of the environment', async () => {
    const address = externalQueue(`redis://127.0.0.1:${String(valkey.port)}`, { LOCKSTEP_QUEUE_PASSWORD: valkey.password })
    expect(address.printable).not.toContain(valkey.password)
    const client = await connectQueue(address.url)
    expect(await client.ping()).toBe('PONG')
    client.disconnect()
  })

  it.each(['', ':wrong@'])('says where the password belongs when it is refused (%j)', async (login) => {
    await expect(connectQueue(`redis://${login}127.0.0.1:${String(valkey.port)}`)).rejects.toEqual(
      unavailable(/refuses the password.*LOCKSTEP_QUEUE_PASSWORD/),
    )
  })

  it('fails at once where nothing listens, without the password in the message', async () => {
    const port = await freePort('127.0.0.1')
    const refused = connectQueue(`redis://:geheimnis@127.0.0.1:${String(port)}`)
    await expect(refused).rejects.toEqual(unavailable(/ECONNREFUSED.*run\.queue/))
    await expect(refused).rejects.not.toThrow(/geheimnis|\n/)
  })

  it('gives up on a server that accepts and says nothing', async () => {
    const mute: Server = createServer()
    const sockets = new Set<{ destroy(): void }>()
    mute.on('connection', (socket) => sockets.add(socket))
    const port = await new Promise<number>((resolve) =>
      mute.listen(0, '127.0.0.1', () => resolve((mute.address() as { port: number }).port)),
    )
    await expect(connectQueue(`redis://127.0.0.1:${String(port)}`, 300)).rejects.toEqual(unavailable(/no answer within/))
    for (const socket of sockets) socket.destroy()
    mute.close()
  })

  it('refuses a server that may drop jobs', async () => {
    const client = await connectQueue(valkey.url)
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru')
    await expect(connectQueue(valkey.url)).rejects.toEqual(unavailable(/allkeys-lru.*noeviction/))
    await client.config('SET', 'maxmemory-policy', 'noeviction')
    client.disconnect()
  })
})

describe('checkServer', () => {
  it.each([
    ['6.2.0', true],
    ['7.2.4', true],
    ['10.0.0', true],
    ['6.0.16', false],
    ['5.9.9', false],
  ])('version %s: %s', (version, fine) => {
    const check = (): void => {
      checkServer(`# Server\r\nredis_version:${version}\r\nmaxmemory_policy:noeviction\r\n`, 'redis://host')
    }
    if (fine) check()
    else expect(check).toThrow(/6\.2\.0 or newer/)
  })
})
