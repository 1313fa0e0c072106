// Claims by the gateway's API.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Unavailable, fingerprint, scopeKey, type BeginRequest } from '../src/index.js';
import { GatewayStore } from '../src/gateway.js';
import { API_KEY, startGateway } from './support/gateway.js';

const request: BeginRequest = {
  key: scopeKey({ source: 'shop' }, ['evt_1']),
  fingerprint: fingerprint(Buffer.from('{}')),
  leaseMs: 60_000,
  retentionMs: 86_400_000,
};

test('l2_a_claim_is_acquired_completed_and_replayed', async (context) => {
  const gateway = await startGateway();
  context.after(gateway.close);
  const store = new GatewayStore({ url: gateway.url, apiKey: API_KEY, scope: 'shop' });
  const run = await store.begin(request);
  assert.ok(run.outcome === 'run' && run.attempt === 1);
  assert.deepEqual(gateway.seen[0], {
    path: '/v1/claims',
    body: {
      scope: 'shop',
      key: request.key.toString('hex'),
      fingerprint: request.fingerprint.toString('hex'),
      lease_seconds: 60,
      window_seconds: 86_400,
    },
  });
  const busy = await store.begin(request);
  assert.ok(busy.outcome === 'busy' && busy.retryAfterMs > 0);
  assert.equal(await store.renew(run, 60_000), 'ok');
  const other = { ...request, fingerprint: fingerprint(Buffer.from('[]')) };
  assert.equal((await store.begin(other)).outcome, 'conflict');
  assert.equal(await store.complete(run, Buffer.from('paid'), 1), 'applied');
  assert.equal(await store.complete(run, Buffer.from('twice'), 1), 'already_complete');
  assert.equal(await store.release(run, 0, 'late'), 'fenced');
  const done = await store.begin(request);
  assert.ok(done.outcome === 'done' && done.result.toString() === 'paid');
});

test('l2_a_released_claim_is_run_again_and_the_old_token_is_fenced', async (context) => {
  const gateway = await startGateway();
  context.after(gateway.close);
  const store = new GatewayStore({ url: gateway.url, apiKey: API_KEY, scope: 'shop' });
  const first = await store.begin(request);
  assert.ok(first.outcome === 'run');
  assert.equal(await store.release(first, 0, 'the bank is closed'), 'ok');
  const second = await store.begin(request);
  assert.ok(second.outcome === 'run' && second.attempt === 2);
  assert.equal(await store.complete(first, Buffer.from('old'), 1), 'fenced');
  assert.equal(await store.fail(second, 'no such order', 1), 'ok');
  assert.equal((await store.begin(request)).outcome, 'dead');
});

test('a key whose attempts are used up is dead instead of run', async (context) => {
  const gateway = await startGateway();
  context.after(gateway.close);
  const store = new GatewayStore({ url: gateway.url, apiKey: API_KEY, scope: 'shop' });
  const capped = { ...request, attemptsMax: 1 };
  const first = await store.begin(capped);
  assert.ok(first.outcome === 'run');
  await store.release(first, 0, 'the bank is closed');
  assert.equal((await store.begin(capped)).outcome, 'dead');
  assert.equal((await store.begin(capped)).outcome, 'dead');
  assert.equal(gateway.seen.at(-2)?.path.endsWith('/fail'), true);
});

test('whatever is no answer of the claim API is unavailable, and says no secret', async (context) => {
  const gateway = await startGateway();
  context.after(gateway.close);
  const store = new GatewayStore({ url: gateway.url, apiKey: API_KEY, scope: 'shop' });
  for (const status of [201, 302, 400, 429, 500, 503]) {
    gateway.failWith = status;
    const error: unknown = await store.begin(request).catch((reason: unknown) => reason);
    assert.ok(error instanceof Unavailable, String(status));
    assert.doesNotMatch(`${error.message} ${String(error.cause)}`, new RegExp(API_KEY));
  }
  gateway.failWith = null;
  const stranger = new GatewayStore({ url: gateway.url, apiKey: 'hl_other', scope: 'shop' });
  await assert.rejects(stranger.begin(request), Unavailable);
  const away = new GatewayStore({ url: 'http://127.0.0.1:9', apiKey: API_KEY, scope: 'shop' });
  await assert.rejects(away.begin(request), Unavailable);
});
