// Claims in Redis or Valkey, through the package `redis`. Effectively once while the primary lives:
// a failover, an eviction, a flush or a restart without an append-only file can forget claims. Set
// `maxmemory-policy noeviction`, so that a full server refuses instead of forgetting.

import { createHash, randomBytes } from 'node:crypto';

import { bounded } from './bounded.js';
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

/** A connected client of the package `redis`, version 5 or later. */
export interface RedisClient {
  sendCommand(args: (string | Buffer)[], options?: object): Promise<any>;
}

/** How claims are kept in Redis. */
export interface RedisOptions {
  /** Stands before every key. Default `hooklatch:claim:`. */
  readonly prefix?: string;
  /** How long to wait for the server. Default 2 s. */
  readonly timeoutMs?: number;
  /**
   * A claim counts only once so many replicas have it, else it is released again: this finds a
   * failing primary, and does not prevent a loss. Default 0.
   */
  readonly replicasAckedMin?: number;
}

interface Script {
  readonly text: string;
  readonly sha: string;
}

const CLAIM = script('claim');
const COMPLETE = script('complete');
const RELEASE = script('release');
const RENEW = script('renew');
const FAIL = script('fail');
const SAVE_STEP = script('save_step');
const LOAD_STEP = script('load_step');
const LOOKUP = script('lookup');

const STATES: Record<string, ClaimState> = { 1: 'processing', 2: 'completed', 3: 'released', 4: 'dead' };
const REPLICAS_TIMEOUT_MS = 300;
/** Answers as bytes: a result need not be text. */
const AS_BYTES = { typeMapping: { 36: Buffer } };

/** Leased claims in Redis. */
export class RedisStore implements Ledger {
  private readonly prefix: string;
  private readonly timeoutMs: number;
  private readonly replicasAckedMin: number;

  constructor(
    private readonly client: RedisClient,
    options: RedisOptions = {},
  ) {
    this.prefix = options.prefix ?? 'hooklatch:claim:';
    this.timeoutMs = options.timeoutMs ?? 2_000;
    this.replicasAckedMin = options.replicasAckedMin ?? 0;
  }

  async begin(request: BeginRequest): Promise<Begin> {
    const token = request.token ?? randomBytes(16).toString('hex');
    const { provider = '', eventType = '', receivedAtMs = '' } = request.metadata ?? {};
    const answer: Buffer[] = await this.evaluate(CLAIM, request.key, [
      token, request.fingerprint.toString('hex'), ms(request.leaseMs),
      String(request.attemptsMax ?? ATTEMPTS_MAX), ms(request.retentionMs ?? RETENTION_MS),
      request.force === true ? '1' : '', provider, eventType, String(receivedAtMs),
    ]);
    const begin = beginOf(answer, request.key, token);
    if (begin.outcome === 'run') await this.replicated(begin);
    return begin;
  }

  async complete(run: Run, result: Uint8Array, retentionMs: number): Promise<Completed> {
    return word(await this.evaluate(COMPLETE, run.key, [run.token, Buffer.from(result), ms(retentionMs)]));
  }

  async release(run: Run, retryAfterMs: number, error: string): Promise<Ended> {
    const next = randomBytes(16).toString('hex');
    return word(await this.evaluate(RELEASE, run.key, [run.token, next, ms(retryAfterMs), errorText(error)]));
  }

  async renew(run: Run, leaseMs: number): Promise<Ended> {
    return word(await this.evaluate(RENEW, run.key, [run.token, ms(leaseMs)]));
  }

  async fail(run: Run, error: string, retentionMs: number): Promise<Ended> {
    return word(await this.evaluate(FAIL, run.key, [run.token, errorText(error), ms(retentionMs)]));
  }

  async lookup(key: Buffer): Promise<ClaimRecord | null> {
    const found: (Buffer | null)[] | null = await this.evaluate(LOOKUP, key, []);
    if (!found) return null;
    const [state, attempt, generation, provider, eventType, received, result, error] = found;
    return {
      state: STATES[text(state)]!,
      attempt: Number(text(attempt)),
      generation: Number(text(generation)),
      metadata: {
        provider: text(provider),
        eventType: text(eventType),
        ...(text(received) === '' ? {} : { receivedAtMs: Number(text(received)) }),
      },
      result: result ?? null,
      error: error ? text(error) : null,
    };
  }

  /** Redis forgets by itself. */
  async sweep(_limit: number): Promise<number> {
    return 0;
  }

  async loadStep(key: Buffer, generation: number, step: string): Promise<Buffer | null> {
    return this.evaluate(LOAD_STEP, key, [String(generation), step]);
  }

  async saveStep(run: Run, step: string, result: Uint8Array): Promise<Saved> {
    return word(await this.evaluate(SAVE_STEP, run.key, [run.token, step, Buffer.from(result)]));
  }

  private async replicated(run: Run): Promise<void> {
    if (this.replicasAckedMin === 0) return;
    const wanted = String(this.replicasAckedMin);
    const acked: unknown = await this.command(['WAIT', wanted, String(REPLICAS_TIMEOUT_MS)]);
    if (Number(acked) >= this.replicasAckedMin) return;
    await this.release(run, 0, 'too few replicas have the claim');
    throw new Unavailable(`only ${String(acked)} of ${wanted} replicas have the claim`);
  }

  private evaluate(script: Script, key: Buffer, args: (string | Buffer)[]): Promise<any> {
    const name = this.name(key);
    const rest = ['3', name, `${name}:steps`, `${name}:done`, ...args];
    const ask = async (): Promise<unknown> => {
      try {
        return await this.client.sendCommand(['EVALSHA', script.sha, ...rest], AS_BYTES);
      } catch (error) {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return this.client.sendCommand(['EVAL', script.text, ...rest], AS_BYTES);
      }
    };
    return bounded('Redis', this.timeoutMs, ask());
  }

  private command(args: string[]): Promise<any> {
    return bounded('Redis', this.timeoutMs, this.client.sendCommand(args, AS_BYTES));
  }

  private name(key: Buffer): string {
    // In braces, so that a cluster keeps everything of an event together.
    return `${this.prefix}{${key.toString('hex')}}`;
  }
}

function script(name: string): Script {
  const text = shipped(`redis/${name}.lua`);
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

function beginOf(answer: Buffer[], key: Buffer, token: string): Begin {
  switch (text(answer[0])) {
    case 'run': {
      const generation = Number(text(answer[3]));
      return { outcome: 'run', key, token, attempt: Number(text(answer[5])), generation };
    }
    case 'busy':
      return { outcome: 'busy', retryAfterMs: Number(text(answer[1])) };
    case 'done':
      return { outcome: 'done', result: answer[1] ?? Buffer.alloc(0) };
    case 'dead':
      return { outcome: 'dead', error: text(answer[1]) };
    case 'conflict':
      return { outcome: 'conflict', state: STATES[text(answer[1])]! };
    default:
      throw new Unavailable('Redis answered what the script never says');
  }
}

function word<T extends string>(answer: Buffer): T {
  return text(answer) as T;
}

function text(bytes: Buffer | null | undefined): string {
  return bytes ? bytes.toString() : '';
}

function ms(span: number): string {
  return String(Math.ceil(span));
}
