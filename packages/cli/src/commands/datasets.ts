import { Argument, type Command } from 'commander'
import { addExample, addJsonOption } from '../options.js'
import { interruptibleWork } from '../standalone-work.js'
import { LiveDisplay } from '../terminal/live-display.js'
import { writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { makeDigits } from '../picture-sets/digits.js'
import { makeEmoji } from '../picture-sets/emoji.js'
import type { MakerOptions } from '../picture-sets/picture-set.js'

/** `lockstep datasets digits|emoji OUT`: the pictures that the project's recipes train on. */

const MAKERS = { digits: makeDigits, emoji: makeEmoji } as const

export function configure(command: Command): void {
  command
    .description("Makes the picture sets that the project's recipes train on, from packages that came with the set-up.")
    .addArgument(new Argument('<set>', 'which pictures').choices(Object.keys(MAKERS)))
    .argument('<out>', 'the folder to make; one made before is kept')
  addJsonOption(command)
  addExample(command, 'lockstep datasets emoji datasets/emoji && lockstep train recipes/emoji.yaml')
  command.action(makeSet)
}

async function makeSet(set: keyof typeof MAKERS, out: string, { json }: { json: boolean }): Promise<void> {
  const display = new LiveDisplay()
  try {
    const onProgress: NonNullable<MakerOptions['onProgress']> = ({ what, done, total }) => {
      if (!json) display.progress(done, total, what, `${what}: ${String(done)} of ${String(total)}`)
    }
    const made = await interruptibleWork((signal) => MAKERS[set](out, { signal, onProgress }), 'stopping; nothing will be left behind')
    display.close()
    if (json) writeLine(JSON.stringify({ type: 'dataset', ...made }))
    else
      writeLine(
        `${shownPath(made.directory)}: ${made.reused ? 'there already' : 'made'}; where the pictures come from: ${shownPath(made.directory)}/LICENSES.md`,
      )
  } finally {
    display.close()
  }
}
