// The answer of a handler, and how it is kept for later duplicates.

import { createHash } from 'node:crypto';

/** What a handler may return: nothing (200), or a status, headers and a body. */
export interface HandlerAnswer {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text, bytes, or a value that is answered as JSON. */
  readonly body?: unknown;
}

/** An answer, ready to be sent. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** An answer as it was kept; `body` is null where it was too large to keep. */
export interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
}

/** The others are never kept: they belong to one connection or to one person. */
const HEADERS_KEPT = [
  'content-type',
  'content-language',
  'content-disposition',
  'etag',
  'last-modified',
  'location',
];

/** What a handler returned, as an answer. Throws where the status is none. */
export async function answerOf(returned: unknown): Promise<Answer> {
  if (returned instanceof Response) {
    const body = Buffer.from(await returned.arrayBuffer());
    return { status: returned.status, headers: Object.fromEntries(returned.headers), body };
  }
  const { status = 200, headers = {}, body } = (returned ?? {}) as HandlerAnswer;
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new RangeError(`a handler answered with the status ${String(status)}`);
  }
  const lowered = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  if (body === undefined || body === null) return { status, headers: lowered, body: Buffer.alloc(0) };
  if (body instanceof Uint8Array) return { status, headers: lowered, body: Buffer.from(body) };
  if (typeof body === 'string') {
    return { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...lowered }, body: Buffer.from(body) };
  }
  const json = Buffer.from(JSON.stringify(body));
  return { status, headers: { 'content-type': 'application/json', ...lowered }, body: json };
}

/**
 * The bytes that a store keeps, the same in kits of every language: JSON with `v`, `status`, the
 * `headers` of a short list, and `body` in base64, or its `body_sha256` where it is longer than
 * `bytesMax`.
 */
export function encodeResult(answer: Answer, bytesMax: number): Buffer {
  const headers = Object.entries(answer.headers).filter(([name]) => HEADERS_KEPT.includes(name));
  const body =
    answer.body.length <= bytesMax
      ? { body: answer.body.toString('base64') }
      : { body_sha256: createHash('sha256').update(answer.body).digest('hex') };
  const kept = { v: 1, status: answer.status, headers, ...body };
  return Buffer.from(JSON.stringify(kept));
}

/** What `encodeResult` wrote; null where the bytes are of another make. */
export function decodeResult(bytes: Uint8Array): KeptAnswer | null {
  try {
    const kept = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>;
    if (kept['v'] !== 1 || typeof kept['status'] !== 'number') return null;
    const body = typeof kept['body'] === 'string' ? Buffer.from(kept['body'], 'base64') : null;
    const lines = kept['headers'] as [string, string][];
    const headers = Object.fromEntries(lines.filter(([name]) => HEADERS_KEPT.includes(name)));
    return { status: kept['status'], headers, body };
  } catch {
    return null;
  }
}
