import { defineConfig } from 'vitest/config'
import TallyReporter from './scripts/tally-reporter.mjs'

/** The tests run from dist, as everything else does, so that what is tested is what runs; scripts/build.mjs comes first. */
export default defineConfig({
  cacheDir: '.cache/vite',
  test: {
    include: ['packages/*/dist/**/*.test.js', 'tests/dist/**/*.test.js', 'bench/dist/**/*.test.js', 'scripts/**/*.test.mjs'],
    exclude: ['**/node_modules/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    reporters: ['default', new TallyReporter()],
    // A test that leaves a variable of the environment behind would change the next one's result.
    unstubEnvs: true,
  },
})
