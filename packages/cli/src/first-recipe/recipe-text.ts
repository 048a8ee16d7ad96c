import { relative, sep } from 'node:path'
import { stringify } from 'yaml'
import type { PictureFacts } from './picture-facts.js'
import { SPLIT, type RecipeChoice } from './recipe-choice.js'

/**
 * A first recipe with a remark a line.
 * @param schema path of the JSON Schema, absolute; @param directory where the recipe will lie
 */
export function firstRecipeText(
  choice: RecipeChoice,
  facts: PictureFacts,
  { schema, directory, name }: { schema: string; directory: string; name: string },
): string {
  const path = (target: string): string => {
    const short = relative(directory, target)
    const shown = short === '' ? '.' : short.startsWith(`..${sep}..${sep}..`) ? target : short
    return stringify(shown, { lineWidth: 0 }).trim()
  }
  const { model, inputSize, width, fullyConnected, shortSide, flip, global, micro, epochs, evaluationEpochs, workers } = choice
  const validation =
    facts.validation === null
      ? `{split: ${String(SPLIT)}}   # this share is kept aside, of every class; or another folder`
      : path(facts.validation)
  return `# yaml-language-server: $schema=${schema}
# Written by lockstep init for ${String(facts.pictures)} pictures of ${String(facts.classes.length)} classes, about ${String(facts.medianShortSide)} pixels high or wide.
# Train it:     lockstep train ${name}.yaml
# Look first:   lockstep train ${name}.yaml --dry-run
name: ${name}
seed: 1                        # another seed, another run; the same seed, the same bits

model:
  name: ${model}                  # vgg-a … vgg-e, resnet-18 … resnet-152: deeper and slower
  width: ${String(width)}                  # 1 is the network of the paper; less is faster and needs fewer pictures
  inputSize: ${String(inputSize)}${fullyConnected === null ? '' : `\n  fullyConnected: [${fullyConnected.join(', ')}]\n  dropout: 0.5`}

data:
  train: ${path(facts.train)}
  validation: ${validation}
  augment:                     # pictures to train on only
    shortSide: ${String(shortSide)}              # they are scaled to this …
    crop: random               # … and cut at a place that changes
    flip: ${String(flip)}                # ${flip ? 'mirrored half of the time; not good for letters or signs' : 'true mirrors them half of the time; not good for letters or signs'}

batch:
  global: ${String(global)}                   # pictures a step
  micro: ${String(micro)}                    # pictures computed at once: ${String(global / micro)} parts a step, so up to ${String(global / micro)} workers

initialization: {method: he}
learningRate:
  initial: ${String(choice.learningRate)}               # smaller if the loss does not fall or is not finite
  warmupSteps: 20              # rises to it over so many steps
${scheduleText(choice.schedule)}

epochs: ${String(epochs)}
evaluation: {everyEpochs: ${String(evaluationEpochs)}}

run:                           # where and how; nothing below changes the result
  workers: {count: ${String(workers)}}
  checkpoint: {everySteps: 200, keep: 3}
`
}

function scheduleText(schedule: RecipeChoice['schedule']): string {
  if (schedule.type === 'steps')
    return `  schedule: {type: steps, at: [${schedule.at.join(', ')}], factor: 0.1}   # at these steps the rate falls to a tenth`
  return '  schedule: {type: plateau, monitor: top1, patience: 3, maxDrops: 2}   # to a tenth when validation has not improved in 3 evaluations'
}
