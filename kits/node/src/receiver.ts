// One request from its bytes to its answer: verify, read the key, claim, run the handler once, keep
// its answer. The work is not bound to the connection: a client that hangs up stops nothing and
// frees nothing. Where the store cannot say whose turn it is, nothing is run.

import { randomBytes } from 'node:crypto';

import { answerFor, type AnswerPolicy, type Mode, type Situation } from './answers.js';
import { HookEvent, type Handler } from './event.js';
import { fingerprint } from './fingerprint.js';
import { scopeKey } from './keys.js';
import { parseLocation, type Location } from './locations.js';
import type { Notice, NoticeKind } from './notices.js';
import {
  ATTEMPTS_MAX,
  RETENTION_MS,
  Unavailable,
  type Begin,
  type BeginRequest,
  type ClaimStore,
  type Run,
} from './outcomes.js';
import type { Provider } from './providers.js';
import { HookRequest, type RequestParts } from './request.js';
import { decodeResult, encodeResult, type Answer } from './results.js';
import { failureOf, ended, type Ending } from './ending.js';
import { isTransactions, type Transactions } from './transactions.js';

/** How a receiver works. Spans are milliseconds. */
export interface ReceiverOptions<Tx = undefined> {
  readonly provider: Provider;
  /** Leased claims, or claims in the transaction of the work itself. */
  readonly store: ClaimStore | Transactions<Tx>;
  /** Default: the provider's name. */
  readonly source?: string;
  /** Whose event it is, where several customers share the route. Default: nobody's. */
  readonly tenant?: (request: HookRequest) => string;
  /** Which of your services this is, where several share the store. Default: none. */
  readonly consumer?: string;
  /** Locations of the key's parts. Default: the provider's. */
  readonly key?: readonly string[];
  /** Default `webhook`. */
  readonly mode?: Mode;
  /** After this the provider is told to come again, while the handler goes on. Default 20 s. */
  readonly deadlineMs?: number;
  /** Default: twice the deadline. Renewed while the handler runs within its deadline. */
  readonly leaseMs?: number;
  /** How long an event is remembered. Default 30 days; never below the provider's window. */
  readonly retentionMs?: number;
  /** An event that was tried so often is given up. Default 8. */
  readonly attemptsMax?: number;
  /** Webhook mode: how long a duplicate waits for the first to end. Default 3 s. */
  readonly waitMs?: number;
  /** When a failed event may be tried again. Default 1 s. */
  readonly retryAfterMs?: number;
  /** Default `reject` (400). `content` takes the body's fingerprint; `run` claims nothing. */
  readonly onMissingKey?: 'reject' | 'content' | 'run';
  /** Default `refuse` (503). `run` handles events without a claim while the store is away. */
  readonly onUnavailable?: 'refuse' | 'run';
  readonly onConflict?: AnswerPolicy['onConflict'];
  readonly conflictStatus?: AnswerPolicy['conflictStatus'];
  readonly onDead?: AnswerPolicy['onDead'];
  /** Longest body that is read. Default 1 MiB. */
  readonly bodyBytesMax?: number;
  /** Longest body of an answer that is kept for duplicates. Default 32 KiB. */
  readonly resultBytesMax?: number;
  /** Told of every transition; must not throw. */
  readonly notify?: (notice: Notice) => void;
  /** Milliseconds since 1970, for the age of signatures. Default `Date.now`. */
  readonly now?: () => number;
}

const KEY_PART_BYTES_MAX = 4_096;
const POLL_MS_MIN = 25;
const POLL_MS_MAX = 400;
const COMPLETE_TRIES_MAX = 6;

