// Claims in PostgreSQL: leased, or in the transaction of the work itself, which makes record and
// effect one commit. The server's clock decides; durable as the server's `synchronous_commit` is.

import { randomBytes } from 'node:crypto';

import { bounded } from './bounded.js';
import type { Steps } from './event.js';
import {
  ATTEMPTS_MAX,
  RETENTION_MS,
  Unavailable,
  errorText,
  type Begin,
  type BeginRequest,
  type ClaimRecord,
  type ClaimState,
  type Completed,
  type Ended,
  type Ledger,
  type Run,
  type Saved,
} from './outcomes.js';
import { shipped } from './shipped.js';
import type { Transactions, TransactRequest } from './transactions.js';

/** What runs a statement: a client or a pool of the package `pg`. */
export interface PgQueryable {
  query(text: string, values?: unknown[]): Promise<{ rows: any[]; rowCount: number | null }>;
}

/** A client of a pool. */
export interface PgClient extends PgQueryable {
  release(destroy?: boolean): void;
}

/** A pool of the package `pg`. */
export interface PgPool extends PgQueryable {
  connect(): Promise<PgClient>;
}

/** The tables, which kits in every language share. Running it again changes nothing. */
export const SCHEMA = shipped('sql/postgres.sql');

const CLAIM = shipped('sql/postgres_claim.sql');
/** A claim is as durable as whatever else is written on the connection. */
const DURABILITY_AS_SET = '';

const READ = `
SELECT state, token, fingerprint, attempt, generation, provider, event_type, result, error,
       extract(epoch FROM received_at) * 1000 AS received_at_ms,
       coalesce(expires_at <= clock_timestamp(), false) AS expired,
       ceil(extract(epoch FROM lease_until - clock_timestamp()) * 1000) AS remaining_ms
FROM hooklatch_claims WHERE key = $1`;

const BURY = `
UPDATE hooklatch_claims SET state = 4, error = $3, lease_until = NULL,
       expires_at = clock_timestamp() + $4::bigint * interval '1 millisecond'
WHERE key = $1 AND token = $2 AND state IN (1, 3) AND lease_until <= clock_timestamp()`;

const COMPLETE = `
UPDATE hooklatch_claims SET state = 2, result = $3, error = NULL, lease_until = NULL,
       expires_at = clock_timestamp() + $4::bigint * interval '1 millisecond'
WHERE key = $1 AND token = $2 AND state = 1`;

const RELEASE = `
UPDATE hooklatch_claims SET state = 3, token = $3, error = $4,
       lease_until = clock_timestamp() + $5::bigint * interval '1 millisecond'
WHERE key = $1 AND token = $2 AND state = 1`;

const RENEW = `
UPDATE hooklatch_claims
SET lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
WHERE key = $1 AND token = $2 AND state = 1`;

const FAIL = `
UPDATE hooklatch_claims SET state = 4, error = $3, lease_until = NULL,
       expires_at = clock_timestamp() + $4::bigint * interval '1 millisecond'
WHERE key = $1 AND token = $2 AND state = 1`;

// Looks through 4,096 pages, which are chosen by chance where there are more: there is no index to find
// what has expired by. Records that nobody has completed are passed over.
const SWEEP = `
WITH place AS MATERIALIZED (
  SELECT 4096 * floor(random() * ceil(GREATEST(1, pg_relation_size('hooklatch_claims')
    / current_setting('block_size')::bigint) / 4096.0))::bigint AS page
), expired AS (
  SELECT key FROM hooklatch_claims
  WHERE ctid >= (SELECT '(' || page || ',0)' FROM place)::tid
    AND ctid < (SELECT '(' || page + 4096 || ',0)' FROM place)::tid
    AND state IN (2, 4) AND expires_at <= (SELECT clock_timestamp())
  LIMIT $1 FOR UPDATE SKIP LOCKED
), swept AS (
  DELETE FROM hooklatch_claims USING expired WHERE hooklatch_claims.key = expired.key
  RETURNING hooklatch_claims.key, hooklatch_claims.epoch
), steps AS (
  DELETE FROM hooklatch_steps USING swept
  WHERE hooklatch_steps.key = swept.key AND hooklatch_steps.epoch <= swept.epoch
)
SELECT count(*)::integer AS swept FROM swept`;

