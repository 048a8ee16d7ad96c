import { describe, expect, it } from 'vitest'
import { StepTally } from './step-tally.js'

const span = { loadSeconds: 1, weightsSeconds: 2, computeSeconds: 4, sendSeconds: 8, bytesSent: 16, bytesReceived: 32 }

describe('the tally of a step', () => {
  it('adds up spans and begins anew when it was taken', () => {
    const tally = new StepTally()
    tally.add(span)
    tally.add({ ...span, computeSeconds: 0.5 })
    expect(tally.take(3)).toEqual({
      times: { input: 2, compute: 4.5, send: 16, receive: 4, reduce: 3 },
      bytes: { sent: 32, received: 64 },
    })
    tally.add(span)
    expect(tally.take(3.5)).toEqual({
      times: { input: 1, compute: 4, send: 8, receive: 2, reduce: 0.5 },
      bytes: { sent: 16, received: 32 },
    })
    expect(tally.take(3.5).times).toEqual({ input: 0, compute: 0, send: 0, receive: 0, reduce: 0 })
  })
})
