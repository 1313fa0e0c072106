// Every store passes the vectors that the kits share, and what is broken on purpose does not.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

import {
  HookRequest,
  fingerprint,
  githubVerifier,
  scopeKey,
  standardWebhooksVerifier,
  stepKey,
  stripeVerifier,
  type Begin,
  type BeginRequest,
  type Completed,
  type Run,
} from '../src/index.js';
import { MemoryStore } from '../src/memory.js';
import { PostgresStore } from '../src/postgres.js';
import { shipped } from '../src/shipped.js';
import { database, redis } from './support/stores.js';
import { failures, repository, vectors } from './support/vectors.js';

const machine = [...vectors.machine, ...vectors.machine_more];
const none = new Map<string, string>();

test('keys are derived as in every other language', () => {
  assert.ok(vectors.keys.length >= 10);
  for (const { name, scope_key, parts, ...scope } of vectors.keys) {
    assert.equal(scopeKey(scope, parts).toString('hex'), scope_key, name);
  }
});

test('keys of steps are derived as in every other language', () => {
  assert.ok(vectors.step_keys.length >= 4);
  for (const vector of vectors.step_keys) {
    const key = stepKey(Buffer.from(vector.scope_key, 'hex'), vector.step, vector.generation);
    assert.equal(key.toString('hex'), vector.step_key, vector.name);
  }
});

test('signatures are judged as in every other language', () => {
  const verifiers: Record<string, typeof stripeVerifier> = {
    stripe: stripeVerifier,
    github: githubVerifier,
    standard_webhooks: standardWebhooksVerifier,
  };
  assert.ok(vectors.signatures.length >= 30);
  for (const { name, scheme, secrets, headers, body, now_seconds, valid } of vectors.signatures) {
    const parts = { method: 'POST', url: '/', headers: Object.entries<string>(headers), body: Buffer.from(body) };
    const refusal = verifiers[scheme]!(secrets).verify(new HookRequest(parts), now_seconds * 1_000);
    assert.equal(refusal === null, valid, `${scheme}: ${name}`);
  }
});

test('c5_fingerprints_are_those_of_the_gateway', () => {
  const json = fingerprint(Buffer.from(' { "b": 1.0, "a": "x" } '), 'order.paid');
  assert.equal(json.toString('hex'), '33379209680053ecadd6ecaf5ca1d0373631f83f2de4faf2201c47d329d5e7dd');
  const raw = fingerprint(Buffer.from('not json'));
  assert.equal(raw.toString('hex'), '133c846ee7c0590e142440c6975b48015a7917582dba9047230cd4df969d9a13');
});

test('k9_a_number_has_one_spelling_and_others_differ', () => {
  const of = (text: string): string => fingerprint(Buffer.from(text)).toString('hex');
  for (const same of [['1', '1.0', '1e0', '10e-1', '0.1e1'], ['0', '-0', '0.00', '0e5'], ['100', '1e2'], ['-1.5', '-15e-1']]) {
    assert.equal(new Set(same.map(of)).size, 1, same.join(' '));
  }
  const others = ['9007199254740993', '9007199254740992', '1', '"1"', '1e999999999999', 'true', 'null', '[]', '{}'];
  assert.equal(new Set(others.map(of)).size, others.length);
  assert.equal(of('{"b":"\\u0041","a":[1,{"c":2}]}'), of(' {"a":[1.0,{"c":2}],"b":"A"} '));
  assert.notEqual(of('{"a":1,"a":2}'), of('{"a":2}'));
});

test('k11_what_is_excluded_does_not_count', () => {
  const of = (text: string): string => fingerprint(Buffer.from(text), null, ['$.pending', '$.a[0].n']).toString('hex');
  assert.equal(of('{"id":1,"pending":3,"a":[{"n":1}]}'), of('{"id":1,"a":[{"n":2}]}'));
  assert.notEqual(of('{"id":1,"pending":3}'), of('{"id":2,"pending":3}'));
});

test('the shared files are the ones of the repository, byte by byte', () => {
  for (const folder of ['sql', 'redis']) {
    const copies = new URL(`kits/node/${folder}/`, repository);
    const names = readdirSync(copies);
    assert.ok(names.length > 0);
    for (const name of names) {
      const original = new URL(`crates/receiver/${folder}/${name}`, repository);
      assert.equal(shipped(`${folder}/${name}`), readFileSync(original, 'utf8'), name);
    }
  }
});

