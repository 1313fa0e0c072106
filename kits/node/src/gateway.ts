// Claims in the hooklatch gateway, for receivers without a store of their own. They are leased.

import { TextDecoder } from 'node:util';

import {
  ATTEMPTS_MAX,
  RETENTION_MS,
  Unavailable,
  errorText,
  type Begin,
  type BeginRequest,
  type ClaimStore,
  type Completed,
  type Ended,
  type Run,
  type Saved,
} from './outcomes.js';

/** Where the gateway is. */
export interface GatewayOptions {
  /** Such as `https://hooks.example.com`. */
  readonly url: string;
  readonly apiKey: string;
  /** Keeps your keys apart from those of your other services. */
  readonly scope: string;
  /** How long to wait for an answer. Default 5 s. */
  readonly timeoutMs?: number;
}

interface ClaimAnswer {
  readonly outcome: 'acquired' | 'completed' | 'in_progress' | 'conflict' | 'dead';
  readonly id?: string;
  readonly token?: string;
  readonly attempt?: number;
  readonly result?: string | null;
  readonly retry_after?: number;
}

type EndAnswer = 'applied' | 'already_complete' | 'fenced' | 'gone';

const ANSWER_BYTES_MAX = 262_144;

/**
 * Claims by `POST /v1/claims`. The gateway keeps no results of steps: a repeated run does every
 * step again, with the same key for the service that it calls.
 */
export class GatewayStore implements ClaimStore {
  private readonly options: GatewayOptions;

  constructor(options: GatewayOptions) {
    this.options = options;
  }

  async begin(request: BeginRequest): Promise<Begin> {
    if (request.force === true) throw new TypeError('the gateway replays by its own API');
    const retentionMs = request.retentionMs ?? RETENTION_MS;
    const answer = await this.post<ClaimAnswer>('/v1/claims', {
      scope: this.options.scope,
      key: request.key.toString('hex'),
      fingerprint: request.fingerprint.toString('hex'),
      lease_seconds: seconds(request.leaseMs),
      window_seconds: seconds(retentionMs),
    });
    const begin = beginOf(answer, request.key);
    if (begin.outcome !== 'run' || begin.attempt <= (request.attemptsMax ?? ATTEMPTS_MAX)) return begin;
    const error = `gave up after ${begin.attempt - 1} attempts`;
    await this.fail(begin, error, retentionMs);
    return { outcome: 'dead', error };
  }

  async complete(run: Run, result: Uint8Array, _retentionMs: number): Promise<Completed> {
    return this.end(run, 'complete', { result: new TextDecoder('utf-8', { fatal: true }).decode(result) });
  }

  async release(run: Run, retryAfterMs: number, error: string): Promise<Ended> {
    const body = { retry_after_seconds: Math.ceil(retryAfterMs / 1_000), error: errorText(error) };
    return endedBy(await this.end(run, 'release', body));
  }

  async renew(run: Run, leaseMs: number): Promise<Ended> {
    return endedBy(await this.end(run, 'renew', { lease_seconds: seconds(leaseMs) }));
  }

  async fail(run: Run, error: string, _retentionMs: number): Promise<Ended> {
    return endedBy(await this.end(run, 'fail', { error: errorText(error) }));
  }

  async loadStep(): Promise<null> {
    return null;
  }

  async saveStep(): Promise<Saved> {
    return 'saved';
  }

  private async end(run: Run, verb: string, body: object): Promise<EndAnswer> {
    const [id = '', token = ''] = run.token.split(' ');
    const path = `/v1/claims/${encodeURIComponent(id)}/${verb}`;
    const { outcome } = await this.post<{ outcome: EndAnswer }>(path, { token, ...body });
    return outcome;
  }

  private async post<T>(path: string, body: object): Promise<T> {
    try {
      const response = await fetch(new URL(path, this.options.url), {
        method: 'POST',
        headers: {
          authorization: `Bearer ${this.options.apiKey}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify(body),
        redirect: 'error',
        signal: AbortSignal.timeout(this.options.timeoutMs ?? 5_000),
      });
      const text = await limited(response);
      if (response.status !== 200) throw new Error(`the gateway answered ${response.status}`);
      return JSON.parse(text) as T;
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

function beginOf(answer: ClaimAnswer, key: Buffer): Begin {
  switch (answer.outcome) {
    case 'acquired': {
      const { id, token, attempt } = answer;
      if (typeof id !== 'string' || typeof token !== 'string' || typeof attempt !== 'number') break;
      return { outcome: 'run', key, token: `${id} ${token}`, attempt, generation: 1 };
    }
    case 'completed':
      return { outcome: 'done', result: Buffer.from(answer.result ?? '') };
    case 'in_progress':
      return { outcome: 'busy', retryAfterMs: (answer.retry_after ?? 1) * 1_000 };
    case 'conflict':
      return { outcome: 'conflict', state: null };
    case 'dead':
      return { outcome: 'dead', error: null };
  }
  throw new Unavailable('the gateway answered what the claim API never says');
}

function endedBy(outcome: EndAnswer): Ended {
  return outcome === 'applied' ? 'ok' : 'fenced';
}

function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1_000));
}
