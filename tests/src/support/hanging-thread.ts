import { BroadcastChannel, isMainThread } from 'node:worker_threads'

/**
 * Loaded into a worker process with `--import`, before any line of the product: on SIGUSR2 every thread but the main one
 * stops for ever, which is what a computing thread in a broken driver call looks like from outside. The main thread, with
 * heartbeat and connections, goes on.
 */

const channel = new BroadcastChannel('hang')
channel.unref()

if (isMainThread) {
  process.on('SIGUSR2', () => {
    channel.postMessage('now')
  })
} else {
  channel.onmessage = () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  }
}
