// The stores under test, each on a real service and on a place of its own in it.

import { randomBytes } from 'node:crypto';

import pg from 'pg';
import { createClient } from 'redis';

import { PostgresStore } from '../../src/postgres.js';
import { RedisStore } from '../../src/redis.js';

function given(name: string): string {
  const url = process.env[name];
  if (url === undefined || url === '') throw new Error(`${name} is not set: run the tests with "npm test"`);
  return url;
}

/** A database of its own, with the kit's tables; dropped by `close`. */
export async function database(): Promise<{ pool: pg.Pool; url: string; close(): Promise<void> }> {
  const url = new URL(given('HOOKLATCH_TEST_POSTGRES_URL'));
  const name = `kit_${randomBytes(6).toString('hex')}`;
  const admin = new pg.Client({ connectionString: url.href });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  url.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: url.href, max: 40 });
  pool.on('error', () => undefined);
  await new PostgresStore(pool).migrate();
  const close = async (): Promise<void> => {
    await pool.end();
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.end();
  };
  return { pool, url: url.href, close };
}

/** Keys under a prefix of their own. */
export async function redis() {
  const url = given('HOOKLATCH_TEST_REDIS_URL');
  const client = createClient({ url });
  await client.connect();
  const prefix = `test:${randomBytes(6).toString('hex')}:`;
  const close = async (): Promise<void> => void (await client.close());
  return { store: new RedisStore(client, { prefix }), client, url, prefix, close };
}
