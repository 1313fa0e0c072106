// What a receiver tells while it works: one notice for each transition. Count them; alert on
// `complete_failed`, `complete_fenced`, `payload_mismatch`, `dead` and `ran_unprotected`.

/** What happened. */
export type NoticeKind =
  | 'reserved'
  | 'taken_over'
  | 'completed'
  | 'duplicate_in_flight'
  | 'duplicate_completed'
  | 'payload_mismatch'
  | 'released'
  | 'dead'
  | 'dead_again'
  | 'lease_lost'
  | 'renew_failed'
  | 'release_failed'
  | 'complete_failed'
  | 'complete_fenced'
  | 'unavailable'
  | 'ran_unprotected';

/** One transition. It never holds a body, a header or a secret. */
export interface Notice {
  readonly kind: NoticeKind;
  /** The claimed key; null where there is none. */
  readonly key: Buffer | null;
  /** The error or the reason, where there is one. */
  readonly cause?: unknown;
}
