// What a store says about a key, and what it says when a claim is ended. Every store speaks these
// words and no others, so that the receiver decides the same way over each of them.

/** The claim is yours: run the handler, then complete, release or fail it with this very object. */
export interface Run {
  readonly outcome: 'run';
  /** The claimed key (32 bytes). */
  readonly key: Buffer;
  /** Proves ownership to the store. A token that was overtaken can end nothing. */
  readonly token: string;
  /** Counts from 1; above 1 an earlier run failed or died. */
  readonly attempt: number;
  /** Grows with an operator's forced replay; part of every step key. */
  readonly generation: number;
}

/** The event was handled before; this is what was stored then. */
export interface Done {
  readonly outcome: 'done';
  readonly result: Buffer;
}

/** Somebody is handling the event at this moment, or a failed run is not due again yet. */
export interface Busy {
  readonly outcome: 'busy';
  readonly retryAfterMs: number;
}

/** The key is known with another payload. */
export interface Conflict {
  readonly outcome: 'conflict';
  /** What has become of that payload; null where the store does not say. */
  readonly state: ClaimState | null;
}

/** The event failed for good, or too often. */
export interface Dead {
  readonly outcome: 'dead';
  readonly error: string | null;
}

/** The answer of `begin`. */
export type Begin = Run | Done | Busy | Conflict | Dead;

/**
 * What became of a completion: `applied` (stored), `already_complete` (by this very claim before;
 * the first result stays), `fenced` (somebody else has taken over; nothing was changed), or `gone`
 * (there is no such record any more).
 */
export type Completed = 'applied' | 'already_complete' | 'fenced' | 'gone';

/** What became of a release, a renewal or a failure. */
export type Ended = 'ok' | 'fenced';

/** What became of a step's result. */
export type Saved = 'saved' | 'fenced';

/** The states of a record. */
export type ClaimState = 'processing' | 'completed' | 'released' | 'dead';

/** What is noted beside a claim for people who look it up. */
export interface Metadata {
  readonly provider?: string;
  readonly eventType?: string;
  /** Milliseconds since 1970. */
  readonly receivedAtMs?: number;
}

/** What `begin` is asked. */
export interface BeginRequest {
  /** 32 bytes, from `scopeKey`. */
  readonly key: Buffer;
  /** 32 bytes, from `fingerprint`. */
  readonly fingerprint: Buffer;
  readonly leaseMs: number;
  /** A key that was tried so often is dead instead of run. Default 8. */
  readonly attemptsMax?: number;
  /** How long a key that dies for its attempts is remembered. Default 30 days. */
  readonly retentionMs?: number;
  /** Runs a completed or dead key once more, in the next generation: for operators. */
  readonly force?: boolean;
  /**
   * 32 lower-case hex digits from a good random source; made where it is not given. The same token
   * again finds its own claim, where the answer to the first call was lost.
   */
  readonly token?: string;
  readonly metadata?: Metadata;
}

/** A record as `lookup` shows it. */
export interface ClaimRecord {
  readonly state: ClaimState;
  readonly attempt: number;
  readonly generation: number;
  readonly metadata: Metadata;
  readonly result: Buffer | null;
  readonly error: string | null;
}

/** Where claims are kept. Every call may throw `Unavailable`. */
export interface ClaimStore {
  begin(request: BeginRequest): Promise<Begin>;
  complete(run: Run, result: Uint8Array, retentionMs: number): Promise<Completed>;
  release(run: Run, retryAfterMs: number, error: string): Promise<Ended>;
  renew(run: Run, leaseMs: number): Promise<Ended>;
  fail(run: Run, error: string, retentionMs: number): Promise<Ended>;
  loadStep(key: Buffer, generation: number, step: string): Promise<Buffer | null>;
  saveStep(run: Run, step: string, result: Uint8Array): Promise<Saved>;
}

/** A store that can also be looked into. */
export interface Ledger extends ClaimStore {
  /** Null where there is no record, or where it has expired. */
  lookup(key: Buffer): Promise<ClaimRecord | null>;
  /**
   * Removes at most `limit` expired records, and says how many. Each call may look through a part of the
   * records only. Nothing depends on it.
   */
  sweep(limit: number): Promise<number>;
}

/** The store cannot answer: nothing may be run on the strength of it. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}

/** Thrown by a handler: the event can never be handled, trying again is of no use. */
export class PermanentFailure extends Error {
  override readonly name = 'PermanentFailure';
}

/** Thrown by a handler: try again, not before so many milliseconds. */
export class RetryLater extends Error {
  override readonly name = 'RetryLater';

  constructor(
    message: string,
    readonly retryAfterMs: number,
  ) {
    super(message);
  }
}

/** Default of `attemptsMax`. */
export const ATTEMPTS_MAX = 8;

/** Default of how long a record is kept, in milliseconds: 30 days. */
export const RETENTION_MS = 30 * 24 * 60 * 60 * 1_000;

/** Longest error that is kept, in characters. */
const ERROR_LENGTH_MAX = 500;

/** The error as it is kept: bounded, and without characters that a text column refuses. */
export function errorText(error: string): string {
  return error.replaceAll('\u0000', '').toWellFormed().slice(0, ERROR_LENGTH_MAX).toWellFormed();
}