/** Receives one kind of webhook. Make it once; it holds no connection. */
export class Receiver<Tx = undefined> {
  /** Longest body that is read, in bytes. */
  readonly bodyBytesMax: number;
  private readonly options: ReceiverOptions<Tx>;
  private readonly policy: AnswerPolicy;
  private readonly key: readonly Location[];
  private readonly eventType: Location | null;
  private readonly deadlineMs: number;
  private readonly leaseMs: number;
  private readonly retentionMs: number;
  private readonly working = new Set<Promise<unknown>>();
  private stopping = false;

  constructor(options: ReceiverOptions<Tx>) {
    const { provider } = options;
    this.options = options;
    this.policy = {
      mode: options.mode ?? 'webhook',
      onConflict: options.onConflict ?? 'duplicate',
      conflictStatus: options.conflictStatus ?? 409,
      onDead: options.onDead ?? 'accept',
    };
    this.key = (options.key ?? provider.key).map(parseLocation);
    this.eventType = provider.eventType === null ? null : parseLocation(provider.eventType);
    this.deadlineMs = options.deadlineMs ?? 20_000;
    this.leaseMs = options.leaseMs ?? 2 * this.deadlineMs;
    this.retentionMs = options.retentionMs ?? RETENTION_MS;
    this.bodyBytesMax = options.bodyBytesMax ?? 1_048_576;
    if (this.key.length === 0) throw new TypeError('a key needs at least one location');
    if (this.retentionMs < provider.retryWindowMs) {
      throw new RangeError(
        `${provider.name} repeats an event for ${provider.retryWindowMs} ms, ` +
          `but it would be forgotten after ${this.retentionMs} ms`,
      );
    }
  }

  /** Handles one request. It never throws: every failure has its answer. */
  async receive(parts: RequestParts, handler: Handler<Tx>): Promise<Answer> {
    return answerFor(await this.situation(new HookRequest(parts), handler), this.policy);
  }

  /** Takes no more events, and waits until those under way have ended. */
  async drain(): Promise<void> {
    this.stopping = true;
    while (this.working.size > 0) await Promise.allSettled(this.working);
  }

  private async situation(request: HookRequest, handler: Handler<Tx>): Promise<Situation> {
    if (this.stopping) return { kind: 'unavailable' };
    if (request.body.length > this.bodyBytesMax) return { kind: 'too_large' };
    const now = this.options.now?.() ?? Date.now();
    const refusal = this.options.provider.verifier?.verify(request, now) ?? null;
    if (refusal !== null) return { kind: 'unverified', refusal };
    const eventType = this.eventType?.read(request) ?? null;
    const print = fingerprint(request.body, eventType, this.options.provider.fingerprintExclude);
    const parts = this.keyParts(request, print);
    if (parts === 'unusable') return { kind: 'no_key' };
    if (parts === 'unprotected') return this.unprotected(request, handler, 'the event has no key');
    const wanted: BeginRequest = {
      key: scopeKey(this.scopeOf(request), parts),
      fingerprint: print,
      leaseMs: this.leaseMs,
      attemptsMax: this.options.attemptsMax ?? ATTEMPTS_MAX,
      retentionMs: this.retentionMs,
      metadata: {
        provider: this.options.provider.name,
        receivedAtMs: now,
        ...(eventType === null ? {} : { eventType }),
      },
    };
    return this.claimed(wanted, request, handler);
  }

  private scopeOf(request: HookRequest): { tenant: string; source: string; consumer: string } {
    return {
      tenant: this.options.tenant?.(request) ?? '',
      source: this.options.source ?? this.options.provider.name,
      consumer: this.options.consumer ?? '',
    };
  }

  private keyParts(request: HookRequest, print: Buffer): string[] | 'unusable' | 'unprotected' {
    const parts: string[] = [];
    for (const location of this.key) {
      const part = location.read(request);
      if (part === null) return this.missingKey(print);
      if (Buffer.byteLength(part) > KEY_PART_BYTES_MAX) return 'unusable';
      parts.push(part);
    }
    return parts;
  }

