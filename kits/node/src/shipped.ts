// The SQL and the Redis scripts, which receiver kits in every language share, as files beside the
// compiled code.

import { existsSync, readFileSync } from 'node:fs';

/** The text of a file of this package, such as `sql/postgres.sql`. */
export function shipped(path: string): string {
  let folder = new URL('./', import.meta.url);
  while (!existsSync(new URL('package.json', folder))) {
    const parent = new URL('../', folder);
    if (parent.href === folder.href) throw new Error(`${path} was not installed with the package`);
    folder = parent;
  }
  return readFileSync(new URL(path, folder), 'utf8');
}
