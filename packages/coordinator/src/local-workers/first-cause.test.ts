import { describe, expect, it } from 'vitest'
import { firstCause } from './first-cause.js'

describe('firstCause', () => {
  it.each<[string, string[], string]>([
    ['nothing said', [], ''],
    ['only blank lines', ['', '  '], ''],
    ['the last words when nothing looks like an error', ['joined', 'step 3'], 'step 3'],
    [
      'a stack: its message, not its frames',
      ['fine', 'node:internal/errors:1', '        throw x', '        ^', 'Error: no port', '    at f (a.js:1:1)', 'Node.js v20.20.2'],
      'Error: no port',
    ],
    ['the first of several', ['step 1', 'RangeError: too big', 'Error: worker thread ended'], 'RangeError: too big'],
    [
      'a C++ library',
      ["terminate called after throwing an instance of 'std::bad_alloc'", '  what():  std::bad_alloc'],
      "terminate called after throwing an instance of 'std::bad_alloc'",
    ],
    [
      'JSON lines by their level',
      ['{"level":30,"msg":"no error so far"}', '{"level":60,"msg":"cannot go on","err":{"message":"no memory"}}'],
      'cannot go on: no memory',
    ],
    ['a broken JSON line as it is', ['{"level":60,"ms'], '{"level":60,"ms'],
  ])('%s', (_name, lines, cause) => {
    expect(firstCause(lines)).toBe(cause)
  })

  it('says what a signal means if the process had no words of its own', () => {
    const atWork = '{"level":30,"msg":"at work"}'
    expect(firstCause([atWork], 'SIGSEGV')).toContain('memory')
    expect(firstCause([], 'SIGKILL')).toContain('killed from outside')
    expect(firstCause([atWork, 'std::bad_alloc'], 'SIGABRT')).toBe('std::bad_alloc')
    expect(firstCause([atWork], 'SIGUSR2')).toBe('at work')
  })

  it("says what the end of Node's own engine means, and the check that failed", () => {
    const lines = [
      '#',
      '# Fatal error in , line 0',
      '# Check failed: 12 == (*__errno_location ()).',
      '#',
      '#',
      '#FailureMessage Object: 0x7ffd',
    ]
    expect(firstCause(lines, 'SIGTRAP')).toMatch(/memory \(Check failed: 12 == .*\)$/)
    expect(firstCause(['#', '# Fatal error in , line 0', '# Fatal process out of memory: Zone'], 'SIGTRAP')).toBe(
      '# Fatal process out of memory: Zone',
    )
  })

  it('is one line of a length that can be read', () => {
    expect(firstCause(['Error: '.padEnd(5000, 'x')]).length).toBeLessThan(320)
  })
})
