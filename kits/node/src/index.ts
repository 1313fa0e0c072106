// Receive webhooks so that each event has its effect once. Stores and adapters are imported by
// their own paths, so that nobody loads a driver that is not used.

export { answerFor, type AnswerPolicy, type Mode, type Receipt, type Situation } from './answers.js';
export { HookEvent, type Handler, type Steps } from './event.js';
export { fingerprint } from './fingerprint.js';
export { scopeKey, stepKey, type KeyPart, type Scope } from './keys.js';
export type { Notice, NoticeKind } from './notices.js';
export * from './outcomes.js';
export { github, hmac, standardWebhooks, stripe, trusted, type Provider } from './providers.js';
export { Receiver, type ReceiverOptions } from './receiver.js';
export { HookRequest, type RequestParts } from './request.js';
export type { Answer, HandlerAnswer } from './results.js';
export {
  githubVerifier,
  hmacVerifier,
  standardWebhooksVerifier,
  stripeVerifier,
  type HmacOptions,
  type Refusal,
  type Secrets,
  type Verifier,
} from './signatures.js';
export type { Transactions, TransactRequest } from './transactions.js';
