// One request from its bytes to its answer, in every line of the answer table.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import {
  PermanentFailure,
  Receiver,
  RetryLater,
  Unavailable,
  scopeKey,
  standardWebhooks,
  stripe,
  trusted,
  type Answer,
  type Handler,
  type Notice,
  type ReceiverOptions,
} from '../src/index.js';
import { MemoryStore } from '../src/memory.js';
import { PostgresTransactions } from '../src/postgres.js';
import { SECRET, signed, type Signed } from './support/requests.js';
import { database } from './support/stores.js';

interface Setup {
  readonly store: MemoryStore;
  readonly notices: Notice[];
  send(request: Signed, handler?: Handler): Promise<Answer>;
  receiver: Receiver;
}

function setup(options: Partial<ReceiverOptions> = {}): Setup {
  const store = new MemoryStore();
  const notices: Notice[] = [];
  const receiver = new Receiver({
    provider: standardWebhooks(SECRET),
    store,
    waitMs: 0,
    notify: (notice) => notices.push(notice),
    ...options,
  });
  const send = (request: Signed, handler: Handler = () => undefined): Promise<Answer> =>
    receiver.receive({ ...request, url: '/hooks', headers: Object.entries(request.headers), body: Buffer.from(request.body) }, handler);
  return { store, notices, receiver, send };
}

const receipt = (answer: Answer): [number, string | undefined] => [answer.status, answer.headers['hooklatch-receipt']];
const kinds = (notices: Notice[]): string[] => notices.map((notice) => notice.kind);
const paid = { type: 'order.paid', order: 7 };

test('a first delivery runs the handler, and a duplicate gets its answer', async () => {
  const { send, notices } = setup();
  let runs = 0;
  const handler: Handler = () => ({ status: 201, headers: { Location: '/orders/7', 'Set-Cookie': 'a=b' }, body: { run: ++runs } });
  const first = await send(signed('msg_1', paid), handler);
  assert.deepEqual(receipt(first), [201, 'processed']);
  assert.equal(first.headers['set-cookie'], 'a=b');
  const second = await send(signed('msg_1', paid), handler);
  assert.deepEqual(receipt(second), [200, 'duplicate']);
  assert.equal(second.body.toString(), '{"run":1}');
  assert.equal(second.headers['idempotency-replayed'], 'true');
  assert.equal(second.headers['location'], '/orders/7');
  assert.equal(second.headers['set-cookie'], undefined);
  assert.deepEqual(kinds(notices), ['reserved', 'completed', 'duplicate_completed']);
});

test('nothing is claimed for a request whose signature fails', async () => {
  const { send, store } = setup();
  const request = signed('msg_1', paid);
  const answer = await send({ ...request, body: request.body.replace('7', '8') });
  assert.deepEqual(receipt(answer), [401, 'rejected']);
  assert.equal(await store.lookup(scopeKey({ source: 'standard_webhooks' }, ['msg_1'])), null);
});

test('a duplicate in flight is told to come again, never 2xx and never 4xx', async () => {
  const { send } = setup();
  let finish = (): void => undefined;
  const blocked = new Promise<void>((resolve) => (finish = resolve));
  const first = send(signed('msg_1', paid), () => blocked);
  const second = await send(signed('msg_1', paid));
  assert.deepEqual(receipt(second), [503, 'in-progress']);
  assert.ok(Number(second.headers['retry-after']) >= 1);
  finish();
  assert.equal((await first).status, 200);
});

test('a duplicate waits for the first to end, and gets its answer', async () => {
  const { send } = setup({ waitMs: 5_000 });
  let finish = (): void => undefined;
  const blocked = new Promise<void>((resolve) => (finish = resolve));
  const first = send(signed('msg_1', paid), async () => (await blocked, { body: 'done' }));
  const second = send(signed('msg_1', paid));
  finish();
  assert.equal((await first).body.toString(), 'done');
  assert.deepEqual(receipt(await second), [200, 'duplicate']);
  assert.equal((await second).body.toString(), 'done');
});

test('another payload under a known key is flagged, and never run', async () => {
  const { send, notices } = setup();
  await send(signed('msg_1', paid));
  const answer = await send(signed('msg_1', { ...paid, order: 8 }), () => assert.fail('it must not run'));
  assert.deepEqual(receipt(answer), [200, 'duplicate']);
  assert.equal(answer.headers['hooklatch-flag'], 'payload_mismatch');
  assert.equal(kinds(notices).at(-1), 'payload_mismatch');
});

