import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runCommand } from './support/command.js'
import { CLASSES, drawFolder, drawPicture } from './support/picture-folder.js'

/** A folder of one's own pictures, and three commands. */
/** The recipe that init writes is for pictures that are harder to learn. */
const SHORTER = ['--set', 'epochs=12', '--set', 'model.width=0.125', '--set', 'learningRate.schedule={type: constant}']

let base: string

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-first-'))
  await drawFolder(join(base, 'photos'), 60)
  for (const kind of CLASSES) await writeFile(join(base, `unseen-${kind}.png`), await drawPicture(kind, 1000))
})

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

it('init, train, predict', async () => {
  const init = await runCommand(['init', 'photos'], base)
  expect([init.code, init.stderr]).toEqual([0, ''])

  const trained = await runCommand(['train', 'recipe.yaml', '--workers', '2', ...SHORTER], base)
  expect([trained.code, trained.stderr]).toEqual([0, ''])
  expect(trained.stdout).not.toMatch(/oneDNN|tensorflow\/core/)

  const pictures = CLASSES.map((kind) => `unseen-${kind}.png`)
  const predicted = await runCommand(['predict', 'runs/latest', ...pictures, '--json'], base)
  expect([predicted.code, predicted.stderr]).toEqual([0, ''])
  const answers = (JSON.parse(predicted.stdout) as { predictions: { classes: { name: string }[] }[] }).predictions
  expect(answers.map(({ classes }) => classes[0]?.name)).toEqual([...CLASSES])

  const evaluated = await runCommand(['evaluate', 'runs/latest', '--data', 'photos', '--json'], base)
  expect((JSON.parse(evaluated.stdout) as { top1: number }).top1).toBeGreaterThan(0.9)
}, 300_000)
