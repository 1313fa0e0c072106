// The same receiver behind Express, Fastify and Fetch.

import assert from 'node:assert/strict';
import { createServer, request as open } from 'node:http';
import { test, type TestContext } from 'node:test';

import express from 'express';
import fastify from 'fastify';

import { Receiver, scopeKey, standardWebhooks, type Handler } from '../src/index.js';
import { hooks as expressHooks } from '../src/express.js';
import { hooks as fastifyHooks } from '../src/fastify.js';
import { hooks as fetchHooks } from '../src/fetch.js';
import { MemoryStore } from '../src/memory.js';
import { listening } from './support/gateway.js';
import { SECRET, signed } from './support/requests.js';

type Send = (path: string, init: RequestInit) => Promise<Response>;
type Mount = (context: TestContext, receiver: Receiver, handler: Handler) => Promise<Send>;

const over = (url: string): Send => (path, init) => fetch(url + path, init);

const mounts: Record<string, Mount> = {
  express: async (context, receiver, handler) => {
    const app = express();
    app.post('/hooks', expressHooks(receiver, handler));
    const server = createServer(app);
    context.after(() => server.close());
    return over(await listening(server));
  },
  'express behind express.raw': async (context, receiver, handler) => {
    const app = express();
    app.use(express.raw({ type: () => true }));
    app.post('/hooks', expressHooks(receiver, handler));
    const server = createServer(app);
    context.after(() => server.close());
    return over(await listening(server));
  },
  fastify: async (context, receiver, handler) => {
    const app = fastify();
    app.post('/else', async (request) => ({ parsed: request.body }));
    await app.register(fastifyHooks('/hooks', receiver, handler));
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    context.after(() => app.close());
    return over(url);
  },
  fetch: async (_context, receiver, handler) => {
    const handle = fetchHooks(receiver, handler);
    return (path, init) => handle(new Request(`http://shop.test${path}`, init));
  },
};

for (const [name, mount] of Object.entries(mounts)) {
  test(`${name}: an event is run once, over its raw bytes`, async (context) => {
    const receiver = new Receiver({ provider: standardWebhooks(SECRET), store: new MemoryStore(), bodyBytesMax: 2_000 });
    const runs: unknown[] = [];
    const send = await mount(context, receiver, (event) => {
      runs.push(event.json());
      return { status: 202, headers: { 'X-Shop': 'yes' }, body: { booked: 7 } };
    });
    const event = signed('msg_1', { order: 7, name: 'Åsa  🎣' });
    const first = await send('/hooks?from=test', event);
    assert.equal(first.status, 202);
    assert.equal(first.headers.get('hooklatch-receipt'), 'processed');
    assert.equal(first.headers.get('x-shop'), 'yes');
    assert.deepEqual(await first.json(), { booked: 7 });
    const again = await send('/hooks', event);
    assert.equal(again.status, 200);
    assert.equal(again.headers.get('hooklatch-receipt'), 'duplicate');
    assert.deepEqual(await again.json(), { booked: 7 });
    const forged = await send('/hooks', { ...event, body: `${event.body} ` });
    assert.equal(forged.status, 401);
    const long = await send('/hooks', signed('msg_2', 'x'.repeat(3_000)));
    assert.equal(long.status, 413);
    assert.deepEqual(runs, [{ order: 7, name: 'Åsa  🎣' }]);
  });

  test(`${name}: 32 at once are run once`, async (context) => {
    const receiver = new Receiver({ provider: standardWebhooks(SECRET), store: new MemoryStore() });
    let runs = 0;
    const send = await mount(context, receiver, () => void (runs += 1));
    const event = signed('msg_1', { order: 7 });
    const answers = await Promise.all(Array.from({ length: 32 }, () => send('/hooks', event)));
    assert.equal(runs, 1);
    assert.ok(answers.every((answer) => answer.status === 200));
  });
}

test('fastify: the rest of the application keeps its parsers', async (context) => {
  const receiver = new Receiver({ provider: standardWebhooks(SECRET), store: new MemoryStore() });
  const send = await mounts['fastify']!(context, receiver, () => undefined);
  const { headers, body } = signed('msg_1', { order: 7 });
  assert.deepEqual(await (await send('/else', { method: 'POST', headers, body })).json(), { parsed: { order: 7 } });
});

test('express: a parsed body is refused with an error that says what to do', async (context) => {
  const receiver = new Receiver({ provider: standardWebhooks(SECRET), store: new MemoryStore() });
  const app = express();
  const errors: string[] = [];
  app.use(express.json());
  app.post('/hooks', expressHooks(receiver, () => undefined));
  app.use((error: Error, _request: unknown, response: express.Response, _next: unknown) => {
    errors.push(error.message);
    response.status(500).end();
  });
  const server = createServer(app);
  context.after(() => server.close());
  const answer = await fetch(`${await listening(server)}/hooks`, signed('msg_1', { order: 7 }));
  assert.equal(answer.status, 500);
  assert.match(errors[0]!, /mount the webhook route before/);
});

test('express: a client that hangs up stops nothing and frees nothing', async (context) => {
  const store = new MemoryStore();
  const receiver = new Receiver({ provider: standardWebhooks(SECRET), store, waitMs: 0 });
  let started = (): void => undefined;
  let finish = (): void => undefined;
  const running = new Promise<void>((resolve) => (started = resolve));
  const blocked = new Promise<void>((resolve) => (finish = resolve));
  let runs = 0;
  const app = express();
  app.post('/hooks', expressHooks(receiver, async () => {
    runs += 1;
    started();
    await blocked;
    return { body: 'booked' };
  }));
  const server = createServer(app);
  context.after(() => server.close());
  const url = `${await listening(server)}/hooks`;
  const event = signed('msg_1', { order: 7 });
  const client = open(url, { method: 'POST', headers: event.headers });
  client.on('error', () => undefined);
  client.end(event.body);
  await running;
  client.destroy();
  const during = await fetch(url, event);
  assert.deepEqual([during.status, during.headers.get('hooklatch-receipt')], [503, 'in-progress']);
  finish();
  await receiver.drain();
  assert.equal(runs, 1);
  const kept = await store.lookup(scopeKey({ source: 'standard_webhooks' }, ['msg_1']));
  assert.equal(kept?.state, 'completed');
});
