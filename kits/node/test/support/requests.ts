// Signed requests, as a sender of Standard Webhooks makes them.

import { createHmac } from 'node:crypto';

export const SECRET = `whsec_${Buffer.from('a secret of the tests, 32 bytes!').toString('base64')}`;

export interface Signed {
  readonly method: 'POST';
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** A request that `standardWebhooks(SECRET)` accepts. */
export function signed(id: string, payload: unknown): Signed {
  const body = JSON.stringify(payload);
  const time = String(Math.floor(Date.now() / 1_000));
  const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64');
  const mac = createHmac('sha256', key).update(`${id}.${time}.${body}`).digest('base64');
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': time,
    'webhook-signature': `v1,${mac}`,
  };
  return { method: 'POST', headers, body };
}
