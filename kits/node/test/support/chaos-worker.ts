// Handles one event a line, and dies at random. Started by chaos.test.ts.

import { createInterface } from 'node:readline';

import pg from 'pg';
import { createClient } from 'redis';

import { Receiver, trusted, type ClaimStore, type HookEvent } from '../../src/index.js';
import { GatewayStore } from '../../src/gateway.js';
import { PostgresStore, PostgresTransactions, type PgClient, type PgQueryable } from '../../src/postgres.js';
import { RedisStore } from '../../src/redis.js';
import type { Transactions } from '../../src/index.js';

const DEATHS = 0.5;

const env = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};

const pool = new pg.Pool({ connectionString: env('DATABASE_URL'), max: 3 });
const receiver = new Receiver<PgClient | undefined>({
  provider: trusted({ name: 'chaos', key: ['body:$.id'] }),
  store: await storeOf(env('STORE')),
  deadlineMs: 5_000,
  leaseMs: 300,
  attemptsMax: 1_000,
  waitMs: 0,
});

async function storeOf(name: string): Promise<ClaimStore | Transactions<PgClient | undefined>> {
  switch (name) {
    case 'transactions':
      return new PostgresTransactions(pool) as Transactions<PgClient | undefined>;
    case 'postgres':
      return new PostgresStore(pool);
    case 'redis': {
      const client = createClient({ url: env('REDIS_URL') });
      await client.connect();
      return new RedisStore(client, { prefix: env('REDIS_PREFIX') });
    }
    case 'gateway':
      return new GatewayStore({
        url: env('HOOKLATCH_TEST_GATEWAY_URL'),
        apiKey: env('HOOKLATCH_TEST_GATEWAY_KEY'),
        scope: env('GATEWAY_SCOPE'),
      });
    default:
      throw new Error(`no such store: ${name}`);
  }
}

/** Dies at the chosen point, as by a power cut. */
const dieIf = (chosen: number, point: number): void => {
  if (chosen === point) process.kill(process.pid, 'SIGKILL');
};

for await (const id of createInterface({ input: process.stdin })) {
  const chosen = Math.random() < DEATHS ? Math.floor(Math.random() * 3) : -1;
  const handler = async (event: HookEvent<PgClient | undefined>): Promise<void> => {
    dieIf(chosen, 0);
    const db: PgQueryable = event.tx ?? pool;
    await db.query('INSERT INTO effects (order_id) VALUES ($1)', [event.json<{ id: string }>().id]);
    dieIf(chosen, 1);
  };
  const body = Buffer.from(JSON.stringify({ id }));
  const answer = await receiver.receive({ method: 'POST', url: '/', headers: [], body }, handler);
  dieIf(chosen, 2);
  process.stdout.write(`${answer.status}\n`);
}
process.exit(0);
