// `Request` to `Response`: Hono, SvelteKit, Next.js route handlers, Bun, Deno and whatever else
// speaks Fetch.

import { readBody } from './body.js';
import type { Handler } from './event.js';
import type { Receiver } from './receiver.js';

/** `export const POST = hooks(receiver, async (event) => …)`. */
export function hooks<Tx>(
  receiver: Receiver<Tx>,
  handler: Handler<Tx>,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const url = new URL(request.url);
    const body = request.body === null ? new Uint8Array() : await readBody(request.body, receiver.bodyBytesMax);
    const answer = await receiver.receive(
      { method: request.method, url: url.pathname + url.search, headers: request.headers, body },
      handler,
    );
    // 204 and 304 must come without a body, even an empty one.
    const none = answer.status === 204 || answer.status === 304;
    return new Response(none ? null : answer.body, { status: answer.status, headers: answer.headers });
  };
}
