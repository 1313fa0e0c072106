// What a handler is given: the event, its bytes, and steps that a repeated run does not repeat.

import { randomBytes } from 'node:crypto';

import { stepKey } from './keys.js';
import type { ClaimStore, Run } from './outcomes.js';
import type { HookRequest } from './request.js';

/** Where steps are kept: the store, or the transaction of the work. */
export type Steps = Pick<ClaimStore, 'loadStep' | 'saveStep'>;

/**
 * Handles one event and returns nothing (200), an answer, or a `Response`. An error, or a status
 * of 500 and above, makes the event come again; `PermanentFailure` and other statuses of 400 and
 * above give it up.
 */
export type Handler<Tx = undefined> = (event: HookEvent<Tx>) => unknown;

/** One event, verified and claimed. */
export class HookEvent<Tx = undefined> {
  /** Counts from 1. */
  readonly attempt: number;
  /** The claimed key in hex; null where the event is handled without a claim. */
  readonly key: string | null;

  constructor(
    readonly request: HookRequest,
    private readonly run: Run | null,
    private readonly steps: Steps | null,
    /** The transaction that holds the claim: do the work in it. Undefined in leased mode. */
    readonly tx: Tx,
    /** Aborted when the deadline has passed or another delivery has taken over. */
    readonly signal: AbortSignal,
  ) {
    this.attempt = run?.attempt ?? 1;
    this.key = run?.key.toString('hex') ?? null;
  }

  /** The raw body. */
  get body(): Buffer {
    return this.request.body;
  }

  /** The body as JSON. Throws where it is none. */
  json<T = unknown>(): T {
    return JSON.parse(this.request.body.toString('utf8')) as T;
  }

  /** A header's value, or null. */
  header(name: string): string | null {
    return this.request.header(name);
  }

  /**
   * Does one step of the work and keeps what it returns (as JSON), so that a later run of the same
   * event goes on behind it. `work` gets a key for the service that it calls: the same in every
   * run, so that a step which was done but not kept is recognised there.
   */
  async step<T>(name: string, work: (key: string) => Promise<T> | T): Promise<T> {
    const { run, steps } = this;
    if (run === null || steps === null) return work(randomBytes(32).toString('hex'));
    const kept = await steps.loadStep(run.key, run.generation, name);
    if (kept !== null) return JSON.parse(kept.toString('utf8')) as T;
    this.signal.throwIfAborted();
    const value = await work(stepKey(run.key, name, run.generation).toString('hex'));
    const saved = await steps.saveStep(run, name, Buffer.from(JSON.stringify(value ?? null)));
    if (saved === 'fenced') throw new Error('another delivery has taken the event over');
    return value;
  }
}
