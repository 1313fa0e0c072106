// How a handler ended, whatever it did: answered, failed for now, or failed for good.

import type { Handler, HookEvent } from './event.js';
import { PermanentFailure, RetryLater } from './outcomes.js';
import { answerOf, type Answer } from './results.js';

/** The end of a handler. */
export type Ending =
  | { readonly kind: 'answered'; readonly answer: Answer }
  | {
      readonly kind: 'retryable';
      readonly error: string;
      readonly retryAfterMs: number | null;
      readonly cause: unknown;
    }
  | { readonly kind: 'permanent'; readonly error: string };

/** Runs a handler to its end. It never throws. */
export async function ended<Tx>(handler: Handler<Tx>, event: HookEvent<Tx>): Promise<Ending> {
  try {
    return { kind: 'answered', answer: await answerOf(await handler(event)) };
  } catch (error) {
    return failureOf(error);
  }
}

/** What an error of a handler means. */
export function failureOf(error: unknown): Ending {
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof PermanentFailure) return { kind: 'permanent', error: text };
  const retryAfterMs = error instanceof RetryLater ? error.retryAfterMs : null;
  return { kind: 'retryable', error: text, retryAfterMs, cause: error };
}
