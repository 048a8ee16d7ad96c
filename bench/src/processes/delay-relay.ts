import { createInterface } from 'node:readline'
import { DelayRelay } from '../method/delay-relay.js'

/**
 * Relays in a process of their own, so that their processor time can be told from that of what they carry. Each line of the input,
 * `HOST:PORT ROUND_TRIP_MS MEGABYTES_PER_SECOND` (0: no limit), is answered with the port of a new relay to that address.
 */
for await (const line of createInterface({ input: process.stdin })) {
  const [address = '', roundTripText = '', rateText = ''] = line.split(' ')
  const colon = address.lastIndexOf(':')
  const rate = Number(rateText)
  const relay = await DelayRelay.listen({
    ...{ host: address.slice(0, colon), port: Number(address.slice(colon + 1)), roundTripMs: Number(roundTripText) },
    bytesPerSecond: rate === 0 ? Infinity : rate * 1e6,
  })
  console.log(relay.port)
}
process.exit()
