// Claims in the hooklatch gateway, for receivers without a store of their own. They are leased, and
// durable in the gateway's store, whose clock ends leases.

import { randomBytes } from 'node:crypto';

import { scopeKey } from './keys.js';
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
  type Metadata,
  type Run,
  type Saved,
} from './outcomes.js';

/** Where the gateway is. */
export interface GatewayOptions {
  /** Such as `https://hooks.example.com`. */
  readonly url: string;
  /** With the scope `send`; a forced replay needs `manage` as well. */
  readonly apiKey: string;
  /** Keeps your keys apart from those of your other services. */
  readonly scope: string;
  /** How long to wait for an answer. Default 5 s. */
  readonly timeoutMs?: number;
}

/** What the claim API answers, with those of its fields that are used here. */
interface Answer {
  readonly outcome?: string;
  readonly attempt?: number;
  readonly generation?: number;
  readonly result?: unknown;
  readonly result_base64?: string;
  readonly retry_after_seconds?: number;
  readonly state?: ClaimState;
  readonly error?: string | null;
}

interface RecordAnswer extends Answer {
  readonly attempts: number;
  readonly metadata: { provider: string | null; event_type: string | null; received_at: string | null };
}

const ANSWER_BYTES_MAX = 524_288;

/** Claims by `POST /v1/claims`. */
export class GatewayStore implements Ledger {
  private readonly options: GatewayOptions;

  constructor(options: GatewayOptions) {
    this.options = options;
  }

  async begin(request: BeginRequest): Promise<Begin> {
    const token = request.token ?? randomBytes(16).toString('hex');
    const answer = await this.ask('POST', '/v1/claims', {
      scope: this.options.scope,
      key: request.key.toString('hex'),
      fingerprint: request.fingerprint.toString('hex'),
      lease_seconds: seconds(request.leaseMs),
      window_seconds: seconds(request.retentionMs ?? RETENTION_MS),
      attempts_max: request.attemptsMax ?? ATTEMPTS_MAX,
      token,
      replay: request.force === true,
      metadata: metadataOf(request.metadata ?? {}),
    });
    return beginOf(answer, request.key, token);
  }

  async complete(run: Run, result: Uint8Array, retentionMs: number): Promise<Completed> {
    const body = { result_base64: base64(result), window_seconds: seconds(retentionMs) };
    return word(await this.end(run, 'complete', body), ['applied', 'already_complete', 'fenced', 'gone']);
  }

  async release(run: Run, retryAfterMs: number, error: string): Promise<Ended> {
    const body = { retry_after_seconds: retryAfterMs / 1_000, error: errorText(error) };
    return ended(await this.end(run, 'release', body));
  }

  async renew(run: Run, leaseMs: number): Promise<Ended> {
    return ended(await this.end(run, 'renew', { lease_seconds: seconds(leaseMs) }));
  }

  async fail(run: Run, error: string, retentionMs: number): Promise<Ended> {
    const body = { error: errorText(error), window_seconds: seconds(retentionMs) };
    return ended(await this.end(run, 'fail', body));
  }

  async lookup(key: Buffer): Promise<ClaimRecord | null> {
    const found = (await this.ask('GET', this.path(key))) as RecordAnswer;
    if (found.outcome === 'gone') return null;
    const { provider, event_type: eventType, received_at: receivedAt } = found.metadata;
    return {
      state: found.state!,
      attempt: found.attempts,
      generation: found.generation!,
      metadata: {
        provider: provider ?? '',
        eventType: eventType ?? '',
        ...(receivedAt === null ? {} : { receivedAtMs: Date.parse(receivedAt) }),
      },
      result: resultOf(found),
      error: found.error ?? null,
    };
  }

  /** The gateway sweeps by itself. */
  async sweep(_limit: number): Promise<number> {
    return 0;
  }

  async loadStep(key: Buffer, generation: number, step: string): Promise<Buffer | null> {
    const query = new URLSearchParams({ generation: String(generation), name: step });
    const list = (await this.ask('GET', `${this.path(key)}/steps?${query}`)) as { data?: Answer[] };
    const found = list.data?.[0];
    return found === undefined ? null : resultOf(found);
  }

  async saveStep(run: Run, step: string, result: Uint8Array): Promise<Saved> {
    const answer = await this.end(run, 'steps', { name: step, result_base64: base64(result) });
    return word(answer, ['saved', 'fenced', 'gone']) === 'saved' ? 'saved' : 'fenced';
  }

  private end(run: Run, verb: string, body: object): Promise<Answer> {
    return this.ask('POST', `${this.path(run.key)}/${verb}`, { token: run.token, ...body });
  }

  /** The id of a claim is the hash of its scope and key. */
  private path(key: Buffer): string {
    const id = scopeKey({ source: this.options.scope }, [key.toString('hex')]);
    return `/v1/claims/clm_${id.toString('hex')}`;
  }

  private async ask(method: string, path: string, body?: object): Promise<Answer> {
    try {
      const response = await fetch(new URL(path, this.options.url), {
        method,
        headers: {
          authorization: `Bearer ${this.options.apiKey}`,
          'content-type': 'application/json',
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        redirect: 'error',
        signal: AbortSignal.timeout(this.options.timeoutMs ?? 5_000),
      });
      const answer = JSON.parse(await limited(response)) as Answer;
      // A conflict, a token that was overtaken and a claim that is gone are answers as well.
      if (response.status === 200 || typeof answer.outcome === 'string') return answer;
      throw new Error(`the gateway answered ${response.status}`);
    } catch (cause) {
      throw new Unavailable('the gateway is unavailable', { cause });
    }
  }
}

async function limited(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.byteLength;
    if (length > ANSWER_BYTES_MAX) throw new Error('the answer is too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function beginOf(answer: Answer, key: Buffer, token: string): Begin {
  switch (answer.outcome) {
    case 'acquired': {
      const { attempt, generation } = answer;
      if (typeof attempt !== 'number' || typeof generation !== 'number') break;
      return { outcome: 'run', key, token, attempt, generation };
    }
    case 'completed':
      return { outcome: 'done', result: resultOf(answer) ?? Buffer.alloc(0) };
    case 'in_progress':
      return { outcome: 'busy', retryAfterMs: Math.ceil((answer.retry_after_seconds ?? 1) * 1_000) };
    case 'conflict':
      return { outcome: 'conflict', state: answer.state ?? null };
    case 'dead':
      return { outcome: 'dead', error: answer.error ?? null };
  }
  throw new Unavailable('the gateway answered what the claim API never says');
}

/** Bytes as they were given; of a JSON value, which another kind of client has stored, its text. */
function resultOf(answer: Answer): Buffer | null {
  if (typeof answer.result_base64 === 'string') return Buffer.from(answer.result_base64, 'base64');
  return answer.result === undefined || answer.result === null ? null : Buffer.from(JSON.stringify(answer.result));
}

function metadataOf(metadata: Metadata): object {
  const { provider, eventType, receivedAtMs } = metadata;
  return {
    provider: provider ?? null,
    event_type: eventType ?? null,
    received_at: receivedAtMs === undefined ? null : new Date(receivedAtMs).toISOString(),
  };
}

function ended(answer: Answer): Ended {
  return word(answer, ['applied', 'fenced', 'gone']) === 'applied' ? 'ok' : 'fenced';
}

function word<const T extends string>(answer: Answer, words: readonly T[]): T {
  const found = words.find((one) => one === answer.outcome);
  if (found === undefined) throw new Unavailable('the gateway answered what the claim API never says');
  return found;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

/** A span as the API has it. What has to last, lasts a millisecond at least. */
function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms)) / 1_000;
}
