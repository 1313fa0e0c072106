// Where a request carries the id of its event: `header:NAME`, `query:NAME` or `body:PATH`. A
// location is read when the receiver is made, so that a typing error is no surprise at the first
// delivery.

import { canonical, type Node } from './json.js';
import type { HookRequest } from './request.js';

/** One step of a path: a member's name or an element's index. */
type Step = string | number;

/** A place in a request that holds a part of the key. */
export interface Location {
  readonly text: string;
  /** The value, or null where there is none that can be a part: absent, empty, object, array. */
  read(request: HookRequest): string | null;
}

/** Reads `header:NAME`, `query:NAME` or `body:PATH`; throws where it is none of them. */
export function parseLocation(text: string): Location {
  const [, kind, name = ''] = /^(header|query|body):(.+)$/.exec(text) ?? [];
  switch (kind) {
    case 'header':
      return { text, read: (request) => nonEmpty(request.header(name)) };
    case 'query':
      return { text, read: (request) => nonEmpty(request.query.get(name)) };
    case 'body': {
      const path = parsePath(name);
      return { text, read: (request) => scalar(pick(request.document(), path)) };
    }
    default:
      throw new TypeError(`"${text}" is no location: header:NAME, query:NAME or body:PATH`);
  }
}

/** Reads a singular path such as `$.data.items[0].id`; the leading `$.` may be left out. */
export function parsePath(text: string): readonly Step[] {
  const steps: Step[] = [];
  const rest = text.replace(/^\$/, '').replace(/^(?=[^.[])/, '.');
  const pattern = /\.([^.[\]'"]+)|\[([0-9]{1,9})\]|\['([^'\\]+)'\]|\["([^"\\]+)"\]/y;
  while (pattern.lastIndex < rest.length) {
    const found = pattern.exec(rest);
    if (found === null) throw new TypeError(`"${text}" is no path of names and indexes`);
    const name = found[1] ?? found[3] ?? found[4];
    steps.push(name ?? Number(found[2]));
  }
  if (steps.length === 0) throw new TypeError(`"${text}" names nothing`);
  return steps;
}

/** The node at the end of a path. */
export function pick(document: Node | null, path: readonly Step[]): Node | null {
  let node = document;
  for (const step of path) {
    if (node?.kind === 'object' && typeof step === 'string') node = node.members.get(step) ?? null;
    else if (node?.kind === 'array' && typeof step === 'number') node = node.items[step] ?? null;
    else return null;
  }
  return node;
}

function scalar(node: Node | null): string | null {
  switch (node?.kind) {
    case 'string':
      // Half a surrogate pair has no bytes, so it can be no part of a key.
      return node.text.isWellFormed() ? nonEmpty(node.text) : null;
    case 'number':
      return canonical(node);
    case 'boolean':
      return String(node.value);
    default:
      return null;
  }
}

function nonEmpty(value: string | null): string | null {
  return value === null || value === '' ? null : value;
}
