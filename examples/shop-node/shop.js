// A shop that books each paid order. HANDLER chooses how: `naive`, as published snippets have it,
// or `kit`. The contract is in examples/README.md.

import express from 'express';
import pg from 'pg';

import { bookWithKit } from './kit.js';
import { bookNaively } from './naive.js';

const HANDLERS = { naive: bookNaively, kit: bookWithKit };

const setting = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: see examples/README.md`);
  return value;
};

const pool = new pg.Pool({ connectionString: setting('DATABASE_URL'), connectionTimeoutMillis: 5_000 });
pool.on('error', (error) => console.error(`a connection was lost: ${error.message}`));

await pool.query(`SELECT pg_advisory_xact_lock(1);
  CREATE TABLE IF NOT EXISTS effects (
    order_id text NOT NULL,
    booked_at timestamptz NOT NULL DEFAULT clock_timestamp())`);

const makeHandler = HANDLERS[setting('HANDLER')];
if (makeHandler === undefined) throw new Error('HANDLER is naive or kit');

const app = express();
app.post('/webhooks', await makeHandler(pool, setting('WEBHOOK_SECRET')));

app.get('/effects', async (_request, response) => {
  const { rows } = await pool.query(
    'SELECT order_id, count(*)::integer AS times FROM effects GROUP BY order_id ORDER BY order_id',
  );
  response.json({ effects: Object.fromEntries(rows.map((row) => [row.order_id, row.times])) });
});

const port = Number(setting('PORT'));
const server = app.listen(port, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${port}`);
});

process.on('SIGTERM', () => {
  server.close(async () => {
    await pool.end();
    process.exit(0);
  });
  server.closeIdleConnections();
});
