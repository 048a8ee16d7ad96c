import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { predictImages } from '@lockstep/worker/standalone/predict-images.js'
import { shownPath } from '../terminal/paths.js'
import { percent } from '../terminal/units.js'
import type { Narrator } from '../terminal/narrator.js'

/** The digits shown, in this order: π, as far as it goes. */
const SHOWN = ['3', '1', '4', '1', '5', '9', '2', '6'] as const

/** The first pictures of each class that is shown, none of them twice. @param folder class folders */
export async function picturesToShow(folder: string): Promise<string[]> {
  const used = new Map<string, number>()
  const pictures: string[] = []
  for (const digit of SHOWN) {
    const at = used.get(digit) ?? 0
    used.set(digit, at + 1)
    const name = (await readdir(join(folder, digit))).sort()[at]
    if (name !== undefined) pictures.push(join(folder, digit, name))
  }
  return pictures
}

/** Shows what a checkpoint sees in a few validation pictures; the first ones, right or wrong. */
export async function showPredictions(
  options: { readonly checkpoint: string; readonly folder: string; readonly logFile: string; readonly signal?: AbortSignal | undefined },
  narrator: Narrator,
): Promise<void> {
  const images = await picturesToShow(options.folder)
  narrator.status('   starting TensorFlow …')
  try {
    const { checkpoint, logFile, signal } = options
    const predictions = await predictImages({
      checkpoints: [checkpoint],
      images,
      top: 2,
      computeThreads: 1,
      logFile,
      ...(signal === undefined ? {} : { signal }),
    })
    narrator.settle()
    for (const { image, classes } of predictions) {
      const seen = classes.map(({ name, probability }) => `${name} ${percent(probability).padStart(7)}`).join('   ')
      const wrong = classes[0]?.name === basename(dirname(image)) ? '' : '   (wrong)'
      narrator.line(`   ${shownPath(image)}   ${seen}${wrong}`)
    }
  } finally {
    narrator.settle()
  }
}
