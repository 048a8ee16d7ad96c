import type { Command } from 'commander'
export function configure(command: Command): void { void command }
