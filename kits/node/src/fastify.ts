// Fastify: a plugin with one route, which reads its body raw. The parser holds for this plugin
// alone; the rest of the application keeps its own.

import type { Handler } from './event.js';
import type { Receiver } from './receiver.js';

/** What is used of a Fastify instance. */
interface FastifyInstance {
  removeAllContentTypeParsers(): unknown;
  addContentTypeParser(
    type: string,
    options: { parseAs: 'buffer'; bodyLimit: number },
    parser: (request: unknown, body: any, done: (error: null, body: Buffer) => void) => void,
  ): unknown;
  route(options: any): unknown;
}

interface FastifyRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: unknown;
}

interface FastifyReply {
  code(status: number): FastifyReply;
  headers(headers: Record<string, string>): FastifyReply;
  send(body: Buffer): unknown;
}

/** `app.register(hooks('/webhooks', receiver, async (event) => …))`. */
export function hooks<Tx>(
  path: string,
  receiver: Receiver<Tx>,
  handler: Handler<Tx>,
): (app: any) => Promise<void> {
  return async (app: FastifyInstance) => {
    app.removeAllContentTypeParsers();
    const limits = { parseAs: 'buffer', bodyLimit: receiver.bodyBytesMax } as const;
    app.addContentTypeParser('*', limits, (_request, body, done) => done(null, body));
    app.route({
      method: 'POST',
      url: path,
      handler: async (request: FastifyRequest, reply: FastifyReply) => {
        const body = request.body instanceof Uint8Array ? request.body : Buffer.alloc(0);
        const { method, url, headers } = request;
        const parts = { method, url, headers: Object.entries(headers), body };
        const answer = await receiver.receive(parts, handler);
        return reply.code(answer.status).headers({ ...answer.headers }).send(answer.body);
      },
    });
  };
}
