// A request as the kit sees it, whatever the web framework: raw bytes, looked at once.

import { readJson, type Node } from './json.js';

/** What an adapter hands in. */
export interface RequestParts {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** A header that came several times: its values joined by a comma and a blank. */
  readonly headers: Iterable<readonly [string, string | readonly string[] | undefined]>;
  readonly body: Uint8Array;
}

/** The request: its body is the raw bytes, since a signature covers nothing else. */
export class HookRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
  private readonly headers = new Map<string, string>();
  private read: Node | null | undefined;

  constructor(parts: RequestParts) {
    const mark = parts.url.indexOf('?');
    this.method = parts.method.toUpperCase();
    this.path = mark < 0 ? parts.url : parts.url.slice(0, mark);
    this.query = new URLSearchParams(mark < 0 ? '' : parts.url.slice(mark + 1));
    this.body = Buffer.from(parts.body.buffer, parts.body.byteOffset, parts.body.byteLength);
    for (const [name, value] of parts.headers) {
      if (value === undefined) continue;
      this.headers.set(name.toLowerCase(), typeof value === 'string' ? value : value.join(', '));
    }
  }

  /** A header's value, or null. */
  header(name: string): string | null {
    return this.headers.get(name.toLowerCase()) ?? null;
  }

  /** The body as JSON with exact numbers, or null where it is none. Read once. */
  document(): Node | null {
    if (this.read === undefined) this.read = readJson(this.body);
    return this.read;
  }
}