const LOAD_STEP = `
SELECT step.result FROM hooklatch_steps AS step
JOIN hooklatch_claims AS held ON held.key = step.key AND held.epoch = step.epoch
WHERE step.key = $1 AND step.generation = $2 AND step.step = $3`;

const SAVE_STEP = `
WITH own AS (
  SELECT key, epoch, generation FROM hooklatch_claims
  WHERE key = $1 AND token = $2 AND state = 1 FOR UPDATE
), saved AS (
  INSERT INTO hooklatch_steps (key, epoch, generation, step, result)
  SELECT key, epoch, generation, $3, $4 FROM own ON CONFLICT DO NOTHING
)
SELECT count(*)::integer AS own FROM own`;

const STATES: Record<number, ClaimState> = { 1: 'processing', 2: 'completed', 3: 'released', 4: 'dead' };
const CLAIM_TRIES_MAX = 3;
const TRANSACTION_TRIES_MAX = 3;
const LOCK_NOT_AVAILABLE = '55P03';
const TRY_AGAIN = ['40001', '40P01'];

/** The statements, on whatever connection they are given. */
class Statements {
  async begin(db: PgQueryable, request: BeginRequest, token: Buffer): Promise<Begin> {
    for (let tries = 1; tries <= CLAIM_TRIES_MAX; tries += 1) {
      const claimed = await this.claim(db, request, token);
      if (claimed !== null) return claimed;
      const refused = await this.refusal(db, request);
      if (refused !== null) return refused;
    }
    // It changed under our eyes each time: others are at work on it.
    return { outcome: 'busy', retryAfterMs: 1_000 };
  }

  async complete(db: PgQueryable, run: Run, result: Uint8Array, ms: number): Promise<Completed> {
    const token = Buffer.from(run.token, 'hex');
    const { rowCount } = await db.query(COMPLETE, [run.key, token, Buffer.from(result), ms]);
    if (rowCount === 1) return 'applied';
    const { rows } = await db.query(READ, [run.key]);
    if (rows[0] === undefined) return 'gone';
    return rows[0].state === 2 && rows[0].token.equals(token) ? 'already_complete' : 'fenced';
  }

  async loadStep(db: PgQueryable, key: Buffer, generation: number, step: string): Promise<Buffer | null> {
    const { rows } = await db.query(LOAD_STEP, [key, generation, step]);
    return rows[0]?.result ?? null;
  }

  async saveStep(db: PgQueryable, run: Run, step: string, result: Uint8Array): Promise<Saved> {
    const values = [run.key, Buffer.from(run.token, 'hex'), step, Buffer.from(result)];
    const { rows } = await db.query(SAVE_STEP, values);
    return rows[0].own === 1 ? 'saved' : 'fenced';
  }

  private async claim(db: PgQueryable, request: BeginRequest, token: Buffer): Promise<Run | null> {
    const { provider = '', eventType = '', receivedAtMs = null } = request.metadata ?? {};
    const attemptsMax = request.attemptsMax ?? ATTEMPTS_MAX;
    const leaseMs = Math.ceil(request.leaseMs);
    const force = request.force ?? false;
    const { rows } = await db.query(CLAIM, [
      request.key, token, request.fingerprint, leaseMs, attemptsMax, force,
      plain(provider), plain(eventType), receivedAtMs, DURABILITY_AS_SET,
    ]);
    if (rows[0] === undefined) return null;
    const { attempt, generation } = rows[0];
    return { outcome: 'run', key: request.key, token: token.toString('hex'), attempt, generation };
  }

