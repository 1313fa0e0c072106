// Reads a body up to a limit, and not a byte more into memory than that.

/** The bytes; where there are more than `bytesMax`, one more than that, which is refused later. */
export async function readBody(
  stream: AsyncIterable<Uint8Array>,
  bytesMax: number,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of stream) {
    parts.push(part);
    length += part.length;
    if (length > bytesMax) return new Uint8Array(bytesMax + 1);
  }
  return Buffer.concat(parts);
}
