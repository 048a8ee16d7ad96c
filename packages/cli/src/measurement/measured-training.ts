import { readFile } from 'node:fs/promises'
import { train } from '@lockstep/coordinator/train.js'
import { recipeSchema } from '@lockstep/shared/recipe/schema.js'
import { failureOf } from '../failure.js'

/**
 * A coordinator to be measured: measured-training.js RECIPE.json BASE. Writes every event of the training as a line of JSON, and an
 * error as a line of type `failed`. Stops, as at Ctrl-C, when its input closes, and so never outlives the measurement.
 */
const [recipeFile = '', base = ''] = process.argv.slice(2)
const abort = new AbortController()
process.stdin.resume().on('end', () => {
  abort.abort('the measurement is over')
})
process.on('SIGINT', () => {
  abort.abort('SIGINT')
})
try {
  const recipe = recipeSchema.parse(JSON.parse(await readFile(recipeFile, 'utf8')))
  for await (const event of train(recipe, { base, signal: abort.signal })) console.log(JSON.stringify(event))
} catch (error) {
  const { code, lines } = failureOf(error)
  console.log(JSON.stringify({ type: 'failed', code, message: lines.join(' ').replace(/^error: /, '') }))
  process.exitCode = 1
}
process.exit()
