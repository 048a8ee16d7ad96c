/** What a person should read of a process that ended: at most this much, on one line. */
const LONGEST = 300
const ERROR_LEVEL = 50 // pino's
const SIGNS = /\b(\w*Error|fatal|panic|abort(ed)?|bad_alloc|out of memory|cannot|killed|core dumped)\b/i
/** Frames of a stack, what Node prints around one, and the frame of V8's last words. */
const NOISE = /^\s*(at |node:|Node\.js v|\^|throw |\.\.\.|# Fatal error in|#\s*$|#FailureMessage|$)/
/** How V8 begins when one of its own checks fails; the next line says which. */
const V8_ENDS = '# Fatal error in'

/** What the system's own signals mean to who reads of them. */
const MEANINGS: Partial<Record<NodeJS.Signals, string>> = {
  SIGKILL: 'killed from outside; a system that is out of memory does that too',
  SIGSEGV: 'a native library crashed, mostly for want of memory',
  SIGBUS: 'a native library crashed, mostly for want of memory or of space in /dev/shm',
  SIGABRT: 'a native library gave up, mostly for want of memory',
  SIGTRAP: "Node's engine or a native library gave up, mostly for want of memory",
  SIGILL: 'this processor lacks an instruction that TensorFlow uses (AVX)',
}

/**
 * Why a process ended: the first of its log's last lines that speaks of an error (what follows is mostly its
 * consequence), or else what the signal that ended it means, or else the last line that says anything. Empty if there
 * is none.
 */
export function firstCause(lines: readonly string[], signal: NodeJS.Signals | null = null): string {
  const spoken = lines.filter((line) => !NOISE.test(line)).map(speak)
  const meaning = signal ? MEANINGS[signal] : undefined
  const check = failedCheck(lines)
  const text =
    spoken.find((line) => line.error)?.text ??
    (meaning !== undefined && check !== undefined ? `${meaning} (${check})` : meaning) ??
    spoken.at(-1)?.text ??
    ''
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
}

/** The check of its own that V8 failed, from the line after the one that says it ends. */
function failedCheck(lines: readonly string[]): string | undefined {
  const at = lines.findIndex((line) => line.startsWith(V8_ENDS))
  return at < 0 ? undefined : lines[at + 1]?.replace(/^#\s*/, '')
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
