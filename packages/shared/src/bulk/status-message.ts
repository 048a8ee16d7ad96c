/** A status message as gRPC puts it into a header: UTF-8, everything but printable ASCII, and the sign of percent itself, as percent and two digits. */
export function encodeStatusMessage(message: string): string {
  return message.replace(/[^ -$&-~]+/g, (text) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''))
}

/** The other way; as it came, if it was not encoded like that. */
export function decodeStatusMessage(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}
