// Claims in the transaction of the work itself: record and effect are one commit, so the effect is
// there exactly once, in that database.

import type { Steps } from './event.js';
import type { Begin, BeginRequest, ClaimStore, Run } from './outcomes.js';

/** What a transaction is asked for. */
export interface TransactRequest extends BeginRequest {
  /** How long to wait for another transaction that holds the key. */
  readonly waitMs: number;
}

/** A database that can hold the claim and the effect. */
export interface Transactions<Tx> {
  /** The same records outside of any transaction: where failures are counted. */
  readonly leased: ClaimStore;
  /**
   * Begins, and where the outcome is `Run` does the work, completes and commits; `work` may be
   * done again where the database asks for it. An error of `work` rolls back and is thrown on.
   */
  transact(
    request: TransactRequest,
    work: (tx: Tx, run: Run, steps: Steps) => Promise<Uint8Array>,
  ): Promise<Begin>;
}

/** Which of the two a store is. */
export function isTransactions<Tx>(store: ClaimStore | Transactions<Tx>): store is Transactions<Tx> {
  return 'transact' in store;
}
