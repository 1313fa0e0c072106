// What a payload is compared by: the same key with another fingerprint is a conflict. The bytes
// are those of the gateway (rule C5), so that both sides agree on what "another payload" means.

import { createHash } from 'node:crypto';

import { canonical, readJson, type Node } from './json.js';
import { pick, parsePath } from './locations.js';

/**
 * SHA-256 over `hooklatch-fingerprint-v1`, the event type (0x00 without, else 0x01, its length as
 * 32-bit big-endian and its UTF-8) and `c` with the canonical JSON, or `r` with the raw body where
 * there is none. `exclude` names JSON paths to leave out, such as a provider's attempt counter.
 */
export function fingerprint(
  body: Uint8Array,
  eventType: string | null = null,
  exclude: readonly string[] = [],
): Buffer {
  const hash = createHash('sha256').update('hooklatch-fingerprint-v1');
  if (eventType === null) {
    hash.update(Uint8Array.of(0));
  } else {
    const bytes = Buffer.from(eventType, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(Uint8Array.of(1)).update(length).update(bytes);
  }
  const document = readJson(body);
  const text = document === null ? null : canonical(document, excluded(document, exclude));
  return (text === null ? hash.update('r').update(body) : hash.update('c').update(text)).digest();
}

function excluded(document: Node, exclude: readonly string[]): ReadonlySet<Node> {
  const found = exclude.map((path) => pick(document, parsePath(path)));
  return new Set(found.filter((node) => node !== null));
}