test('the same payload spelled otherwise is no other payload', async () => {
  const { send } = setup();
  await send(signed('msg_1', { a: 1, b: 2 }));
  const answer = await send(signed('msg_1', { b: 2, a: 1 }));
  assert.equal(answer.headers['hooklatch-flag'], undefined);
  assert.deepEqual(receipt(answer), [200, 'duplicate']);
});

test('another payload is refused where the policy says so', async () => {
  const { send } = setup({ onConflict: 'reject' });
  await send(signed('msg_1', paid));
  assert.deepEqual(receipt(await send(signed('msg_1', { order: 8 }))), [409, 'rejected']);
});

test('a failed handler is tried again, and its attempts are counted', async () => {
  const { send, notices } = setup({ retryAfterMs: 0 });
  const failed = await send(signed('msg_1', paid), () => {
    throw new Error('the bank is closed');
  });
  assert.deepEqual(receipt(failed), [503, undefined]);
  assert.doesNotMatch(failed.body.toString(), /bank/);
  const attempts: number[] = [];
  const second = await send(signed('msg_1', paid), (event) => void attempts.push(event.attempt));
  assert.deepEqual(receipt(second), [200, 'processed']);
  assert.deepEqual(attempts, [2]);
  assert.deepEqual(kinds(notices), ['reserved', 'released', 'taken_over', 'completed']);
});

test('a handler says when it may be tried again', async () => {
  const { send } = setup();
  const failed = await send(signed('msg_1', paid), () => {
    throw new RetryLater('the bank opens at nine', 90_000);
  });
  assert.equal(failed.headers['retry-after'], '90');
  assert.deepEqual(receipt(await send(signed('msg_1', paid))), [503, 'in-progress']);
});

test('a permanent failure is given up, and is not run again', async () => {
  const { send, notices } = setup();
  const first = await send(signed('msg_1', paid), () => {
    throw new PermanentFailure('no such order');
  });
  assert.deepEqual(receipt(first), [200, undefined]);
  const second = await send(signed('msg_1', paid), () => assert.fail('it must not run'));
  assert.deepEqual(receipt(second), [200, undefined]);
  assert.deepEqual(kinds(notices), ['reserved', 'dead', 'dead_again']);
});

test('a dead event is gone where the policy says so', async () => {
  const { send } = setup({ onDead: 'gone' });
  const answer = await send(signed('msg_1', paid), () => {
    throw new PermanentFailure('no such order');
  });
  assert.deepEqual(receipt(answer), [410, 'rejected']);
});

test('a refusal of the handler gives the event up', async () => {
  const { send } = setup();
  assert.deepEqual(receipt(await send(signed('msg_1', paid), () => ({ status: 422 }))), [422, 'rejected']);
  assert.deepEqual(receipt(await send(signed('msg_1', paid))), [200, undefined]);
});

test('a redirect, a conflict or a 429 of the handler comes again, when it says', async () => {
  const { send } = setup();
  for (const [id, status] of [['msg_1', 302], ['msg_2', 409], ['msg_3', 429]] as const) {
    const answer = await send(signed(id, paid), () => ({ status, headers: { 'Retry-After': '7' } }));
    assert.deepEqual([...receipt(answer), answer.headers['retry-after']], [503, undefined, '7']);
  }
});

test('an answer is kept as in every other language', async () => {
  const { send, store } = setup();
  await send(signed('msg_1', paid), () => ({ status: 201, headers: { ETag: '"7"', 'Set-Cookie': 'a=b' }, body: 'booked' }));
  const kept = await store.lookup(scopeKey({ source: 'standard_webhooks' }, ['msg_1']));
  assert.deepEqual(JSON.parse(kept!.result!.toString()), {
    v: 1,
    status: 201,
    headers: [['content-type', 'text/plain; charset=utf-8'], ['etag', '"7"']],
    body: 'Ym9va2Vk',
  });
});

test('an event that fails too often is given up', async () => {
  const { send } = setup({ retryAfterMs: 0, attemptsMax: 3 });
  let runs = 0;
  const handler: Handler = () => {
    runs += 1;
    throw new Error('always');
  };
  const statuses: number[] = [];
  for (let n = 0; n < 5; n += 1) statuses.push((await send(signed('msg_1', paid), handler)).status);
  assert.deepEqual(statuses, [503, 503, 503, 200, 200]);
  assert.equal(runs, 3);
});

test('a missing key is refused', async () => {
  const { send } = setup({ key: ['body:$.order_id'] });
  for (const order_id of [undefined, '', null, ['a'], { a: 1 }, 'x'.repeat(5_000)]) {
    assert.deepEqual(receipt(await send(signed('msg_1', { order_id }))), [400, 'rejected']);
  }
});

