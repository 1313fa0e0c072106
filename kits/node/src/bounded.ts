// A limit on every wait for a store: a receiver that hangs answers nobody.

import { Unavailable } from './outcomes.js';

/** What `work` gives, or `Unavailable` if it fails or takes longer than `timeoutMs`. */
export async function bounded<T>(what: string, timeoutMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } catch (cause) {
    throw new Unavailable(`${what} is unavailable`, { cause });
  } finally {
    clearTimeout(timer);
  }
}