  /** Why there was nothing to claim; null where it must be tried again. */
  private async refusal(db: PgQueryable, request: BeginRequest): Promise<Begin | null> {
    const { rows } = await db.query(READ, [request.key]);
    const row = rows[0];
    if (row === undefined || row.expired) return null;
    if (!row.fingerprint.equals(request.fingerprint)) {
      return { outcome: 'conflict', state: STATES[row.state]! };
    }
    if (row.state === 2) return { outcome: 'done', result: row.result ?? Buffer.alloc(0) };
    if (row.state === 4) return { outcome: 'dead', error: row.error };
    const remaining = Number(row.remaining_ms);
    if (remaining > 0) return { outcome: 'busy', retryAfterMs: remaining };
    if (row.attempt < (request.attemptsMax ?? ATTEMPTS_MAX)) return null;
    const error = gaveUp(row.attempt, row.error);
    const values = [request.key, row.token, error, request.retentionMs ?? RETENTION_MS];
    const { rowCount } = await db.query(BURY, values);
    return rowCount === 1 ? { outcome: 'dead', error } : null;
  }
}

const statements = new Statements();

/** How long to wait for the server. */
export interface PostgresOptions {
  /** Default 5 s. */
  readonly timeoutMs?: number;
}

/** Leased claims: no event is lost; an outside effect may be repeated after a crash (see steps). */
export class PostgresStore implements Ledger {
  private readonly timeoutMs: number;

  constructor(
    private readonly pool: PgPool,
    options: PostgresOptions = {},
  ) {
    this.timeoutMs = options.timeoutMs ?? 5_000;
  }

  /** Makes the tables where they are not there yet. Safe from many processes at once. */
  async migrate(): Promise<void> {
    // Two at once would both find no table, and one would fail. Sent together, the statements are
    // one transaction.
    await this.pool.query(`SELECT pg_advisory_xact_lock(7236273991); ${SCHEMA}`);
  }

  begin(request: BeginRequest): Promise<Begin> {
    const token = tokenOf(request);
    return this.asked(() => statements.begin(this.pool, request, token));
  }

  complete(run: Run, result: Uint8Array, retentionMs: number): Promise<Completed> {
    return this.asked(() => statements.complete(this.pool, run, result, retentionMs));
  }

  release(run: Run, retryAfterMs: number, error: string): Promise<Ended> {
    return this.ended(RELEASE, run, randomBytes(16), errorText(error), Math.ceil(retryAfterMs));
  }

  renew(run: Run, leaseMs: number): Promise<Ended> {
    return this.ended(RENEW, run, Math.ceil(leaseMs));
  }

  fail(run: Run, error: string, retentionMs: number): Promise<Ended> {
    return this.ended(FAIL, run, errorText(error), retentionMs);
  }

  async lookup(key: Buffer): Promise<ClaimRecord | null> {
    const { rows } = await this.asked(() => this.pool.query(READ, [key]));
    return rows[0] === undefined || rows[0].expired ? null : recordOf(rows[0]);
  }

  async sweep(limit: number): Promise<number> {
    const { rows } = await this.asked(() => this.pool.query(SWEEP, [limit]));
    return rows[0].swept;
  }

  loadStep(key: Buffer, generation: number, step: string): Promise<Buffer | null> {
    return this.asked(() => statements.loadStep(this.pool, key, generation, step));
  }

  saveStep(run: Run, step: string, result: Uint8Array): Promise<Saved> {
    return this.asked(() => statements.saveStep(this.pool, run, step, result));
  }

  private async ended(statement: string, run: Run, ...values: unknown[]): Promise<Ended> {
    const token = Buffer.from(run.token, 'hex');
    const { rowCount } = await this.asked(() => this.pool.query(statement, [run.key, token, ...values]));
    return rowCount === 1 ? 'ok' : 'fenced';
  }

  private asked<T>(work: () => Promise<T>): Promise<T> {
    return bounded('PostgreSQL', this.timeoutMs, work());
  }
}

