// As published snippets have it: note the id first, acknowledge whatever was seen before. Where the
// process dies between the two statements, the order is never booked: this is here to be caught.

import { createHmac, timingSafeEqual } from 'node:crypto';

import express from 'express';

export async function bookNaively(pool, secret) {
  await pool.query('CREATE TABLE IF NOT EXISTS seen_events (id text PRIMARY KEY)');
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const handle = async (request, response) => {
    if (!verified(key, request)) return response.status(401).end();
    const seen = await pool.query('INSERT INTO seen_events VALUES ($1) ON CONFLICT DO NOTHING', [
      request.get('webhook-id'),
    ]);
    if (seen.rowCount === 0) return response.status(200).json({ duplicate: true });
    const { order_id } = JSON.parse(request.body.toString('utf8'));
    await pool.query('INSERT INTO effects (order_id) VALUES ($1)', [order_id]);
    return response.json({ booked: order_id });
  };
  return [express.raw({ type: () => true }), handle];
}

function verified(key, request) {
  const id = request.get('webhook-id') ?? '';
  const time = request.get('webhook-timestamp') ?? '';
  if (!(Math.abs(Date.now() / 1_000 - Number(time)) <= 300)) return false;
  const expected = createHmac('sha256', key).update(`${id}.${time}.`).update(request.body).digest();
  return (request.get('webhook-signature') ?? '').split(' ').some((item) => {
    const given = Buffer.from(item.replace(/^v1,/, ''), 'base64');
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}