  private missingKey(print: Buffer): string[] | 'unusable' | 'unprotected' {
    switch (this.options.onMissingKey ?? 'reject') {
      case 'reject':
        return 'unusable';
      case 'content':
        return ['content', print.toString('hex')];
      case 'run':
        return 'unprotected';
    }
  }

  private async claimed(
    wanted: BeginRequest,
    request: HookRequest,
    handler: Handler<Tx>,
  ): Promise<Situation> {
    try {
      const { store } = this.options;
      if (isTransactions(store)) return await this.transacted(store, wanted, request, handler);
      const begin = await this.beginOrWait(store, wanted);
      if (begin.outcome !== 'run') return this.notRun(begin, wanted.key);
      return await this.leased(store, begin, request, handler);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.notify('unavailable', wanted.key, error);
      if (this.options.onUnavailable !== 'run') return { kind: 'unavailable' };
      return this.unprotected(request, handler, 'the store is unavailable');
    }
  }

  /** Webhook mode waits for the first delivery to end, so that its answer can be repeated. */
  private async beginOrWait(store: ClaimStore, wanted: BeginRequest): Promise<Begin> {
    const until = performance.now() + (this.policy.mode === 'webhook' ? this.waitMs() : 0);
    let pause = POLL_MS_MIN;
    // One token for all tries: where an answer was lost, the claim is found to be our own.
    const request = { token: randomBytes(16).toString('hex'), ...wanted };
    for (;;) {
      const begin = await store.begin(request);
      if (begin.outcome !== 'busy' || performance.now() + pause > until || this.stopping) return begin;
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(2 * pause, POLL_MS_MAX);
    }
  }

  private waitMs(): number {
    return this.options.waitMs ?? 3_000;
  }

  private notRun(begin: Exclude<Begin, Run>, key: Buffer): Situation {
    switch (begin.outcome) {
      case 'done':
        this.notify('duplicate_completed', key);
        return { kind: 'duplicate', kept: decodeResult(begin.result) };
      case 'busy':
        this.notify('duplicate_in_flight', key);
        return { kind: 'in_progress', retryAfterMs: begin.retryAfterMs };
      case 'conflict':
        this.notify('payload_mismatch', key);
        return { kind: 'conflict' };
      case 'dead':
        this.notify('dead_again', key);
        return { kind: 'dead', error: begin.error };
    }
  }

  private async leased(
    store: ClaimStore,
    run: Run,
    request: HookRequest,
    handler: Handler<Tx>,
  ): Promise<Situation> {
    this.notify(run.attempt > 1 ? 'taken_over' : 'reserved', run.key);
    const stop = new AbortController();
    const event = new HookEvent<Tx>(request, run, store, undefined as Tx, stop.signal);
    const renewing = this.renewing(store, run, stop);
    const work = ended(handler, event).finally(() => clearInterval(renewing));
    const settled = this.track(work.then((ending) => this.settle(store, run, ending)));
    return this.withinDeadline(settled, stop, () => clearInterval(renewing));
  }

  /** Renews at a third of the lease; who is overtaken is told to stop. */
  private renewing(store: ClaimStore, run: Run, stop: AbortController): NodeJS.Timeout {
    const renew = async (): Promise<void> => {
      try {
        if ((await store.renew(run, this.leaseMs)) === 'ok' || stop.signal.aborted) return;
        this.notify('lease_lost', run.key);
        stop.abort(new Error('another delivery has taken the event over'));
      } catch (error) {
        this.notify('renew_failed', run.key, error);
      }
    };
    const timer = setInterval(() => void renew(), this.leaseMs / 3);
    timer.unref();
    return timer;
  }