test('there are 28 vectors', () => {
  assert.equal(vectors.machine.length, 28);
});

test('the store in memory passes the vectors', async () => {
  assert.deepEqual(await failures(new MemoryStore(), machine), none);
});

test('the store in PostgreSQL passes the vectors', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  assert.deepEqual(await failures(new PostgresStore(pool), machine), none);
});

test('the store in Redis passes the vectors', async (context) => {
  const { store, close } = await redis();
  context.after(close);
  assert.deepEqual(await failures(store, machine), none);
});

test('the store in Redis knows a completion beside the record', async (context) => {
  const { store, client, prefix, close } = await redis();
  context.after(close);
  const key = scopeKey({ source: 'stripe' }, ['evt_1']);
  const request: BeginRequest = { key, fingerprint: Buffer.alloc(32), leaseMs: 30_000 };
  const run = await store.begin(request);
  assert.ok(run.outcome === 'run');
  await client.set(`${prefix}{${key.toString('hex')}}:done`, `${run.token}1ran`, { EX: 60 });
  const done = { outcome: 'done', result: Buffer.from('ran') };
  assert.deepEqual(await store.begin(request), done);
  assert.equal(await store.complete(run, Buffer.from('other'), 60_000), 'already_complete');
  assert.deepEqual(await store.begin(request), done);
});

test('a store that completes without looking at the token fails the vectors', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  class Tokenless extends PostgresStore {
    override async complete(run: Run, result: Uint8Array): Promise<Completed> {
      const statement = `UPDATE hooklatch_claims SET state = 2, result = $2, lease_until = NULL,
        expires_at = clock_timestamp() + interval '1 day' WHERE key = $1 AND state = 1`;
      const { rowCount } = await pool.query(statement, [run.key, result]);
      return rowCount === 1 ? 'applied' : 'already_complete';
    }
  }
  const failed = await failures(new Tokenless(pool), machine);
  for (const id of ['v04', 'v14', 'v20', 'v24', 'v25']) assert.ok(failed.has(id), id);
});

test('a store that looks first and inserts then fails the vectors', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  // The second that found nothing lets the first go on: both insert, however slow the machine.
  let looks = 0;
  let letGo = (): void => undefined;
  const bothLooked = new Promise<void>((resolve) => (letGo = resolve));
  class CheckThenInsert extends PostgresStore {
    override async begin(request: BeginRequest): Promise<Begin> {
      const { rows } = await pool.query('SELECT 1 FROM hooklatch_claims WHERE key = $1', [request.key]);
      if (rows.length > 0) return super.begin(request);
      looks += 1;
      if (looks === 2) letGo();
      await bothLooked;
      const token = Buffer.from(request.token ?? crypto.randomUUID().replaceAll('-', ''), 'hex');
      const statement = `INSERT INTO hooklatch_claims
        (key, state, token, fence, epoch, generation, origin, fingerprint, attempt, lease_until)
        VALUES ($1, 1, $2, 1, 1, 1, 1, $3, 1, clock_timestamp() + $4::bigint * interval '1 ms')
        ON CONFLICT (key) DO UPDATE SET token = EXCLUDED.token, lease_until = EXCLUDED.lease_until`;
      await pool.query(statement, [request.key, token, request.fingerprint, request.leaseMs]);
      const { key } = request;
      return { outcome: 'run', key, token: token.toString('hex'), attempt: 1, generation: 1 };
    }
  }
  const racing = machine.filter((vector) => vector.id === 'v26');
  const failed = await failures(new CheckThenInsert(pool), racing);
  assert.match(failed.get('v26') ?? '', /run/);
});

test('a store that forgets a released claim fails the vectors', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  class Forgetful extends PostgresStore {
    override async release(run: Run): Promise<'ok' | 'fenced'> {
      const statement = 'DELETE FROM hooklatch_claims WHERE key = $1 AND token = $2 AND state = 1';
      const { rowCount } = await pool.query(statement, [run.key, Buffer.from(run.token, 'hex')]);
      return rowCount === 1 ? 'ok' : 'fenced';
    }
  }
  const failed = await failures(new Forgetful(pool), machine);
  for (const id of ['v10', 'v11', 'v12']) assert.ok(failed.has(id), id);
});
