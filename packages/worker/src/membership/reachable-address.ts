/**
 * Addresses that a coordinator gives may name "every interface of mine" (0.0.0.0 or ::), which means nothing to another
 * machine. The worker reached the coordinator under a host that works, so it takes that one.
 */

const EVERY_INTERFACE = /^(0\.0\.0\.0|\[::\]|::)$/

/** host:port under which a slice is reached. @param joined host:port of the coordinator, as given to --join */
export function reachableAddress(address: string, joined: string): string {
  const [host, port] = split(address)
  return EVERY_INTERFACE.test(host) ? `${split(joined)[0]}:${port}` : address
}

/** The same for a URL with scheme and password. */
export function reachableUrl(url: string, joined: string): string {
  const parsed = new URL(url)
  if (!EVERY_INTERFACE.test(parsed.hostname)) return url
  return url
    .replace(`@${parsed.host}`, `@${split(joined)[0]}:${parsed.port}`)
    .replace(`//${parsed.host}`, `//${split(joined)[0]}:${parsed.port}`)
}

function split(address: string): [host: string, port: string] {
  const at = address.lastIndexOf(':')
  return [address.slice(0, at), address.slice(at + 1)]
}
