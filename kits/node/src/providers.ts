// Presets: how a provider signs, where it puts the id of an event, and for how long it may come
// again. A claim must be remembered longer than that.

import {
  githubVerifier,
  hmacVerifier,
  standardWebhooksVerifier,
  stripeVerifier,
  type HmacOptions,
  type Secrets,
  type Verifier,
} from './signatures.js';

/** What the receiver needs to know of a sender. */
export interface Provider {
  /** Also the default `source` of the keys. */
  readonly name: string;
  /** Null trusts everybody who can reach the route. */
  readonly verifier: Verifier | null;
  /** Locations of the key's parts, all of which must be there. */
  readonly key: readonly string[];
  readonly eventType: string | null;
  /** Paths that differ between two deliveries of one event. */
  readonly fingerprintExclude: readonly string[];
  /** How long the provider repeats by itself, in milliseconds. */
  readonly retryWindowMs: number;
}

const DAY_MS = 24 * 60 * 60 * 1_000;

/** Stripe: key `id`; repeats for 3 days, and `pending_webhooks` counts down meanwhile. */
export function stripe(secrets: Secrets): Provider {
  return {
    name: 'stripe',
    verifier: stripeVerifier(secrets),
    key: ['body:$.id'],
    eventType: 'body:$.type',
    fingerprintExclude: ['$.pending_webhooks'],
    retryWindowMs: 3 * DAY_MS,
  };
}

/**
 * GitHub: key `x-github-delivery`, which stays the same when a person redelivers, for 3 days. The
 * signature covers the body alone: who has seen a signed body can send it under another id.
 */
export function github(secrets: Secrets): Provider {
  return {
    name: 'github',
    verifier: githubVerifier(secrets),
    key: ['header:x-github-delivery'],
    eventType: 'header:x-github-event',
    fingerprintExclude: [],
    retryWindowMs: 3 * DAY_MS,
  };
}

/** Any sender of Standard Webhooks, hooklatch itself among them: key `webhook-id`, signed. */
export function standardWebhooks(secrets: Secrets): Provider {
  return {
    name: 'standard_webhooks',
    verifier: standardWebhooksVerifier(secrets),
    key: ['header:webhook-id'],
    eventType: 'body:$.type',
    fingerprintExclude: [],
    retryWindowMs: 4 * DAY_MS,
  };
}

/** A sender without a preset that signs the body with an HMAC. */
export function hmac(
  options: HmacOptions & Pick<Provider, 'name' | 'key'> & Partial<Provider>,
): Provider {
  return {
    eventType: null,
    fingerprintExclude: [],
    retryWindowMs: 0,
    ...options,
    verifier: hmacVerifier(options),
  };
}

/** Callers that are known by other means, such as your own clients in API mode. */
export function trusted(options: Pick<Provider, 'name' | 'key'> & Partial<Provider>): Provider {
  return { eventType: null, fingerprintExclude: [], retryWindowMs: 0, ...options, verifier: null };
}