  /** Past the deadline the provider is told to come again; the work goes on, and may still count. */
  private async withinDeadline(
    settled: Promise<Situation>,
    stop: AbortController,
    give: () => void,
  ): Promise<Situation> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Situation>((resolve) => {
      timer = setTimeout(() => {
        give();
        stop.abort(new Error('the deadline has passed'));
        resolve({ kind: 'in_progress', retryAfterMs: this.leaseMs });
      }, this.deadlineMs);
    });
    try {
      return await Promise.race([settled, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private async settle(store: ClaimStore, run: Run, ending: Ending): Promise<Situation> {
    switch (ending.kind) {
      case 'answered':
        if (this.isFinal(ending.answer)) return this.complete(store, run, ending.answer);
        if (isRefusal(ending.answer.status)) {
          return this.giveUp(store, run, `the handler answered ${ending.answer.status}`, ending.answer);
        }
        return this.release(
          store,
          run,
          `the handler answered ${ending.answer.status}`,
          retryAfterOf(ending.answer),
          ending.answer,
        );
      case 'permanent':
        return this.giveUp(store, run, ending.error, null);
      case 'retryable':
        return this.release(store, run, ending.error, ending.retryAfterMs, null);
    }
  }

  /** In API mode a refusal of the handler is an answer like any other, and is repeated. */
  private isFinal(answer: Answer): boolean {
    return answer.status < (this.policy.mode === 'api' ? 500 : 300);
  }

  /** The effect is there, so the answer is the handler's, whatever becomes of the record. */
  private async complete(store: ClaimStore, run: Run, answer: Answer): Promise<Situation> {
    const result = encodeResult(answer, this.options.resultBytesMax ?? 32_768);
    try {
      const completed = await store.complete(run, result, this.retentionMs);
      const kept = completed === 'applied' || completed === 'already_complete';
      this.notify(kept ? 'completed' : 'complete_fenced', run.key);
    } catch (error) {
      this.notify('complete_failed', run.key, error);
      void this.track(this.completeLater(store, run, result));
    }
    return { kind: 'processed', answer };
  }

  private async completeLater(store: ClaimStore, run: Run, result: Buffer): Promise<void> {
    for (let tries = 1; tries <= COMPLETE_TRIES_MAX; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50 * 2 ** tries));
      try {
        const completed = await store.complete(run, result, this.retentionMs);
        const kept = completed === 'applied' || completed === 'already_complete';
        return this.notify(kept ? 'completed' : 'complete_fenced', run.key);
      } catch (error) {
        this.notify('complete_failed', run.key, error);
      }
    }
  }

  private async release(
    store: ClaimStore,
    run: Run,
    error: string,
    after: number | null,
    answer: Answer | null,
  ): Promise<Situation> {
    const retryAfterMs = after ?? this.options.retryAfterMs ?? 1_000;
    try {
      const released = await store.release(run, retryAfterMs, error);
      if (released !== 'ok') return this.overtaken(run, error);
      this.notify('released', run.key, error);
    } catch (cause) {
      // The lease lapses by itself, and the event is taken over then.
      this.notify('release_failed', run.key, cause);
    }
    return { kind: 'failed', retryAfterMs, answer };
  }

  /** Somebody else has the event by now: their end of it decides. */
  private overtaken(run: Run, error: string): Situation {
    this.notify('lease_lost', run.key, error);
    return { kind: 'in_progress', retryAfterMs: this.leaseMs };
  }

  private async giveUp(
    store: ClaimStore,
    run: Run,
    error: string,
    answer: Answer | null,
  ): Promise<Situation> {
    try {
      const failed = await store.fail(run, error, this.retentionMs);
      if (failed !== 'ok') return this.overtaken(run, error);
      this.notify('dead', run.key, error);
    } catch (cause) {
      // Not written down: it comes again, and fails again.
      this.notify('release_failed', run.key, cause);
      return { kind: 'failed', retryAfterMs: this.leaseMs, answer: null };
    }
    return { kind: 'rejected', answer, error };
  }

  private async transacted(
    store: Transactions<Tx>,
    wanted: BeginRequest,
    request: HookRequest,
    handler: Handler<Tx>,
  ): Promise<Situation> {
    const stop = new AbortController();
    const settled = this.track(this.inTransaction(store, wanted, request, handler, stop.signal));
    return this.withinDeadline(settled, stop, () => undefined);
  }

  private async inTransaction(
    store: Transactions<Tx>,
    wanted: BeginRequest,
    request: HookRequest,
    handler: Handler<Tx>,
    signal: AbortSignal,
  ): Promise<Situation> {
    let answer: Answer | null = null;
    const waitMs = this.policy.mode === 'webhook' ? this.waitMs() : 0;
    try {
      const begin = await store.transact({ ...wanted, waitMs }, async (tx, run, steps) => {
        this.notify(run.attempt > 1 ? 'taken_over' : 'reserved', run.key);
        const event = new HookEvent<Tx>(request, run, steps, tx, signal);
        const ending = await ended(handler, event);
        // Anything but a final answer rolls back: an effect without its record must not be.
        if (ending.kind !== 'answered' || !this.isFinal(ending.answer)) throw new NotFinal(ending);
        answer = ending.answer;
        return encodeResult(answer, this.options.resultBytesMax ?? 32_768);
      });
      if (begin.outcome !== 'run') return this.notRun(begin, wanted.key);
      this.notify('completed', wanted.key);
      return { kind: 'processed', answer: answer! };
    } catch (error) {
      if (error instanceof Unavailable) throw error;
      const ending = error instanceof NotFinal ? error.ending : failureOf(error);
      return this.afterRollback(store.leased, wanted, ending);
    }
  }

  /** Nothing of the work is left: the failure is counted in a transaction of its own. */
  private async afterRollback(
    store: ClaimStore,
    wanted: BeginRequest,
    ending: Ending,
  ): Promise<Situation> {
    const begin = await store.begin(wanted);
    if (begin.outcome !== 'run') return this.notRun(begin, wanted.key);
    return this.settle(store, begin, ending);
  }

  private async unprotected(
    request: HookRequest,
    handler: Handler<Tx>,
    why: string,
  ): Promise<Situation> {
    this.notify('ran_unprotected', null, why);
    const { store } = this.options;
    if (isTransactions(store)) return { kind: 'unavailable' };
    const event = new HookEvent<Tx>(request, null, null, undefined as Tx, new AbortController().signal);
    const ending = await this.track(ended(handler, event));
    if (ending.kind === 'answered') return { kind: 'processed', answer: ending.answer };
    const retryAfterMs = this.options.retryAfterMs ?? 1_000;
    if (ending.kind === 'retryable') return { kind: 'failed', retryAfterMs, answer: null };
    return { kind: 'rejected', answer: null, error: ending.error };
  }

  private track<T>(work: Promise<T>): Promise<T> {
    this.working.add(work);
    const done = (): void => void this.working.delete(work);
    work.then(done, done);
    return work;
  }

  private notify(kind: NoticeKind, key: Buffer | null, cause?: unknown): void {
    this.options.notify?.({ kind, key, ...(cause === undefined ? {} : { cause }) });
  }
}

/** Whether the handler said that the event can never be handled. */
function isRefusal(status: number): boolean {
  return status >= 400 && status <= 499 && ![408, 409, 425, 429].includes(status);
}

/** What the handler's own `Retry-After` says, where it is a number of seconds. */
function retryAfterOf(answer: Answer): number | null {
  const text = answer.headers['retry-after'] ?? '';
  return /^[0-9]{1,6}$/.test(text) ? Number(text) * 1_000 : null;
}

/** Carries a handler's ending out of a transaction that must roll back. */
class NotFinal extends Error {
  /** The database's word, where it was the database: it may ask for the transaction again. */
  readonly code: unknown;

  constructor(readonly ending: Ending) {
    super('the handler did not end with a final answer');
    const cause = ending.kind === 'retryable' ? ending.cause : null;
    this.code = (cause as { code?: unknown } | null)?.code;
  }
}
