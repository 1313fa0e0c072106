// Workers as processes, each delivery redelivered until it is acknowledged, and in half of the
// deliveries the worker dies: before the effect, between effect and completion, or before the
// answer. No event may be lost; in transactions none may have its effect twice.

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createInterface, type Interface } from 'node:readline';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { database, redis } from './support/stores.js';

const EVENTS = Number(process.env['HOOKLATCH_TEST_CHAOS_EVENTS'] ?? '30');
const WORKERS = 6;

/** A worker process that takes one event a line and answers one status a line; restarted when it dies. */
class Worker {
  deaths = 0;
  private child: ChildProcess | null = null;
  private lines: Interface | null = null;

  constructor(private readonly env: Record<string, string>) {}

  /** The status, or null where the worker died over it. */
  deliver(id: string): Promise<number | null> {
    const { child, lines } = this.running();
    return new Promise((resolve) => {
      const done = (status: number | null): void => {
        lines.removeAllListeners('line');
        child.removeAllListeners('exit');
        resolve(status);
      };
      lines.once('line', (line) => done(Number(line)));
      child.once('exit', () => {
        this.deaths += 1;
        this.child = null;
        done(null);
      });
      child.stdin?.write(`${id}\n`);
    });
  }

  async stop(): Promise<void> {
    const { child } = this;
    if (child === null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdin?.end();
    await ended;
  }

  private running(): { child: ChildProcess; lines: Interface } {
    if (this.child === null || this.lines === null) {
      const script = join(import.meta.dirname, 'support', 'chaos-worker.js');
      const env = { ...process.env, ...this.env };
      this.child = spawn(process.execPath, [script], { env, stdio: ['pipe', 'pipe', 'inherit'] });
      this.child.stdin?.on('error', () => undefined);
      this.lines = createInterface({ input: this.child.stdout! });
    }
    return { child: this.child, lines: this.lines };
  }
}

async function chaos(env: Record<string, string>): Promise<{ deaths: number }> {
  const queue = Array.from({ length: EVENTS }, (_, number) => `evt_${number}_${randomBytes(4).toString('hex')}`);
  const workers = Array.from({ length: WORKERS }, () => new Worker(env));
  const work = async (worker: Worker): Promise<void> => {
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
      const status = await worker.deliver(id);
      // As a provider does: whatever is not 2xx comes again, later.
      if (status === null || status >= 300) queue.push(id);
      if (status !== null && status >= 300) await pause(20);
    }
  };
  await Promise.all(workers.map(work));
  // One worker may have put an event back after the others had found the queue empty.
  for (const worker of workers) await worker.stop();
  return { deaths: workers.reduce((sum, worker) => sum + worker.deaths, 0) };
}

interface Mode {
  readonly name: string;
  readonly exact: boolean;
  readonly skip?: string | false;
  readonly env: (url: string) => Promise<{ env: Record<string, string>; close: () => Promise<void> }>;
}

const nothing = async (): Promise<void> => undefined;

const gateway = process.env['HOOKLATCH_TEST_GATEWAY_URL'] ?? '';

const modes: Mode[] = [
  { name: 'PostgreSQL, in the transaction', exact: true, env: async () => ({ env: { STORE: 'transactions' }, close: nothing }) },
  { name: 'PostgreSQL, leased', exact: false, env: async () => ({ env: { STORE: 'postgres' }, close: nothing }) },
  {
    name: 'Redis, leased',
    exact: false,
    env: async () => {
      const { url, prefix, close } = await redis();
      return { env: { STORE: 'redis', REDIS_URL: url, REDIS_PREFIX: prefix }, close };
    },
  },
  {
    name: 'the gateway, leased',
    exact: false,
    skip: gateway === '' && 'HOOKLATCH_TEST_GATEWAY_URL names no gateway; kits/run starts one',
    env: async () => {
      const scope = `chaos ${randomBytes(6).toString('hex')}`;
      return { env: { STORE: 'gateway', GATEWAY_SCOPE: scope }, close: nothing };
    },
  },
];

for (const { name, exact, skip = false, env } of modes) {
  test(`${name}: no event is lost${exact ? ', and none has its effect twice' : ''}`, { skip }, async (context) => {
    const { pool, url, close } = await database();
    context.after(close);
    await pool.query('CREATE TABLE effects (order_id text)');
    const extra = await env(url);
    context.after(extra.close);
    const { deaths } = await chaos({ ...extra.env, DATABASE_URL: url });
    const { rows } = await pool.query('SELECT order_id, count(*)::integer AS times FROM effects GROUP BY 1');
    const repeated = rows.filter((row) => row.times > 1).length;
    context.diagnostic(`${EVENTS} events, ${deaths} deaths, ${EVENTS - rows.length} lost, ${repeated} repeated`);
    assert.ok(deaths > EVENTS / 4, `only ${deaths} deaths`);
    assert.equal(EVENTS - rows.length, 0, 'lost');
    if (exact) assert.equal(repeated, 0, 'repeated');
  });
}
