import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'

/**
 * A vitest reporter for the end of a run: names every skipped test with its reason, then one plain line `N passed, N failed[, N skipped]`.
 * A file that does not load, and an error outside any test, count as failures. Under scripts/test.mjs, which has checks of its own to add,
 * the counts go into the file named by LOCKSTEP_TALLY_FILE instead of the terminal.
 */
export default class TallyReporter {
  /**
   * @param {readonly import('vitest/node').TestModule[]} modules
   * @param {readonly unknown[]} unhandledErrors
   */
  onTestRunEnd(modules, unhandledErrors) {
    const tally = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    const skipped = []
    for (const module of modules) {
      if (module.errors().length > 0) tally.failed += 1
      for (const test of module.children.allTests()) {
        const { state, note } = test.result()
        if (state === 'passed' || state === 'failed') {
          tally[state] += 1
          continue
        }
        tally.skipped += 1
        skipped.push(`  ${relative(process.cwd(), module.moduleId)} > ${test.fullName}: ${note ?? 'no reason given'}`)
      }
      for (const suite of module.children.allSuites()) tally.failed += suite.errors().length
    }
    if (skipped.length > 0) console.log(`Skipped:\n${skipped.join('\n')}`)
    const file = process.env.LOCKSTEP_TALLY_FILE
    if (file === undefined) console.log(tallyLine(tally))
    else writeFileSync(file, JSON.stringify(tally))
  }
}

/** @param {{passed: number, failed: number, skipped: number}} tally */
export function tallyLine({ passed, failed, skipped }) {
  return `${String(passed)} passed, ${String(failed)} failed${skipped > 0 ? `, ${String(skipped)} skipped` : ''}`
}
