// Checks who sent a request, over its raw bytes and in constant time. Nothing else happens for a
// request that fails: no key is read, no store is asked.

import { createHmac, createPublicKey, timingSafeEqual, verify as verifyKey } from 'node:crypto';

import type { HookRequest } from './request.js';

/** Why a request was refused. It never holds a secret or a signature. */
export type Refusal = 'missing' | 'malformed' | 'too_old' | 'too_new' | 'mismatch';

/** Looks at a request; null means that the sender is who it claims to be. */
export interface Verifier {
  verify(request: HookRequest, nowMs: number): Refusal | null;
}

/** One secret, or several while a secret is being replaced. */
export type Secrets = string | readonly string[];

const TOLERANCE_SECONDS = 300;
const SIGNATURES_MAX = 8;
const HEADER_LENGTH_MAX = 8_192;

/**
 * Stripe: `t=<seconds>,v1=<hex>` over `{t}.{body}`. A signature may be 300 s old; one from the
 * future passes, as in Stripe's own libraries: only Stripe can have made it.
 */
export function stripeVerifier(secrets: Secrets): Verifier {
  const keys = textKeys(secrets);
  return {
    verify(request, nowMs) {
      const header = request.header('stripe-signature');
      if (header === null) return 'missing';
      const parsed = parseStripe(header);
      if (parsed === null) return 'malformed';
      if (nowMs / 1_000 - Number(parsed.time) > TOLERANCE_SECONDS) return 'too_old';
      const message = [parsed.time, '.', request.body];
      return anyMatches(keys, 'sha256', message, parsed.signatures) ? null : 'mismatch';
    },
  };
}

function parseStripe(header: string): { time: string; signatures: Buffer[] } | null {
  let time: string | null = null;
  const signatures: Buffer[] = [];
  if (header.length > HEADER_LENGTH_MAX) return null;
  for (const item of header.split(',')) {
    const at = item.indexOf('=');
    if (at < 0) return null;
    const name = item.slice(0, at).trim();
    const value = item.slice(at + 1).trim();
    if (name === 't') {
      if (time !== null || !isSeconds(value)) return null;
      time = value;
    } else if (name === 'v1') {
      const signature = decoded(value, 'hex');
      if (signature !== null) signatures.push(signature);
    }
  }
  return time === null || signatures.length === 0 ? null : { time, signatures };
}

/** GitHub: `x-hub-signature-256: sha256=<hex>` over the body. */
export function githubVerifier(secrets: Secrets): Verifier {
  return hmacVerifier({ secrets, header: 'x-hub-signature-256', prefix: 'sha256=' });
}

/** How an HMAC of the body is written in one header. */
export interface HmacOptions {
  readonly secrets: Secrets;
  readonly header: string;
  /** What stands before the signature, such as `sha256=`. Default: nothing. */
  readonly prefix?: string;
  /** Default: hex. */
  readonly encoding?: 'hex' | 'base64';
  /** Default: sha256. */
  readonly algorithm?: 'sha256' | 'sha512' | 'sha1';
}

/** An HMAC of the body in one header, as most providers have it. */
export function hmacVerifier(options: HmacOptions): Verifier {
  const { header, prefix = '', encoding = 'hex', algorithm = 'sha256' } = options;
  const keys = textKeys(options.secrets);
  return {
    verify(request) {
      const text = request.header(header);
      if (text === null) return 'missing';
      if (!text.startsWith(prefix)) return 'malformed';
      const signature = decoded(text.slice(prefix.length), encoding);
      if (signature === null) return 'malformed';
      return anyMatches(keys, algorithm, [request.body], [signature]) ? null : 'mismatch';
    },
  };
}

/**
 * Standard Webhooks: `webhook-id`, `webhook-timestamp` and the body are signed together. A secret
 * is `whsec_` and base64 (HMAC-SHA256, `v1,`) or a public key `whpk_` and base64 (Ed25519,
 * `v1a,`). A signature may be 300 s old, or early.
 */