/**
 * Begins in a transaction of yours. After `Run` do the work on the same client, then `completeIn`,
 * then commit: the effect is there exactly once. Any other outcome leaves the transaction usable
 * and changes nothing, but for a key that is found dead. Waits `waitMs` for a transaction that
 * holds the key, then says `Busy`.
 */
export async function beginIn(db: PgQueryable, request: TransactRequest): Promise<Begin> {
  const before = 'SELECT current_setting(\'lock_timeout\') AS was, set_config(\'lock_timeout\', $1, true)';
  await db.query('SAVEPOINT hooklatch_begin');
  const { rows } = await db.query(before, [lockTimeout(request.waitMs)]);
  try {
    const begin = await statements.begin(db, request, tokenOf(request));
    await db.query('RELEASE SAVEPOINT hooklatch_begin');
    await db.query("SELECT set_config('lock_timeout', $1, true)", [rows[0].was]);
    return begin;
  } catch (error) {
    if (codeOf(error) !== LOCK_NOT_AVAILABLE) throw error;
    await db.query('ROLLBACK TO SAVEPOINT hooklatch_begin');
    await db.query('RELEASE SAVEPOINT hooklatch_begin');
    return { outcome: 'busy', retryAfterMs: 1_000 };
  }
}

/** Completes in the transaction that `beginIn` was called in. Throws where the claim is lost. */
export async function completeIn(
  db: PgQueryable,
  run: Run,
  result: Uint8Array,
  retentionMs: number = RETENTION_MS,
): Promise<void> {
  const completed = await statements.complete(db, run, result, retentionMs);
  if (completed !== 'applied') throw new Error(`the claim is lost: ${completed}`);
}

/**
 * `Done` where the work broke your own unique constraint `name`, and else what it gave, without a
 * table of ours: for effects that carry the event's id in a unique column. Runs in a transaction
 * of yours, which stays usable.
 */
export async function onceByConstraint<T>(
  db: PgQueryable,
  name: string,
  work: () => Promise<T>,
): Promise<{ outcome: 'run'; value: T } | { outcome: 'done' }> {
  await db.query('SAVEPOINT hooklatch_once');
  try {
    const value = await work();
    await db.query('RELEASE SAVEPOINT hooklatch_once');
    return { outcome: 'run', value };
  } catch (error) {
    await db.query('ROLLBACK TO SAVEPOINT hooklatch_once');
    await db.query('RELEASE SAVEPOINT hooklatch_once');
    const { code, constraint } = error as { code?: string; constraint?: string };
    if (code === '23505' && constraint === name) return { outcome: 'done' };
    throw error;
  }
}

/** The limits of a transaction. */
export interface TransactionOptions extends PostgresOptions {
  /** A statement is ended after so long: a dead client must not hold the key. Default 30 s. */
  readonly statementTimeoutMs?: number;
  /** A transaction in which nothing happens is ended after so long. Default 60 s. */
  readonly idleTimeoutMs?: number;
}

/** Claim, effect and result in one transaction: the effect in this database is exactly once. */
export class PostgresTransactions<Client extends PgClient = PgClient> implements Transactions<Client> {
  readonly leased: PostgresStore;
  private readonly timeoutMs: number;
  private readonly start: string;

  constructor(
    private readonly pool: PgPool,
    options: TransactionOptions = {},
  ) {
    this.leased = new PostgresStore(pool, options);
    this.timeoutMs = options.timeoutMs ?? 5_000;
    this.start =
      'BEGIN ISOLATION LEVEL READ COMMITTED; ' +
      `SET LOCAL statement_timeout = ${whole(options.statementTimeoutMs ?? 30_000)}; ` +
      `SET LOCAL idle_in_transaction_session_timeout = ${whole(options.idleTimeoutMs ?? 60_000)}; `;
  }

