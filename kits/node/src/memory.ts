// Claims in this process's memory: for tests, and for nothing that must survive a restart. It is
// also the shortest complete statement of what the other stores do in SQL and in Lua.

import { randomBytes } from 'node:crypto';

import {
  ATTEMPTS_MAX,
  RETENTION_MS,
  errorText,
  type Begin,
  type BeginRequest,
  type ClaimRecord,
  type ClaimState,
    type Completed,
  type Ended,
  type Ledger,
  type Metadata,
  type Run,
  type Saved,
} from './outcomes.js';

interface Row {
  state: ClaimState;
  token: string;
  fingerprint: Buffer;
  attempt: number;
  generation: number;
  metadata: Metadata;
  result: Buffer | null;
  error: string | null;
  /** End of the lease, or the time from which a released key may be run again. */
  leaseUntil: number;
  /** End of the retention of a completed or dead row. */
  expiresAt: number;
}

/** How the memory is bounded and timed. */
export interface MemoryOptions {
  /** Rows at most; a new key is refused beyond it, for none may be evicted. Default 100,000. */
  readonly rowsMax?: number;
  /** Milliseconds that only grow. Default: the process's monotonic clock. */
  readonly now?: () => number;
}

/** Claims in memory. They end with the process. */
export class MemoryStore implements Ledger {
  private readonly rows = new Map<string, Row>();
  private readonly steps = new Map<string, Buffer>();
  private readonly rowsMax: number;
  private readonly now: () => number;

  constructor(options: MemoryOptions = {}) {
    this.rowsMax = options.rowsMax ?? 100_000;
    this.now = options.now ?? (() => performance.now());
  }

  async begin(request: BeginRequest): Promise<Begin> {
    const id = request.key.toString('hex');
    const token = request.token ?? randomBytes(16).toString('hex');
    const row = this.live(id);
    if (row === undefined) return this.insert(id, request, token);
    if (!row.fingerprint.equals(request.fingerprint)) return { outcome: 'conflict', state: row.state };
    switch (row.state) {
      case 'completed':
      case 'dead':
        if (request.force === true) return this.again(request, row, token);
        return row.state === 'completed'
          ? { outcome: 'done', result: row.result ?? Buffer.alloc(0) }
          : { outcome: 'dead', error: row.error };
      case 'processing':
      case 'released':
        return this.takeOver(request, row, token);
    }
  }

  async complete(run: Run, result: Uint8Array, retentionMs: number): Promise<Completed> {
    const row = this.live(run.key.toString('hex'));
    if (row === undefined) return 'gone';
    if (row.token !== run.token || row.state === 'released' || row.state === 'dead') return 'fenced';
    if (row.state === 'completed') return 'already_complete';
    row.state = 'completed';
    row.result = Buffer.from(result);
    row.expiresAt = this.now() + retentionMs;
    return 'applied';
  }

  async release(run: Run, retryAfterMs: number, error: string): Promise<Ended> {
    const row = this.owned(run);
    if (row === null) return 'fenced';
    row.state = 'released';
    row.token = randomBytes(16).toString('hex');
    row.error = errorText(error);
    row.leaseUntil = this.now() + retryAfterMs;
    return 'ok';
  }

  async renew(run: Run, leaseMs: number): Promise<Ended> {
    const row = this.owned(run);
    if (row === null) return 'fenced';
    row.leaseUntil = this.now() + leaseMs;
    return 'ok';
  }

  async fail(run: Run, error: string, retentionMs: number): Promise<Ended> {
    const row = this.owned(run);
    if (row === null) return 'fenced';
    this.bury(row, errorText(error), retentionMs);
    return 'ok';
  }

  async lookup(key: Buffer): Promise<ClaimRecord | null> {
    const row = this.live(key.toString('hex'));
    if (row === undefined) return null;
    const { state, attempt, generation, metadata, result, error } = row;
    return { state, attempt, generation, metadata, result, error };
  }

  async sweep(limit: number): Promise<number> {
    let swept = 0;
    for (const [id, row] of this.rows) {
      if (swept === limit) break;
      if (this.expired(row)) {
        this.remove(id);
        swept += 1;
      }
    }
    return swept;
  }

  async loadStep(key: Buffer, generation: number, step: string): Promise<Buffer | null> {
    return this.steps.get(stepId(key, generation, step)) ?? null;
  }

  async saveStep(run: Run, step: string, result: Uint8Array): Promise<Saved> {
    if (this.owned(run) === null) return 'fenced';
    const id = stepId(run.key, run.generation, step);
    if (!this.steps.has(id)) this.steps.set(id, Buffer.from(result));
    return 'saved';
  }

  private insert(id: string, request: BeginRequest, token: string): Begin {
    this.remove(id);
    if (this.rows.size >= this.rowsMax) void this.sweep(this.rowsMax);
    if (this.rows.size >= this.rowsMax) return { outcome: 'busy', retryAfterMs: 1_000 };
    const row: Row = {
      state: 'processing',
      token,
      fingerprint: Buffer.from(request.fingerprint),
      attempt: 1,
      generation: 1,
      metadata: request.metadata ?? {},
      result: null,
      error: null,
      leaseUntil: this.now() + request.leaseMs,
      expiresAt: Infinity,
    };
    this.rows.set(id, row);
    return runOf(request, row);
  }

  private takeOver(request: BeginRequest, row: Row, token: string): Begin {
    if (row.state === 'processing' && row.token === token) return this.own(request, row, token);
    const remaining = row.leaseUntil - this.now();
    if (remaining > 0) return { outcome: 'busy', retryAfterMs: Math.ceil(remaining) };
    if (row.attempt >= (request.attemptsMax ?? ATTEMPTS_MAX)) {
      const why = row.error === null ? '' : `: ${row.error}`;
      const error = `gave up after ${row.attempt} attempts${why}`;
      this.bury(row, error, request.retentionMs ?? RETENTION_MS);
      return { outcome: 'dead', error: row.error };
    }
    row.attempt += 1;
    return this.own(request, row, token);
  }

  private again(request: BeginRequest, row: Row, token: string): Begin {
    row.attempt = 1;
    row.generation += 1;
    row.result = null;
    return this.own(request, row, token);
  }

  private own(request: BeginRequest, row: Row, token: string): Begin {
    row.error = null;
    row.state = 'processing';
    row.token = token;
    row.leaseUntil = this.now() + request.leaseMs;
    row.expiresAt = Infinity;
    return runOf(request, row);
  }

  private bury(row: Row, error: string, retentionMs: number): void {
    row.state = 'dead';
    row.token = randomBytes(16).toString('hex');
    row.error = error;
    row.expiresAt = this.now() + retentionMs;
  }

  /** The row whose running claim this is. */
  private owned(run: Run): Row | null {
    const row = this.rows.get(run.key.toString('hex'));
    return row?.state === 'processing' && row.token === run.token ? row : null;
  }

  private live(id: string): Row | undefined {
    const row = this.rows.get(id);
    return row === undefined || this.expired(row) ? undefined : row;
  }

  private expired(row: Row): boolean {
    return row.expiresAt <= this.now();
  }

  private remove(id: string): void {
    const row = this.rows.get(id);
    if (row === undefined) return;
    this.rows.delete(id);
    for (const step of this.steps.keys()) if (step.startsWith(id)) this.steps.delete(step);
  }
}

function stepId(key: Buffer, generation: number, step: string): string {
  return `${key.toString('hex')}:${generation}:${step}`;
}

function runOf(request: BeginRequest, row: Row): Run {
  const { token, attempt, generation } = row;
  return { outcome: 'run', key: request.key, token, attempt, generation };
}
