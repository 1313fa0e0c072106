// What a provider hears when a run's end cannot be recorded: the vectors that the kits share.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Receiver, Unavailable, standardWebhooks, type Completed, type Ended } from '../src/index.js';
import { MemoryStore } from '../src/memory.js';
import { SECRET, signed } from './support/requests.js';
import { vectors } from './support/vectors.js';

/** Says of the end of a run what a vector has it say. */
class Scripted extends MemoryStore {
  renewed: () => void = () => undefined;
  readonly told = new Promise<void>((resolve) => (this.renewed = resolve));

  constructor(private readonly vector: Record<string, string | undefined>) {
    super();
  }

  private said<T extends string>(operation: string, otherwise: T): T {
    const said = this.vector[operation] ?? otherwise;
    if (said === 'unavailable') throw new Unavailable('the connection broke');
    return said as T;
  }

  override async complete(): Promise<Completed> {
    return this.said<Completed>('complete', 'applied');
  }

  override async release(): Promise<Ended> {
    return this.said<Ended>('release', 'ok');
  }

  override async fail(): Promise<Ended> {
    return this.said<Ended>('fail', 'ok');
  }

  override async renew(): Promise<Ended> {
    setImmediate(this.renewed);
    return this.said<Ended>('renew', 'ok');
  }
}

for (const vector of vectors.answers) {
  test(`v5_${vector.id}: ${vector.name}`, async () => {
    const store = new Scripted(vector);
    const receiver = new Receiver({
      provider: standardWebhooks(SECRET),
      store,
      waitMs: 0,
      leaseMs: 60,
      deadlineMs: 20_000,
    });
    const { headers, body } = signed('msg_1', { type: 'order.paid', order: 7 });
    const request = { method: 'POST', url: '/hooks', headers: Object.entries(headers), body: Buffer.from(body) };
    const answer = await receiver.receive(request, async () => {
      // It does not let itself be stopped: it is in the middle of its effect.
      if (vector.renew !== undefined) await store.told;
      return { status: vector.handler_status };
    });
    assert.equal(answer.status, vector.status);
    assert.equal(answer.headers['hooklatch-receipt'] ?? null, vector.receipt);
  });
}
