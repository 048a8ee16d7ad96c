/**
 * Runs ESLint, Prettier and all tests, or with a pattern only the test files whose path contains it: `npm test -- averager`. Ends with one plain
 * line, `N passed, N failed`, in which the two checks count like a test each. scripts/setup.mjs comes first.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tallyLine } from './tally-reporter.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const tallyFile = join(root, '.runtime/tally', `${String(process.pid)}.json`)
/** Type-aware linting holds the types of all packages at once. */
const LINT_HEAP_MIB = 4096

/** Runs a tool of node_modules on the terminal it was given; true where it ended well. */
function tool(path, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, 'node_modules', path), ...args], {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, ...env },
    })
    child.on('error', () => resolve(false))
    child.on('close', (code) => resolve(code === 0))
  })
}

async function check(title, path, args, env) {
  const startMs = Date.now()
  console.log(`${title} …`)
  const good = await tool(path, args, env)
  console.log(`${title}: ${good ? 'clean' : 'found something, see above'} (${((Date.now() - startMs) / 1000).toFixed(1)} s)`)
  return good
}

function readTally() {
  // No file: vitest itself broke, or found no test for the pattern.
  if (!existsSync(tallyFile)) return { passed: 0, failed: 1, skipped: 0 }
  return JSON.parse(readFileSync(tallyFile, 'utf8'))
}

async function main(patterns) {
  const outcomes = []
  if (patterns.length === 0) {
    outcomes.push(await check('Prettier', 'prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.']))
    outcomes.push(await check('ESLint', 'eslint/bin/eslint.js', ['.'], { NODE_OPTIONS: `--max-old-space-size=${String(LINT_HEAP_MIB)}` }))
  }
  mkdirSync(dirname(tallyFile), { recursive: true })
  const good = await tool('vitest/vitest.mjs', ['run', ...patterns], { LOCKSTEP_TALLY_FILE: tallyFile })
  const tally = readTally()
  rmSync(tallyFile, { force: true })
  // Whatever made vitest fail without failing a test shall not hide behind a zero.
  if (!good && tally.failed === 0) tally.failed = 1
  for (const outcome of outcomes) tally[outcome ? 'passed' : 'failed'] += 1
  console.log(`\n${tallyLine(tally)}`)
  process.exitCode = tally.failed === 0 ? 0 : 1
}

await main(process.argv.slice(2))
