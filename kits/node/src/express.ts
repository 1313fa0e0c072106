// Express, and anything else that hands out Node's own request and response. Mount it without a
// body parser: a signature covers the raw bytes.

import type { IncomingMessage, ServerResponse } from 'node:http';

import { readBody } from './body.js';
import type { Handler } from './event.js';
import type { Receiver } from './receiver.js';
import type { Answer } from './results.js';

/** A request as Express has it; `body` is set where a parser ran before. */
export type ExpressRequest = IncomingMessage & { originalUrl?: string; body?: unknown };

/**
 * A route's handler: `app.post('/webhooks', hooks(receiver, async (event) => …))`. Where
 * `express.raw()` ran before, its buffer is taken; a body that another parser has read is refused
 * with an error, since its bytes are gone.
 */
export function hooks<Tx>(
  receiver: Receiver<Tx>,
  handler: Handler<Tx>,
): (request: ExpressRequest, response: ServerResponse, next?: (error: unknown) => void) => void {
  const handle = async (request: ExpressRequest, response: ServerResponse): Promise<void> => {
    const body = await bytesOf(request, receiver.bodyBytesMax);
    const answer = await receiver.receive(
      {
        method: request.method ?? 'POST',
        url: request.originalUrl ?? request.url ?? '/',
        headers: Object.entries(request.headers),
        body,
      },
      handler,
    );
    send(response, answer);
  };
  return (request, response, next) => {
    handle(request, response).catch((error: unknown) => {
      if (next !== undefined) return next(error);
      if (!response.headersSent) response.writeHead(500).end();
    });
  };
}

async function bytesOf(request: ExpressRequest, bytesMax: number): Promise<Uint8Array> {
  if (request.body instanceof Uint8Array) return request.body;
  if (request.readableEnded) {
    throw new Error('a body parser has read the request: mount the webhook route before it');
  }
  return readBody(request, bytesMax);
}

function send(response: ServerResponse, answer: Answer): void {
  // The client may have hung up; the work is done all the same.
  if (response.destroyed) return;
  if (answer.status === 413) response.setHeader('connection', 'close');
  response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.length });
  response.end(answer.body);
}
