// What tests of the gateway's store share.

import type { Server } from 'node:http';

export const API_KEY = 'hl_0123456789abcdef0123456789abcdef';

/** Listens on a free port of loopback; answers the URL. */
export function listening(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
    });
  });
}