test('a number of any size is a key of its own', async () => {
  const { send } = setup({ key: ['body:$.id'] });
  const number = (text: string): Signed => {
    const request = signed('msg_1', { id: 'N' });
    return { ...request, body: request.body.replace('"N"', text) };
  };
  const receiver = new Receiver({ provider: trusted({ name: 'shop', key: ['body:$.id'] }), store: new MemoryStore() });
  const statuses: (string | undefined)[] = [];
  for (const text of ['9007199254740993', '9007199254740992', '9007199254740993']) {
    const { headers, body } = number(text);
    const parts = { method: 'POST', url: '/', headers: Object.entries(headers), body: Buffer.from(body) };
    statuses.push((await receiver.receive(parts, () => undefined)).headers['hooklatch-receipt']);
  }
  assert.deepEqual(statuses, ['processed', 'processed', 'duplicate']);
  assert.equal((await send(number('1'))).status, 401);
});

test('without a key the content can be the key', async () => {
  const { send } = setup({ key: ['body:$.id'], onMissingKey: 'content' });
  assert.deepEqual(receipt(await send(signed('msg_1', paid))), [200, 'processed']);
  assert.deepEqual(receipt(await send(signed('msg_2', paid))), [200, 'duplicate']);
  assert.deepEqual(receipt(await send(signed('msg_3', { order: 8 }))), [200, 'processed']);
});

test('unprotected runs are opt-in, and are told', async () => {
  const { send, notices } = setup({ key: ['body:$.id'], onMissingKey: 'run' });
  assert.equal((await send(signed('msg_1', paid))).status, 200);
  assert.deepEqual(kinds(notices), ['ran_unprotected']);
});

class Away extends MemoryStore {
  away = new Set<string>();
  override async begin(...args: Parameters<MemoryStore['begin']>): ReturnType<MemoryStore['begin']> {
    if (this.away.has('begin')) throw new Unavailable('away');
    return super.begin(...args);
  }
  override async complete(...args: Parameters<MemoryStore['complete']>): ReturnType<MemoryStore['complete']> {
    if (this.away.has('complete')) throw new Unavailable('away');
    return super.complete(...args);
  }
  override async fail(...args: Parameters<MemoryStore['fail']>): ReturnType<MemoryStore['fail']> {
    if (this.away.has('fail')) throw new Unavailable('away');
    return super.fail(...args);
  }
}

test('without a store nothing is run', async () => {
  const store = new Away();
  store.away.add('begin');
  const { send } = setup({ store });
  const answer = await send(signed('msg_1', paid), () => assert.fail('it must not run'));
  assert.equal(answer.status, 503);
  assert.ok(Number(answer.headers['retry-after']) >= 1);
});

test('without a store events run only where that was asked for', async () => {
  const store = new Away();
  store.away.add('begin');
  const { send, notices } = setup({ store, onUnavailable: 'run' });
  assert.equal((await send(signed('msg_1', paid))).status, 200);
  assert.deepEqual(kinds(notices), ['unavailable', 'ran_unprotected']);
});

test('an effect whose record cannot be completed is answered with 2xx and completed later', async () => {
  const store = new Away();
  store.away.add('complete');
  const { send, notices, receiver } = setup({ store });
  assert.deepEqual(receipt(await send(signed('msg_1', paid))), [200, 'processed']);
  assert.equal(kinds(notices).at(-1), 'complete_failed');
  store.away.clear();
  await receiver.drain();
  assert.equal(kinds(notices).at(-1), 'completed');
});

test('a failure that cannot be written down comes again', async () => {
  const store = new Away();
  store.away.add('fail');
  const { send } = setup({ store, onUnavailable: 'run' });
  let runs = 0;
  const answer = await send(signed('msg_1', paid), () => {
    runs += 1;
    throw new PermanentFailure('no such order');
  });
  assert.equal(answer.status, 503);
  assert.equal(runs, 1);
});

test('a handler past its deadline goes on, and its effect counts', async () => {
  const { send, receiver, store } = setup({ deadlineMs: 30, leaseMs: 60_000 });
  let finish = (): void => undefined;
  let aborted = false;
  const blocked = new Promise<void>((resolve) => (finish = resolve));
  const late = await send(signed('msg_1', paid), async (event) => {
    await blocked;
    aborted = event.signal.aborted;
    return { body: 'late' };
  });
  assert.deepEqual(receipt(late), [503, 'in-progress']);
  finish();
  await receiver.drain();
  assert.ok(aborted);
  const kept = await store.lookup(scopeKey({ source: 'standard_webhooks' }, ['msg_1']));
  assert.equal(kept?.state, 'completed');
});

