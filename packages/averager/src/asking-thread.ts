import { Worker } from 'node:worker_threads'
import { errorOf, faultOf, type Answer } from './thread-messages.js'

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/**
 * A worker thread that is asked things and answers each, in order. What it says unasked goes to `onNews`; its unexpected
 * end rejects what is asked of it and goes to `onEnd`.
 */
export class AskingThread<Request, News = never> {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1
  #closed = false
  #fault: Error | undefined

  constructor(script: URL, workerData: unknown, onNews: (news: News) => void, onEnd: (error: Error) => void) {
    this.#worker = new Worker(script, { workerData })
    this.#worker.on('message', (message: { answer: Answer } | { news: News }) => {
      if ('news' in message) onNews(message.news)
      else this.#settle(message.answer)
    })
    const end = (error: Error): void => {
      if (this.#closed || this.#fault !== undefined) return
      this.#fault = error
      for (const waiting of this.#waiting.values()) waiting.reject(error)
      this.#waiting.clear()
      onEnd(error)
    }
    this.#worker.on('error', (error) => {
      end(errorOf(faultOf(error)))
    })
    this.#worker.on('exit', (code) => {
      end(new Error(`a thread of the averager ended with code ${String(code)}`))
    })
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if ('error' in answer) waiting?.reject(errorOf(answer.error))
    else waiting?.resolve(answer.value)
  }

  /** Asks. Requests are handled in the order of asking. @throws what the thread threw, TrainErrors as such */
  async ask(request: Request): Promise<unknown> {
    if (this.#fault !== undefined) throw this.#fault
    const id = this.#nextId++
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ id, request })
    })
  }

  /** Ends the thread; what is still asked of it is never answered. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#worker.terminate()
  }
}
