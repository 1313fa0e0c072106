// What is answered in each situation: the one table from which providers and callers learn whether
// to send again. A provider that gets 2xx never comes back, so 2xx is said only when the event is
// dealt with; 4xx is never said to an event that is merely being handled.

import type { Answer, KeptAnswer } from './results.js';
import type { Refusal } from './signatures.js';

/** `webhook`: providers call, and retry by status. `api`: clients call with an idempotency key. */
export type Mode = 'webhook' | 'api';

/** The choices that the table leaves open. */
export interface AnswerPolicy {
  readonly mode: Mode;
  /** Webhook mode, the key is known with another payload: 200 and flagged, or 409. */
  readonly onConflict: 'duplicate' | 'reject';
  /** API mode, the same: 409, or 422 as the IETF draft has it. */
  readonly conflictStatus: 409 | 422;
  /** Webhook mode, an event that failed for good comes again: 200, or 410. */
  readonly onDead: 'accept' | 'gone';
}

/** What has become of a request. */
export type Situation =
  /** The handler ran and its result is kept, or should be: an effect there is in any case. */
  | { readonly kind: 'processed'; readonly answer: Answer }
  | { readonly kind: 'duplicate'; readonly kept: KeptAnswer | null }
  | { readonly kind: 'in_progress'; readonly retryAfterMs: number }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'dead'; readonly error: string | null }
  /** The handler said that the event can never be handled. */
  | { readonly kind: 'rejected'; readonly answer: Answer | null; readonly error: string }
  /** The handler failed; the claim is released. */
  | { readonly kind: 'failed'; readonly retryAfterMs: number; readonly answer: Answer | null }
  | { readonly kind: 'no_key' }
  | { readonly kind: 'unverified'; readonly refusal: Refusal }
  | { readonly kind: 'too_large' }
  | { readonly kind: 'unavailable' };

/** What the header `Hooklatch-Receipt` says. */
export type Receipt = 'processed' | 'duplicate' | 'in-progress' | 'rejected';

const UNAVAILABLE_RETRY_MS = 5_000;

/** The table. */
export function answerFor(situation: Situation, policy: AnswerPolicy): Answer {
  const webhook = policy.mode === 'webhook';
  switch (situation.kind) {
    case 'processed':
      return receipted(situation.answer, 'processed');
    case 'duplicate':
      return replayed(situation.kept, webhook);
    case 'in_progress':
      return problem(webhook ? 503 : 409, 'the event is being handled', 'in-progress', situation.retryAfterMs);
    case 'conflict':
      return conflict(policy);
    case 'dead':
      return dead(situation.error, policy);
    case 'rejected':
      return situation.answer === null
        ? dead(situation.error, policy)
        : receipted(situation.answer, 'rejected');
    case 'failed':
      return failed(situation.answer, situation.retryAfterMs, webhook);
    case 'no_key':
      return problem(400, 'the key of the event is missing or unusable', 'rejected');
    case 'unverified':
      return problem(401, `the signature is refused: ${situation.refusal}`, 'rejected');
    case 'too_large':
      return problem(413, 'the body is too large', 'rejected');
    case 'unavailable':
      return problem(503, 'nothing was done; repeating is safe', null, UNAVAILABLE_RETRY_MS);
  }
}

function replayed(kept: KeptAnswer | null, webhook: boolean): Answer {
  const marks = { 'idempotency-replayed': 'true' };
  if (kept === null || kept.body === null) {
    if (!webhook) return problem(409, 'handled before; the answer was not kept', 'duplicate');
    return receipted({ status: 200, headers: marks, body: Buffer.alloc(0) }, 'duplicate');
  }
  const status = webhook ? 200 : kept.status;
  return receipted({ status, headers: { ...kept.headers, ...marks }, body: kept.body }, 'duplicate');
}

function conflict(policy: AnswerPolicy): Answer {
  const text = 'the key was used with another payload';
  if (policy.mode === 'api') return problem(policy.conflictStatus, text, 'rejected');
  if (policy.onConflict === 'reject') return problem(409, text, 'rejected');
  const headers = { 'hooklatch-flag': 'payload_mismatch' };
  return receipted({ status: 200, headers, body: Buffer.alloc(0) }, 'duplicate');
}

function dead(error: string | null, policy: AnswerPolicy): Answer {
  const text = 'the event failed for good';
  if (policy.mode === 'api') return problem(500, error === null ? text : `${text}: ${error}`, 'rejected');
  if (policy.onDead === 'gone') return problem(410, text, 'rejected');
  // No receipt: it was neither processed, nor is it a duplicate of what was.
  return { status: 200, headers: { 'hooklatch-flag': 'dead' }, body: Buffer.alloc(0) };
}

function failed(answer: Answer | null, retryAfterMs: number, webhook: boolean): Answer {
  if (webhook || answer === null) {
    return problem(503, 'the handler failed; repeating is safe', null, retryAfterMs);
  }
  return answer;
}

function problem(status: number, detail: string, receipt: Receipt | null, retryAfterMs?: number): Answer {
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
  if (retryAfterMs !== undefined) {
    headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  }
  const answer = { status, headers, body: Buffer.from(JSON.stringify({ status, detail })) };
  return receipt === null ? answer : receipted(answer, receipt);
}

/** The receiver's word to a gateway, which obeys it only where it agrees with the status. */
function receipted(answer: Answer, receipt: Receipt): Answer {
  if (!agree(receipt, answer.status)) return answer;
  return { ...answer, headers: { ...answer.headers, 'hooklatch-receipt': receipt } };
}

function agree(receipt: Receipt, status: number): boolean {
  switch (receipt) {
    case 'processed':
    case 'duplicate':
      return status >= 200 && status <= 299;
    case 'in-progress':
      return status === 503;
    case 'rejected':
      return status >= 400 && status <= 499;
  }
}
