// With the kit: the claim, the booking and the kept answer are one commit.

import { Receiver, standardWebhooks } from '@hooklatch/receiver';
import { hooks } from '@hooklatch/receiver/express';
import { PostgresTransactions } from '@hooklatch/receiver/postgres';

export async function bookWithKit(pool, secret) {
  const store = new PostgresTransactions(pool);
  await store.leased.migrate();
  const receiver = new Receiver({
    provider: standardWebhooks(secret),
    consumer: 'shop',
    store,
    notify: ({ kind, cause }) => {
      if (kind === 'unavailable' || kind === 'released') console.error(kind, cause);
    },
  });
  return hooks(receiver, async (event) => {
    const { order_id } = event.json();
    await event.tx.query('INSERT INTO effects (order_id) VALUES ($1)', [order_id]);
    return { body: { booked: order_id } };
  });
}