export function standardWebhooksVerifier(secrets: Secrets): Verifier {
  const keys = listed(secrets).map(standardKey);
  return {
    verify(request, nowMs) {
      const id = request.header('webhook-id');
      const time = request.header('webhook-timestamp');
      const header = request.header('webhook-signature');
      if (id === null || time === null || header === null) return 'missing';
      const signatures = parseStandard(header);
      if (id === '' || !isSeconds(time) || signatures === null) return 'malformed';
      const age = nowMs / 1_000 - Number(time);
      if (age > TOLERANCE_SECONDS) return 'too_old';
      if (age < -TOLERANCE_SECONDS) return 'too_new';
      const message = Buffer.concat([Buffer.from(`${id}.${time}.`), request.body]);
      return keys.some((key) => key(message, signatures)) ? null : 'mismatch';
    },
  };
}

interface StandardSignatures {
  readonly v1: Buffer[];
  readonly v1a: Buffer[];
}

function parseStandard(header: string): StandardSignatures | null {
  const found: StandardSignatures = { v1: [], v1a: [] };
  const items = header.split(/\s+/).filter((item) => item !== '');
  if (items.length > SIGNATURES_MAX) return null;
  for (const item of items) {
    const at = item.indexOf(',');
    if (at < 0) return null;
    const scheme = item.slice(0, at);
    const signature = decoded(item.slice(at + 1), 'base64');
    if (signature !== null && (scheme === 'v1' || scheme === 'v1a')) found[scheme].push(signature);
  }
  return found.v1.length + found.v1a.length === 0 ? null : found;
}

type StandardKey = (message: Buffer, signatures: StandardSignatures) => boolean;

function standardKey(secret: string): StandardKey {
  if (secret.startsWith('whpk_')) return ed25519Key(secret.slice('whpk_'.length));
  if (secret.startsWith('whsk_')) throw new TypeError('a private key was given: use the public key');
  const key = decoded(secret.replace(/^whsec_/, ''), 'base64');
  if (key === null) throw new TypeError('a Standard Webhooks secret is "whsec_" and base64');
  return (message, signatures) => anyMatches([key], 'sha256', [message], signatures.v1);
}

function ed25519Key(encoded: string): StandardKey {
  const raw = decoded(encoded, 'base64');
  if (raw?.length !== 32) throw new TypeError('a public key is "whpk_" and 32 bytes in base64');
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') };
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  return (message, signatures) =>
    signatures.v1a.some((signature) => verifyKey(null, message, key, signature));
}

function anyMatches(
  keys: readonly Buffer[],
  algorithm: string,
  message: readonly (string | Buffer)[],
  signatures: readonly Buffer[],
): boolean {
  return keys.some((key) => {
    const mac = createHmac(algorithm, key);
    for (const part of message) mac.update(part);
    const expected = mac.digest();
    return signatures.some(
      (signature) => signature.length === expected.length && timingSafeEqual(signature, expected),
    );
  });
}

function textKeys(secrets: Secrets): Buffer[] {
  return listed(secrets).map((secret) => Buffer.from(secret, 'utf8'));
}

function listed(secrets: Secrets): readonly string[] {
  const list = typeof secrets === 'string' ? [secrets] : secrets;
  if (list.length === 0 || list.includes('')) throw new TypeError('a secret is missing or empty');
  return list;
}

/** Buffer.from stops silently at what it does not understand; this does not. */
function decoded(text: string, encoding: 'hex' | 'base64'): Buffer | null {
  const pattern = encoding === 'hex' ? /^(?:[0-9a-fA-F]{2})+$/ : /^[A-Za-z0-9+/]+={0,2}$/;
  return pattern.test(text) ? Buffer.from(text, encoding) : null;
}

function isSeconds(text: string): boolean {
  return /^[0-9]{1,12}$/.test(text);
}
