import { parentPort } from 'node:worker_threads'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { faultOf, type Answer, type Numbered } from './thread-messages.js'

/** The other end of AskingThread: answers every request, in order, and tells news. Called once, in the thread. */
export function answerRequests(handle: (request: unknown) => unknown): (news: unknown) => void {
  const port = parentPort
  invariant(port !== null, 'this file runs as a worker thread')
  let turn = Promise.resolve()
  const answer = async ({ id, request }: Numbered<unknown>): Promise<void> => {
    let reply: Answer
    try {
      reply = { id, value: await handle(request) }
    } catch (error) {
      reply = { id, error: faultOf(error) }
    }
    port.postMessage({ answer: reply })
  }
  port.on('message', (message: Numbered<unknown>) => {
    turn = turn.then(() => answer(message))
  })
  return (news) => {
    port.postMessage({ news })
  }
}