test('a lease is renewed while the handler works', async () => {
  const { send } = setup({ leaseMs: 90, deadlineMs: 10_000 });
  const first = send(signed('msg_1', paid), () => pause(400));
  await pause(250);
  assert.deepEqual(receipt(await send(signed('msg_1', paid))), [503, 'in-progress']);
  assert.deepEqual(receipt(await first), [200, 'processed']);
});

test('who is overtaken is told to stop, and its answer is not kept', async () => {
  class Frozen extends MemoryStore {
    frozen = false;
    override async renew(...args: Parameters<MemoryStore['renew']>): ReturnType<MemoryStore['renew']> {
      if (this.frozen) throw new Unavailable('the process stood still');
      return super.renew(...args);
    }
  }
  const store = new Frozen();
  const { send, notices } = setup({ store, leaseMs: 60, deadlineMs: 10_000, waitMs: 2_000 });
  store.frozen = true;
  let finish = (): void => undefined;
  const stopped = new Promise<void>((resolve) => (finish = resolve));
  const first = send(signed('msg_1', paid), async (event) => {
    event.signal.addEventListener('abort', () => finish());
    await stopped;
    return { body: 'first' };
  });
  const second = send(signed('msg_1', paid), async () => {
    store.frozen = false;
    await stopped;
    return { body: 'second' };
  });
  assert.equal((await first).status, 200);
  assert.deepEqual(receipt(await second), [200, 'processed']);
  assert.ok(kinds(notices).includes('lease_lost'));
  assert.ok(kinds(notices).includes('complete_fenced'));
  assert.equal((await send(signed('msg_1', paid))).body.toString(), 'second');
});

test('a step is done once over all runs, and gets one key', async () => {
  const { send } = setup({ retryAfterMs: 0 });
  const charged: string[] = [];
  const mailed: string[] = [];
  const handler: Handler = async (event) => {
    const charge = await event.step('charge', (key) => (charged.push(key), { id: charged.length }));
    assert.deepEqual(charge, { id: 1 });
    await event.step('mail', (key) => {
      mailed.push(key);
      if (mailed.length === 1) throw new Error('the mail server is away');
    });
  };
  assert.equal((await send(signed('msg_1', paid), handler)).status, 503);
  assert.equal((await send(signed('msg_1', paid), handler)).status, 200);
  assert.equal(charged.length, 1);
  assert.equal(mailed.length, 2);
  assert.equal(mailed[0], mailed[1]);
  assert.notEqual(charged[0], mailed[0]);
});

test('a long answer is not kept, and the duplicate says so', async () => {
  const { send } = setup({ resultBytesMax: 10 });
  const handler: Handler = () => ({ body: 'x'.repeat(11) });
  assert.equal((await send(signed('msg_1', paid), handler)).body.length, 11);
  const again = await send(signed('msg_1', paid), handler);
  assert.deepEqual([...receipt(again), again.body.length], [200, 'duplicate', 0]);
});

test('a long body is refused before anything else', async () => {
  const { send } = setup({ bodyBytesMax: 100 });
  assert.equal((await send(signed('msg_1', { a: 'x'.repeat(200) }))).status, 413);
});

test('API mode: 409 in flight, stored status on a repeat, 409 on another payload', async () => {
  const { send } = setup({ mode: 'api' });
  let finish = (): void => undefined;
  const blocked = new Promise<void>((resolve) => (finish = resolve));
  const first = send(signed('msg_1', paid), async () => (await blocked, { status: 201, body: 'made' }));
  assert.deepEqual(receipt(await send(signed('msg_1', paid))), [409, undefined]);
  finish();
  assert.equal((await first).status, 201);
  const again = await send(signed('msg_1', paid));
  assert.deepEqual([...receipt(again), again.body.toString()], [201, 'duplicate', 'made']);
  assert.deepEqual(receipt(await send(signed('msg_1', { order: 8 }))), [409, 'rejected']);
});

test('API mode: a refusal is an answer, a failure is not kept', async () => {
  const { send } = setup({ mode: 'api', retryAfterMs: 0, conflictStatus: 422 });
  assert.equal((await send(signed('msg_1', paid), () => ({ status: 404, body: 'no' }))).status, 404);
  assert.deepEqual(receipt(await send(signed('msg_1', paid))), [404, undefined]);
  assert.equal((await send(signed('msg_1', { order: 8 }))).status, 422);
  const failing: Handler = () => ({ status: 502, body: 'upstream' });
  assert.equal((await send(signed('msg_2', paid), failing)).body.toString(), 'upstream');
  assert.deepEqual(receipt(await send(signed('msg_2', paid))), [200, 'processed']);
});

