// A stand-in for the gateway's claim API, over a store in memory: the same paths, bodies, answers.

import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';

import { scopeKey, type Run } from '../../src/index.js';
import { MemoryStore } from '../../src/memory.js';

export const API_KEY = 'hl_0123456789abcdef0123456789abcdef';

export interface Gateway {
  readonly url: string;
  /** Every request: path and body. */
  readonly seen: { path: string; body: any }[];
  /** Answers with this status instead, where set. */
  failWith: number | null;
  close(): Promise<void>;
}

export async function startGateway(): Promise<Gateway> {
  const claims = new Map<string, Run>();
  const store = new MemoryStore();
  const gateway = { seen: [] as { path: string; body: any }[], failWith: null as number | null };
  const server = createServer(async (request, response) => {
    const body = JSON.parse(await text(request));
    const path = request.url ?? '';
    gateway.seen.push({ path, body });
    const denied = request.headers.authorization === `Bearer ${API_KEY}` ? null : 401;
    const status = denied ?? gateway.failWith ?? 200;
    const answer = status === 200 ? await answered(store, claims, path, body) : {};
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  const url = await listening(server);
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return Object.assign(gateway, { url, close });
}

async function answered(store: MemoryStore, claims: Map<string, Run>, path: string, body: any): Promise<object> {
  const [, , , id, verb] = path.split('/');
  if (id === undefined) return claim(store, claims, body);
  const held = claims.get(id);
  if (held === undefined) return { outcome: 'gone' };
  const run = { ...held, token: body.token as string };
  const ended = (outcome: string): object => ({ outcome: outcome === 'ok' ? 'applied' : outcome });
  switch (verb) {
    case 'complete':
      return { outcome: await store.complete(run, Buffer.from(body.result ?? ''), 86_400_000) };
    case 'release':
      return ended(await store.release(run, (body.retry_after_seconds ?? 0) * 1_000, body.error ?? ''));
    case 'renew':
      return ended(await store.renew(run, body.lease_seconds * 1_000));
    case 'fail':
      return ended(await store.fail(run, body.error ?? '', 86_400_000));
    default:
      throw new Error(`no such path: ${path}`);
  }
}

async function claim(store: MemoryStore, claims: Map<string, Run>, body: any): Promise<object> {
  const begin = await store.begin({
    key: scopeKey({ source: body.scope }, [body.key]),
    fingerprint: Buffer.from(body.fingerprint, 'hex'),
    leaseMs: body.lease_seconds * 1_000,
    attemptsMax: 1_000,
  });
  switch (begin.outcome) {
    case 'run': {
      const id = `clm_${randomBytes(6).toString('hex')}`;
      claims.set(id, begin);
      return { outcome: 'acquired', id, token: begin.token, attempt: begin.attempt };
    }
    case 'done':
      return { outcome: 'completed', result: begin.result.toString() };
    case 'busy':
      return { outcome: 'in_progress', retry_after: Math.ceil(begin.retryAfterMs / 1_000) };
    case 'conflict':
      return { outcome: 'conflict' };
    case 'dead':
      return { outcome: 'dead' };
  }
}

export function listening(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
    });
  });
}

async function text(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of request) text += part;
  return text;
}
