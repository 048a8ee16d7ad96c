import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { COMMANDS } from './command-table.js'
import { failureOf } from './failure.js'
import { guardOutput, writeError, writeLine } from './terminal/output.js'

/**
 * Runs one command line.
 * @param args without `node` and the script
 * @returns the exit code: 0 success, 1 failure, 2 wrong usage, 130 after Ctrl-C, 143 after SIGTERM
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  guardOutput()
  const json = args.includes('--json')
  try {
    const program = await createProgram(args)
    await program.parseAsync([...args], { from: 'user' })
    return typeof process.exitCode === 'number' ? process.exitCode : 0
  } catch (error) {
    // commander has printed its message by now
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const failure = failureOf(error)
    for (const line of failure.lines) writeError(line)
    // after a signal the summary has said all there is
    if (json && failure.lines.length > 0)
      writeLine(JSON.stringify({ type: 'error', code: failure.code, message: failure.lines.join('\n') }))
    return failure.exitCode
  }
}

async function createProgram(args: readonly string[]): Promise<Command> {
  const program = new Command('lockstep')
  program
    .description('Trains one convolutional network on many machines, with the answer one machine would have given, bit for bit.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: (text) => writeLine(text.trimEnd()),
      writeErr: (text) => writeError(text.trimEnd()),
      outputError: usageError(program),
    })
    .addHelpText(
      'after',
      '\nExample:\n  $ lockstep init photos/ && lockstep train recipe.yaml && lockstep predict runs/latest photo.jpg\n\n`lockstep COMMAND --help` shows the options of a command, and an example.',
    )
  const typed = args.filter((argument) => !argument.startsWith('-'))
  const wanted = typed[0] === 'help' ? typed[1] : typed[0]
  for (const { name, summary, load } of COMMANDS) {
    const command = program
      .command(name)
      .summary(summary)
      .description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`)
    if (name === wanted) (await load()).configure(command)
  }
  return program
}

/** Commander's messages as one line that ends in a remedy. */
function usageError(program: Command): (text: string) => void {
  return (text) => {
    const message = text.replaceAll(/\s*\n\s*/g, ' ').trim()
    const [name, further] = program.args
    const command = program.commands.find((one) => one.name() === name)
    const below = command?.commands.find((one) => one.name() === further)
    const typed = [command, below].map((one) => (one === undefined ? '' : ` ${one.name()}`)).join('')
    const suggested = message.includes('Did you mean')
    writeError(suggested ? message.replace(/\(Did you mean (.*)\?\)/, '(did you mean $1?)') : `${message}; see \`lockstep${typed} --help\``)
  }
}

function version(): string {
  const file = new URL('../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
