import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'

/** What both sides of a measured exchange agree on. */

export const EXCHANGE_RUN = { run: 'measured-exchange', term: 1 }

/** A network that is one vector of parameters. */
export function flatLayout(floats: number): ParameterLayout {
  return { entries: [{ name: 'flat/kernel', shape: [floats], offset: 0, size: floats, kind: 'kernel' }], size: floats }
}
