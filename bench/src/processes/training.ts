import { readFile } from 'node:fs/promises'
import { train } from '@lockstep/coordinator/train.js'
import { recipeSchema } from '@lockstep/shared/recipe/schema.js'

/**
 * A coordinator to be measured: training.js RECIPE.json BASE. Writes every event of the training as a line of JSON. Stops, as at
 * Ctrl-C, when its input closes, and so never outlives the measurement.
 */
const [recipeFile = '', base = ''] = process.argv.slice(2)
const abort = new AbortController()
process.stdin.resume().on('end', () => {
  abort.abort('the measurement is over')
})
process.on('SIGINT', () => {
  abort.abort('SIGINT')
})
const recipe = recipeSchema.parse(JSON.parse(await readFile(recipeFile, 'utf8')))
for await (const event of train(recipe, { base, signal: abort.signal })) console.log(JSON.stringify(event))
process.exit()
