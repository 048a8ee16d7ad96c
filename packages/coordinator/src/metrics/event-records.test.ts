import { describe, expect, it } from 'vitest'
import { decodeEvents, encodeEvent, type TensorBoardEvent } from './event-records.js'

const events: TensorBoardEvent[] = [
  { wallTime: 1.5, step: 0, fileVersion: 'brain.Event:2' },
  { wallTime: 2.5, step: 7, scalars: { 'train/loss': 0.5, 'train/top1': 0 } },
  { wallTime: 3.5, step: 8, startsAgain: true },
]

describe('TensorBoard records', () => {
  it('has the bytes that TensorBoard 2.21.0 itself writes for two events', () => {
    const ours = [
      encodeEvent({ wallTime: 1.5, step: 7, fileVersion: 'brain.Event:2' }),
      encodeEvent({ wallTime: 2.5, step: 300, scalars: { 'train/loss': 0.5 } }),
    ]
    expect(Buffer.concat(ours).toString('hex')).toBe(
      '1a00000000000000129bd82d09000000000000f83f10071a0d627261696e2e4576656e743a32da446486' +
        '2100000000000000017becf609000000000000044010ac022a130a110a0a747261696e2f6c6f7373150000003f0cb83673',
    )
  })

  it('reads back what it wrote, up to the first record that is torn or damaged', () => {
    const records = events.map(encodeEvent)
    const file = Buffer.concat(records)
    const decoded = [...decodeEvents(file)]
    expect(decoded.map(({ event }) => event)).toEqual(events)
    expect(decoded.at(-1)?.end).toBe(file.length)
    const whole = (records[0]?.length ?? 0) + (records[1]?.length ?? 0)
    for (let length = whole; length < file.length; length++) expect([...decodeEvents(file.subarray(0, length))]).toHaveLength(2)
    for (let at = whole; at < file.length; at++) {
      const damaged = Buffer.from(file)
      damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at)
      expect([...decodeEvents(damaged)]).toHaveLength(2)
    }
  })
})
