import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, dirname, resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { MODEL_NAMES } from '@lockstep/shared/models/families.js'
import { RECIPE_SCHEMA_FILE } from '@lockstep/shared/recipe/json-schema-file.js'
import { parseRecipe } from '@lockstep/shared/recipe/load.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { lookAtPictures } from '../first-recipe/picture-facts.js'
import { chooseRecipe } from '../first-recipe/recipe-choice.js'
import { firstRecipeText } from '../first-recipe/recipe-text.js'
import { addExample, addJsonOption } from '../options.js'
import { writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { count } from '../terminal/units.js'

interface InitOptions {
  model: Recipe['model']['name']
  out: string
  force: boolean
  json: boolean
}

export function configure(command: Command): void {
  command
    .description('Look at a folder of pictures (one folder a class) and write a recipe that suits them.')
    .argument('<folder>', 'the pictures; a folder made by `lockstep pack`, or one with train and validation in it, will do as well')
    .addOption(new Option('--model <name>', 'the network').choices([...MODEL_NAMES]).default('vgg-a'))
    .option('--out <file>', 'the recipe to write', 'recipe.yaml')
    .option('--force', 'overwrite it', false)
  addJsonOption(command)
  addExample(command, 'lockstep init photos/', 'lockstep train recipe.yaml')
  command.action(init)
}

async function init(folder: string, options: InitOptions): Promise<void> {
  const facts = await lookAtPictures(folder)
  if (facts.classes.length < 2) {
    throw new TrainError(
      'DATA_MISSING',
      `${folder} holds one class only (${facts.classes.join()}): a network learns to tell classes apart, so give it a folder for each`,
    )
  }
  const out = resolve(options.out)
  const choice = chooseRecipe(facts, { model: options.model, cores: availableParallelism() })
  const name = nameOf(out)
  const text = firstRecipeText(choice, facts, { schema: RECIPE_SCHEMA_FILE, directory: dirname(out), name })
  const recipe = parseRecipe(text, { file: out })
  await write(out, text, options)
  if (options.json) {
    writeLine(JSON.stringify({ type: 'recipe', file: out, pictures: facts.pictures, classes: facts.classes, recipe }))
    return
  }
  const { inputSize, width } = recipe.model
  writeLine(
    `${folder}: ${count(facts.pictures)} pictures of ${count(facts.classes.length)} classes, about ${count(facts.medianShortSide)} pixels`,
  )
  if (facts.smallestClass < 10)
    writeLine(`note: the smallest class has ${String(facts.smallestClass)} pictures; a network learns little from so few`)
  writeLine(
    `${shownPath(out)}: ${recipe.model.name} at width ${String(width)}, ${String(inputSize)} pixels, ${String(choice.epochs)} epochs of ${String(recipe.batch.global)} pictures a step`,
  )
  writeLine(`next: lockstep train ${shownPath(out)}`)
}

async function write(out: string, text: string, { force }: InitOptions): Promise<void> {
  try {
    await writeFile(out, text, { flag: force ? 'w' : 'wx' })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST')
      throw new TrainError('USAGE', `${shownPath(out)} exists already: say --force to overwrite it, or --out for another file`)
    if (code === 'ENOENT') throw new TrainError('USAGE', `${dirname(out)} does not exist: make it first, or say --out for another file`)
    throw error
  }
}

function nameOf(out: string): string {
  const name = basename(out)
    .replace(/\.ya?ml$/i, '')
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
  return /^[A-Za-z0-9]/.test(name) ? name : 'recipe'
}
