// Claims in a transaction of the caller's own.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fingerprint, scopeKey } from '../src/index.js';
import { beginIn, completeIn, onceByConstraint } from '../src/postgres.js';
import { database } from './support/stores.js';

const request = {
  key: scopeKey({ source: 'shop' }, ['evt_1']),
  fingerprint: fingerprint(Buffer.from('{}')),
  leaseMs: 60_000,
  waitMs: 50,
};

test('v3_claim_and_effect_are_rolled_back_together', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  await pool.query('CREATE TABLE effects (order_id text)');
  const client = await pool.connect();
  const book = async (): Promise<void> => {
    await client.query('BEGIN');
    const run = await beginIn(client, request);
    assert.ok(run.outcome === 'run' && run.attempt === 1);
    await client.query("INSERT INTO effects VALUES ('7')");
    await completeIn(client, run, Buffer.from('paid'));
  };
  await book();
  await client.query('ROLLBACK');
  await book();
  await client.query('COMMIT');
  await client.query('BEGIN');
  const done = await beginIn(client, request);
  assert.ok(done.outcome === 'done' && done.result.toString() === 'paid');
  const other = { ...request, fingerprint: fingerprint(Buffer.from('[]')) };
  assert.deepEqual(await beginIn(client, other), { outcome: 'conflict', state: 'completed' });
  assert.equal((await client.query('SELECT 1 FROM effects')).rowCount, 1);
  await client.query('ROLLBACK');
  client.release();
});

test('a transaction in flight is busy and leaves the other usable', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  const [holder, other] = [await pool.connect(), await pool.connect()];
  await holder.query('BEGIN');
  await other.query('BEGIN');
  assert.equal((await beginIn(holder, request)).outcome, 'run');
  assert.equal((await beginIn(other, request)).outcome, 'busy');
  const { rows } = await other.query('SHOW lock_timeout');
  assert.equal(rows[0].lock_timeout, '0');
  await holder.query('ROLLBACK');
  await other.query('ROLLBACK');
  holder.release();
  other.release();
});

test('a lost claim does not complete', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  const client = await pool.connect();
  await client.query('BEGIN');
  const run = await beginIn(client, request);
  assert.ok(run.outcome === 'run');
  await client.query('DELETE FROM hooklatch_claims');
  await assert.rejects(completeIn(client, run, Buffer.from('paid')), /the claim is lost: gone/);
  await client.query('ROLLBACK');
  client.release();
});

test('v3_once_by_constraint_means_done_where_the_work_was_done', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  await pool.query('CREATE TABLE bookings (event_id text CONSTRAINT once UNIQUE, n int)');
  await pool.query('CREATE UNIQUE INDEX other ON bookings (n)');
  const client = await pool.connect();
  await client.query('BEGIN');
  const book = (id: string, n: number) => async (): Promise<string> => {
    await client.query('INSERT INTO bookings VALUES ($1, $2)', [id, n]);
    return 'booked';
  };
  assert.deepEqual(await onceByConstraint(client, 'once', book('a', 1)), { outcome: 'run', value: 'booked' });
  assert.deepEqual(await onceByConstraint(client, 'once', book('a', 2)), { outcome: 'done' });
  await assert.rejects(onceByConstraint(client, 'once', book('b', 1)), /duplicate key/);
  assert.equal((await client.query('SELECT 1 FROM bookings')).rowCount, 1);
  await client.query('COMMIT');
  client.release();
});