test('an event is remembered for longer than its provider repeats it', () => {
  const options = { provider: stripe('whsec_x'), store: new MemoryStore() };
  assert.throws(() => new Receiver({ ...options, retentionMs: 60_000 }), /259200000 ms.*60000 ms/);
  assert.ok(new Receiver(options));
});

test('a receiver that is drained takes no more', async () => {
  const { send, receiver } = setup();
  await receiver.drain();
  assert.equal((await send(signed('msg_1', paid))).status, 503);
});

test('tenants and consumers never meet', async () => {
  const store = new MemoryStore();
  const of = (tenant: string, consumer: string): Setup => setup({ store, tenant: () => tenant, consumer });
  for (const [tenant, consumer] of [['a', 'x'], ['b', 'x'], ['a', 'y'], ['ax', '']] as const) {
    assert.deepEqual(receipt(await of(tenant, consumer).send(signed('msg_1', paid))), [200, 'processed']);
  }
  assert.deepEqual(receipt(await of('a', 'x').send(signed('msg_1', paid))), [200, 'duplicate']);
});

test('v3_claim_and_effect_are_one_commit', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  await pool.query('CREATE TABLE effects (order_id text)');
  const { send } = setup({ retryAfterMs: 0, store: new PostgresTransactions(pool) as never });
  const book: Handler = (event) => (event.tx as unknown as typeof pool).query("INSERT INTO effects VALUES ('7')").then(() => undefined);
  const count = async (): Promise<number> => (await pool.query('SELECT 1 FROM effects')).rowCount ?? 0;
  const failed = await send(signed('msg_1', paid), async (event) => {
    await book(event);
    throw new Error('after the effect');
  });
  assert.deepEqual([failed.status, await count()], [503, 0]);
  const attempts: number[] = [];
  const run: Handler = (event) => (attempts.push(event.attempt), book(event));
  assert.deepEqual(receipt(await send(signed('msg_1', paid), run)), [200, 'processed']);
  assert.deepEqual(receipt(await send(signed('msg_1', paid), run)), [200, 'duplicate']);
  assert.deepEqual([attempts, await count()], [[2], 1]);
});

test('of 16 at once in transactions one runs, and the others get its answer', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  const { send } = setup({ waitMs: 5_000, store: new PostgresTransactions(pool) as never });
  let runs = 0;
  const answers = await Promise.all(
    Array.from({ length: 16 }, () => send(signed('msg_1', paid), () => pause(50).then(() => void (runs += 1)))),
  );
  assert.equal(runs, 1);
  assert.equal(answers.filter((answer) => answer.headers['hooklatch-receipt'] === 'duplicate').length, 15);
});

test('a duplicate of a transaction in flight is told to come again', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  const { send } = setup({ waitMs: 50, store: new PostgresTransactions(pool) as never });
  let finish = (): void => undefined;
  const blocked = new Promise<void>((resolve) => (finish = resolve));
  let started = (): void => undefined;
  const running = new Promise<void>((resolve) => (started = resolve));
  const first = send(signed('msg_1', paid), () => (started(), blocked));
  await running;
  assert.deepEqual(receipt(await send(signed('msg_1', paid))), [503, 'in-progress']);
  finish();
  assert.equal((await first).status, 200);
});

test('a transaction that the database wants again is done again', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  await pool.query('CREATE TABLE effects (order_id text)');
  const { send } = setup({ store: new PostgresTransactions(pool) as never });
  let runs = 0;
  const answer = await send(signed('msg_1', paid), async (event) => {
    const tx = event.tx as unknown as typeof pool;
    await tx.query("INSERT INTO effects VALUES ('7')");
    runs += 1;
    if (runs === 1) await tx.query("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$");
  });
  assert.deepEqual([...receipt(answer), runs], [200, 'processed', 2]);
  assert.equal((await pool.query('SELECT 1 FROM effects')).rowCount, 1);
});

test('an event that always fails in its transaction is given up', async (context) => {
  const { pool, close } = await database();
  context.after(close);
  const { send } = setup({ retryAfterMs: 0, attemptsMax: 2, store: new PostgresTransactions(pool) as never });
  const failing: Handler = () => {
    throw new Error('always');
  };
  const statuses: number[] = [];
  for (let n = 0; n < 4; n += 1) statuses.push((await send(signed('msg_1', paid), failing)).status);
  assert.deepEqual(statuses, [503, 503, 200, 200]);
});
