// The key of a claim. Parts are length-prefixed before they are hashed, so that ("ab", "c") and
// ("a", "bc") are two events, and tenant, source and consumer are always among them, so that no
// two of these can ever meet each other's keys.

import { createHash } from 'node:crypto';

const VERSION = 1;

/** Whose key it is. Empty where there is no such thing. */
export interface Scope {
  readonly tenant?: string;
  readonly source: string;
  readonly consumer?: string;
}

/** What identifies the event within its scope. */
export type KeyPart = string | Uint8Array;

/**
 * The key under which an event is claimed: SHA-256 over the version byte 1, then tenant, source,
 * consumer and the parts, each behind its length in bytes as a 32-bit big-endian number.
 */
export function scopeKey(scope: Scope, parts: readonly KeyPart[]): Buffer {
  return hashOf([scope.tenant ?? '', scope.source, scope.consumer ?? '', ...parts]);
}

/**
 * The key to hand to the next service for one step of the work, so that a repeated step is
 * recognised there: SHA-256 over the version byte 1, then the claim's key, the step's name and
 * the generation as four bytes (big-endian), each behind its length as above.
 */
export function stepKey(key: Uint8Array, step: string, generation: number): Buffer {
  return hashOf([key, step, u32(generation)]);
}

function hashOf(parts: readonly KeyPart[]): Buffer {
  const hash = createHash('sha256').update(Uint8Array.of(VERSION));
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part, 'utf8') : part;
    hash.update(u32(bytes.length)).update(bytes);
  }
  return hash.digest();
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
