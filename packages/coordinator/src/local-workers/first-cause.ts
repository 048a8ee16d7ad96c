/** What a person should read of a process that ended: at most this much, on one line. */
const LONGEST = 300
const ERROR_LEVEL = 50 // pino's
const SIGNS = /\b(\w*Error|fatal|panic|abort(ed)?|bad_alloc|out of memory|cannot|killed|core dumped)\b/i
/** Frames of a stack, and what Node prints around one. */
const NOISE = /^\s*(at |node:|Node\.js v|\^|throw |\.\.\.|$)/

/** What the system's own signals mean to who reads of them. */
const MEANINGS: Partial<Record<NodeJS.Signals, string>> = {
  SIGKILL: 'killed from outside; a system that is out of memory does that too',
  SIGSEGV: 'a native library crashed, mostly for want of memory',
  SIGBUS: 'a native library crashed, mostly for want of memory or of space in /dev/shm',
  SIGABRT: 'a native library gave up, mostly for want of memory',
  SIGILL: 'this processor lacks an instruction that TensorFlow uses (AVX)',
}

/**
 * Why a process ended: the first of its log's last lines that speaks of an error (what follows is mostly its
 * consequence), or else what the signal that ended it means, or else the last line that says anything. Empty if there
 * is none.
 */
export function firstCause(lines: readonly string[], signal: NodeJS.Signals | null = null): string {
  const spoken = lines.filter((line) => !NOISE.test(line)).map(speak)
  const text = spoken.find((line) => line.error)?.text ?? (signal && MEANINGS[signal]) ?? spoken.at(-1)?.text ?? ''
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
}

/** A line as words: the message of a JSON log line, anything else as it is. */
function speak(line: string): { text: string; error: boolean } {
  if (line.startsWith('{')) {
    try {
      const entry = JSON.parse(line) as { level?: number; msg?: string; err?: { message?: string } }
      const text = [entry.msg, entry.err?.message]
        .filter((part, at, all) => part !== undefined && part !== '' && all.indexOf(part) === at)
        .join(': ')
      if (text !== '') return { text, error: (entry.level ?? 0) >= ERROR_LEVEL }
    } catch {
      // not one of ours: taken as it is
    }
  }
  const text = line.trim()
  return { text, error: SIGNS.test(text) }
}