  async transact(
    request: TransactRequest,
    work: (tx: Client, run: Run, steps: Steps) => Promise<Uint8Array>,
  ): Promise<Begin> {
    for (let tries = 1; ; tries += 1) {
      const client = await bounded('PostgreSQL', this.timeoutMs, this.pool.connect());
      let broken = true;
      try {
        const begin = await this.once(client as Client, request, work);
        broken = false;
        return begin;
      } catch (error) {
        broken = !(await rolledBack(client));
        if (!TRY_AGAIN.includes(codeOf(error)) || tries === TRANSACTION_TRIES_MAX) throw error;
      } finally {
        client.release(broken);
      }
    }
  }

  private async once(
    client: Client,
    request: TransactRequest,
    work: (tx: Client, run: Run, steps: Steps) => Promise<Uint8Array>,
  ): Promise<Begin> {
    const begin = await this.beginOn(client, request);
    if (begin.outcome !== 'run') {
      // A key that was found dead is written down.
      await unlessBroken(client.query(begin.outcome === 'dead' ? 'COMMIT' : 'ROLLBACK'));
      return begin;
    }
    const steps: Steps = {
      loadStep: (key, generation, step) => statements.loadStep(client, key, generation, step),
      saveStep: (run, step, result) => statements.saveStep(client, run, step, result),
    };
    const result = await work(client, begin, steps);
    await completeIn(client, begin, result, request.retentionMs ?? RETENTION_MS);
    await this.commit(client, begin);
    return begin;
  }

  private async beginOn(client: Client, request: TransactRequest): Promise<Begin> {
    try {
      await client.query(`${this.start} SET LOCAL lock_timeout = '${lockTimeout(request.waitMs)}'`);
      const begin = await statements.begin(client, request, tokenOf(request));
      await client.query('SET LOCAL lock_timeout = DEFAULT');
      return begin;
    } catch (error) {
      if (codeOf(error) === LOCK_NOT_AVAILABLE) return { outcome: 'busy', retryAfterMs: 1_000 };
      if (TRY_AGAIN.includes(codeOf(error))) throw error;
      throw new Unavailable('PostgreSQL is unavailable', { cause: error });
    }
  }

  /** Where the answer to COMMIT is lost, the record says whether it happened. */
  private async commit(client: Client, run: Run): Promise<void> {
    try {
      await client.query('COMMIT');
    } catch (error) {
      if (TRY_AGAIN.includes(codeOf(error))) throw error;
      const again = await this.leased.complete(run, Buffer.alloc(0), RETENTION_MS);
      if (again !== 'already_complete') {
        throw new Unavailable('PostgreSQL did not commit', { cause: error });
      }
    }
  }
}

async function rolledBack(client: PgClient): Promise<boolean> {
  try {
    await client.query('ROLLBACK');
    return true;
  } catch {
    return false;
  }
}

function unlessBroken<T>(query: Promise<T>): Promise<T> {
  return query.catch((cause: unknown) => {
    throw new Unavailable('PostgreSQL is unavailable', { cause });
  });
}

function recordOf(row: any): ClaimRecord {
  return {
    state: STATES[row.state]!,
    attempt: row.attempt,
    generation: row.generation,
    metadata: {
      provider: row.provider,
      eventType: row.event_type,
      ...(row.received_at_ms === null ? {} : { receivedAtMs: Number(row.received_at_ms) }),
    },
    result: row.result,
    error: row.error,
  };
}

function tokenOf(request: BeginRequest): Buffer {
  return request.token === undefined ? randomBytes(16) : Buffer.from(request.token, 'hex');
}

function gaveUp(attempts: number, error: string | null): string {
  const text = `gave up after ${attempts} attempts`;
  return error === null || error === '' ? text : `${text}: ${error}`;
}

/** 0 would wait for ever. */
function lockTimeout(waitMs: number): string {
  return `${Math.max(1, whole(waitMs))}ms`;
}

function whole(ms: number): number {
  if (!Number.isFinite(ms) || ms < 0) throw new RangeError(`${ms} is no span in milliseconds`);
  return Math.ceil(ms);
}

/** Text columns refuse NUL. */
function plain(text: string): string {
  return text.replaceAll('\u0000', '').slice(0, 255);
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}
