// Claims by the gateway's API: against a real gateway where HOOKLATCH_TEST_GATEWAY_URL and
// HOOKLATCH_TEST_GATEWAY_KEY name one, as kits/run does, and against one that fails.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { Unavailable, fingerprint, scopeKey, type BeginRequest } from '../src/index.js';
import { GatewayStore } from '../src/gateway.js';
import { API_KEY, listening } from './support/gateway.js';
import { failures, vectors } from './support/vectors.js';

const url = process.env['HOOKLATCH_TEST_GATEWAY_URL'] ?? '';
const apiKey = process.env['HOOKLATCH_TEST_GATEWAY_KEY'] ?? '';
const skip = url === '' && 'HOOKLATCH_TEST_GATEWAY_URL names no gateway; kits/run starts one';

const request: BeginRequest = {
  key: scopeKey({ source: 'shop' }, ['evt_1']),
  fingerprint: fingerprint(Buffer.from('{}')),
  leaseMs: 60_000,
  retentionMs: 86_400_000,
};

function store(): GatewayStore {
  const scope = `test ${randomBytes(6).toString('hex')}`;
  return new GatewayStore({ url, apiKey, scope, timeoutMs: 30_000 });
}

test('the store in the gateway passes the vectors', { skip }, async () => {
  const machine = [...vectors.machine, ...vectors.machine_more];
  assert.deepEqual(await failures(store(), machine), new Map());
});

test('l2_a_result_may_be_any_bytes_and_metadata_is_kept', { skip }, async () => {
  const claims = store();
  const metadata = { provider: 'stripe', eventType: 'charge', receivedAtMs: 1_767_225_600_123 };
  const run = await claims.begin({ ...request, metadata });
  assert.ok(run.outcome === 'run');
  const result = Buffer.from([0, 255, 10]);
  assert.equal(await claims.complete(run, result, 86_400_000), 'applied');
  const done = await claims.begin(request);
  assert.ok(done.outcome === 'done');
  assert.deepEqual(done.result, result);
  assert.deepEqual((await claims.lookup(request.key))?.metadata, metadata);
});

test('two scopes of one project do not meet', { skip }, async () => {
  assert.equal((await store().begin(request)).outcome, 'run');
  assert.equal((await store().begin(request)).outcome, 'run');
});

test('whatever is no answer of the claim API is unavailable, and says no secret', async (context) => {
  let status = 0;
  const server = createServer((incoming, response) => {
    incoming.resume();
    response.writeHead(status, { 'content-type': 'application/json' }).end('{"detail":"no"}');
  });
  const failing = await listening(server);
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const claims = new GatewayStore({ url: failing, apiKey: API_KEY, scope: 'shop' });
  for (status of [200, 201, 302, 400, 401, 404, 429, 500, 503]) {
    const error: unknown = await claims.begin(request).catch((reason: unknown) => reason);
    assert.ok(error instanceof Unavailable, String(status));
    assert.doesNotMatch(`${error.message} ${String(error.cause)}`, new RegExp(API_KEY));
  }
  const away = new GatewayStore({ url: 'http://127.0.0.1:9', apiKey: API_KEY, scope: 'shop' });
  await assert.rejects(away.begin(request), Unavailable);
});
