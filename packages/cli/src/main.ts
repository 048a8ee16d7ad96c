import { runCommandLine } from './command-line.js'

process.exitCode = await runCommandLine(process.argv.slice(2))
// What a command leaves open (a socket closing, a timer) must not keep the shell waiting.
process.exit()
