import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

/** The worker as a process, without a coordinator: nothing listens on port 1. */
const PROGRAM = fileURLToPath(new URL('./main.js', import.meta.url))
const NOBODY = ['--join', '127.0.0.1:1']

function start(words: readonly string[]): { child: ChildProcess; text: () => string; ended: Promise<unknown[]> } {
  const child = spawn(process.execPath, [PROGRAM, ...words], { stdio: 'pipe' })
  let text = ''
  child.stdout.on('data', (data: Buffer) => (text += data.toString()))
  child.stderr.on('data', (data: Buffer) => (text += data.toString()))
  return { child, text: () => text, ended: once(child, 'close') }
}

/** Resolves once the process has logged that it asks again. */
async function untilAsking({ child, text }: ReturnType<typeof start>): Promise<void> {
  while (!text().includes('asking again')) await once(child.stdout ?? child, 'data')
}

describe('the worker process', () => {
  it.each([
    { words: [], code: 2, says: '--join HOST:PORT is missing' },
    { words: ['--join', 'somewhere'], code: 2, says: 'give HOST:PORT' },
    { words: [...NOBODY, '--compute-threads', 'two'], code: 2, says: 'whole number' },
    { words: [...NOBODY, '--colour'], code: 2, says: '--colour' },
    { words: ['--join', '192.0.2.1:5000'], code: 1, says: '--insecure-network' },
    { words: [...NOBODY, '--reconnect-seconds', '0'], code: 1, says: 'no coordinator at 127.0.0.1:1' },
  ])('ends with $code for $words', async ({ words, code, says }) => {
    const { ended, text } = start(words)
    expect((await ended)[0]).toBe(code)
    const lines = text().trim().split('\n')
    expect(lines.at(-1)).toContain(says)
  })

  it.each([
    { signal: 'SIGTERM' as const, code: 143 },
    { signal: 'SIGINT' as const, code: 130 },
  ])('ends with $code after $signal', async ({ signal, code }) => {
    const worker = start(NOBODY)
    await untilAsking(worker)
    worker.child.kill(signal)
    expect((await worker.ended)[0]).toBe(code)
  })

  it('ends when its lifeline does', async () => {
    const worker = start([...NOBODY, '--lifeline', 'stdin'])
    await untilAsking(worker)
    worker.child.stdin?.end()
    expect(await worker.ended).toEqual([null, 'SIGKILL'])
    expect(worker.text()).toContain('the coordinator is gone')
  })
})
