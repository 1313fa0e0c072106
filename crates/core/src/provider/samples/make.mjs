// Makes the samples beside this file: for each provider a first try and a retry, signed by the
// provider's own library where there is one that signs, else by node:crypto and accepted by the
// library where there is one that verifies. `made_by` says which, and in which version.
//
//   npm install stripe @octokit/webhooks-methods standardwebhooks svix @slack/bolt twilio \
//     @sendgrid/eventwebhook square @adyen/api-library @paddle/paddle-node-sdk @linear/sdk \
//     @hubspot/api-client openai resend
//   node PATH/make.mjs
//
// Run it where node_modules is. Every value but SendGrid's keys and signatures, which are drawn,
// comes out the same each time.

import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const require = createRequire(path.join(process.cwd(), 'x.js'));
const here = path.dirname(new URL(import.meta.url).pathname);

// The libraries compare with the clock, so the clock stands still.
const TRUE_DATE = Date;
let now = 1_760_000_000;
globalThis.Date = class extends TRUE_DATE {
  constructor(...given) {
    given.length === 0 ? super(now * 1000) : super(...given);
  }
  static now() {
    return now * 1000;
  }
};

const URL_CALLED = 'https://hooks.example.com/ingest/hlw_sample';
const hmac = (algorithm, key, text, encoding) =>
  crypto.createHmac(algorithm, key).update(text).digest(encoding);

function version(name) {
  const found = path.join(process.cwd(), 'node_modules', name, 'package.json');
  return `${name} ${JSON.parse(fs.readFileSync(found)).version}`;
}

function check(holds, what) {
  if (!holds) throw new Error(`${what} does not accept the sample`);
}

// `sign` gets a body and says the headers; `first` and `retry` are what the provider sends.
async function sample(provider, { sign, first, retry, url = URL_CALLED, ...rest }) {
  const tries = [];
  for (const [after, payload] of [[0, first], [rest.retry_after ?? 60, retry ?? first]]) {
    now = 1_760_000_000 + after;
    const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
    const headers = { 'content-type': 'application/json', ...(await sign(body)) };
    tries.push({ now, headers, body });
  }
  const written = { provider, ...rest, method: 'POST', url, tries };
  fs.writeFileSync(path.join(here, `${provider}.json`), JSON.stringify(written, null, 2) + '\n');
}

const CRYPTO = 'node:crypto, as the documentation has it';
const STANDARD = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const OTHER_STANDARD = 'whsec_YW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZQ==';

async function money() {
  const adyen = new (require('@adyen/api-library').hmacValidator)();
  const key = '44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056';
  const item = (eventCode, success) => {
    const fields = {
      amount: { currency: 'EUR', value: 1130 },
      eventCode,
      eventDate: '2026-01-31T12:00:00+01:00',
      merchantAccountCode: 'TestMerchant',
      merchantReference: 'order-7:a',
      pspReference: '7914073381342284',
      success,
    };
    fields.additionalData = { hmacSignature: adyen.calculateHmac(fields, key) };
    check(adyen.validateHMAC(fields, key), 'adyen');
    return { NotificationRequestItem: fields };
  };
  await sample('adyen', {
    made_by: `${version('@adyen/api-library')}, calculateHmac`,
    secret: key,
    other_secret: key.replace('44', '55'),
    tamper: ['"success":"true"', '"success":"false"'],
    sign: () => ({}),
    first: {
      live: 'false',
      notificationItems: [item('AUTHORISATION', 'true'), item('CAPTURE', 'true')],
    },
    events: [
      { key: ['7914073381342284', 'AUTHORISATION', 'true'], event_type: 'AUTHORISATION' },
      { key: ['7914073381342284', 'CAPTURE', 'true'], event_type: 'CAPTURE' },
    ],
  });

  const { Paddle } = require('@paddle/paddle-node-sdk');
  const paddle = {
    event_id: 'evt_01hv8x', event_type: 'transaction.completed',
    occurred_at: '2026-01-31T12:00:00Z', notification_id: 'ntf_01', data: { id: 'txn_01' },
  };
  await sample('paddle', {
    made_by: `${version('@paddle/paddle-node-sdk')}, webhooks.isSignatureValid`,
    secret: 'pdl_ntfset_01_secret', other_secret: 'pdl_ntfset_02_secret',
    tamper: ['txn_01', 'txn_02'], stale_after: 300,
    sign: async (body) => {
      const header = `ts=${now};h1=${hmac('sha256', 'pdl_ntfset_01_secret', `${now}:${body}`, 'hex')}`;
      const valid = await new Paddle('key').webhooks.isSignatureValid(body, 'pdl_ntfset_01_secret', header);
      check(valid, 'paddle');
      return { 'paddle-signature': header };
    },
    first: paddle, retry: { ...paddle, notification_id: 'ntf_02' },
    events: [{ key: ['evt_01hv8x'], event_type: 'transaction.completed' }],
  });

  await sample('shopify', {
    made_by: CRYPTO, secret: 'hush', other_secret: 'hush-hush', tamper: ['820982', '820983'],
    sign: (body) => ({
      'x-shopify-topic': 'orders/create', 'x-shopify-event-id': '98880550-7158-44d4-b7cd-2c97c8a091b5',
      'x-shopify-hmac-sha256': hmac('sha256', 'hush', body, 'base64'),
    }),
    first: '{"id":820982911946154508}',
    events: [{ key: ['98880550-7158-44d4-b7cd-2c97c8a091b5', 'orders/create'], event_type: 'orders/create' }],
  });

  const { WebhooksHelper } = require('square');
  await sample('square', {
    made_by: `${version('square')}, WebhooksHelper.verifySignature`,
    secret: 'square-signature-key', other_secret: 'another-key', tamper: ['"payment.updated"', '"payment.created"'],
    sign: async (requestBody) => {
      const signatureHeader = hmac('sha256', 'square-signature-key', URL_CALLED + requestBody, 'base64');
      check(await WebhooksHelper.verifySignature({
        requestBody, signatureHeader, signatureKey: 'square-signature-key', notificationUrl: URL_CALLED,
      }), 'square');
      return { 'x-square-hmacsha256-signature': signatureHeader };
    },
    first: { merchant_id: 'M1', type: 'payment.updated', event_id: '13b867cf-db3d-4b1c-90b6-2f32a9d78124', data: {} },
    events: [{ key: ['13b867cf-db3d-4b1c-90b6-2f32a9d78124'], event_type: 'payment.updated' }],
  });

  const Stripe = require('stripe');
  const stripe = new (Stripe.default ?? Stripe)('sk_test');
  await sample('stripe', {
    made_by: `${version('stripe')}, generateTestHeaderString`,
    secret: 'whsec_test_secret', other_secret: 'whsec_other', tamper: ['1200', '1300'], stale_after: 300,
    sign: (payload) => ({
      'stripe-signature': stripe.webhooks.generateTestHeaderString({ payload, secret: 'whsec_test_secret', timestamp: now }),
    }),
    first: { id: 'evt_1', type: 'invoice.paid', data: { amount: 1200 } },
    events: [{ key: ['evt_1'], event_type: 'invoice.paid' }],
  });

  const xero = (type, id) => ({
    resourceUrl: `https://api.xero.com/api.xro/2.0/Contacts/${id}`, resourceId: id,
    eventDateUtc: '2026-01-31T12:00:00.123', eventType: type, eventCategory: 'CONTACT', tenantType: 'ORGANISATION',
  });
  await sample('xero', {
    made_by: CRYPTO, secret: 'xero-webhooks-key', other_secret: 'another-key', tamper: ['UPDATE', 'CREATE'],
    sign: (body) => ({ 'x-xero-signature': hmac('sha256', 'xero-webhooks-key', body, 'base64') }),
    first: { events: [xero('UPDATE', '717f2bfc'), xero('CREATE', '828f2bfd')], firstEventSequence: 1, lastEventSequence: 2, entropy: 'S0m3' },
    events: [
      { key: ['CONTACT', '717f2bfc', 'UPDATE', '2026-01-31T12:00:00.123'], event_type: 'CONTACT' },
      { key: ['CONTACT', '828f2bfd', 'CREATE', '2026-01-31T12:00:00.123'], event_type: 'CONTACT' },
    ],
  });
}

async function code() {
  await sample('bitbucket', {
    made_by: CRYPTO, secret: 'bb-secret', other_secret: 'other', tamper: ['emmap1', 'emmap2'],
    sign: (body) => ({
      'x-event-key': 'repo:push', 'x-request-uuid': 'c0a4b7db-9f1b-4a52-9d0f-2b8f6d6c7a11', 'x-attempt-number': '1',
      'x-hub-signature': `sha256=${hmac('sha256', 'bb-secret', body, 'hex')}`,
    }),
    first: { actor: { nickname: 'emmap1' }, push: { changes: [] } },
    events: [{ key: ['c0a4b7db-9f1b-4a52-9d0f-2b8f6d6c7a11'], event_type: 'repo:push' }],
  });

  const octokit = await import(
    path.join(process.cwd(), 'node_modules/@octokit/webhooks-methods/dist-node/index.js')
  );
  const github = "It's a Secret to Everybody";
  await sample('github', {
    made_by: `${version('@octokit/webhooks-methods')}, sign`,
    secret: github, other_secret: 'other', tamper: ['opened', 'closed'],
    sign: async (body) => ({
      'x-github-event': 'issues', 'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
      'x-hub-signature-256': await octokit.sign(github, body),
    }),
    first: { action: 'opened', issue: { number: 1 } },
    events: [{ key: ['72d3162e-cc78-11e3-81ab-4c9367dc0958'], event_type: 'issues' }],
  });

  const { Webhook } = require('standardwebhooks');
  const gitlab = new Webhook(STANDARD);
  await sample('gitlab', {
    made_by: `${version('standardwebhooks')}, sign, which GitLab's signing token follows`,
    secret: STANDARD, other_secret: OTHER_STANDARD, tamper: ['refs/heads/main', 'refs/heads/hack'], stale_after: 300,
    sign: (body) => ({
      'x-gitlab-event': 'Push Hook', 'idempotency-key': '908a6d9e-45fd-46c8-97e6-c4f350f219dd',
      'webhook-id': '908a6d9e-45fd-46c8-97e6-c4f350f219dd', 'webhook-timestamp': String(now),
      'webhook-signature': gitlab.sign('908a6d9e-45fd-46c8-97e6-c4f350f219dd', new Date(now * 1000), body),
    }),
    first: { object_kind: 'push', ref: 'refs/heads/main' },
    events: [{ key: ['908a6d9e-45fd-46c8-97e6-c4f350f219dd'], event_type: 'Push Hook' }],
  });

  const { LinearWebhookClient } = await import(
    path.join(process.cwd(), 'node_modules/@linear/sdk/dist/webhooks/index.mjs')
  );
  const linear = { action: 'create', type: 'Issue', data: { id: 'i1', title: 'Fix login' }, webhookId: 'w1' };
  await sample('linear', {
    made_by: `${version('@linear/sdk')}, LinearWebhookClient.verify`,
    secret: 'lin_wh_secret', other_secret: 'lin_wh_other', tamper: ['Fix login', 'Fix logon'], stale_after: 60,
    sign: (body) => {
      const signature = hmac('sha256', 'lin_wh_secret', body, 'hex');
      check(new LinearWebhookClient('lin_wh_secret').verify(Buffer.from(body), signature), 'linear');
      return { 'linear-delivery': '234d1a4e-b617-4388-90fe-adc3633d6b72', 'linear-event': 'Issue', 'linear-signature': signature };
    },
    first: { ...linear, webhookTimestamp: 1_760_000_000_250 },
    retry: { ...linear, webhookTimestamp: 1_760_000_060_250 },
    events: [{ key: ['234d1a4e-b617-4388-90fe-adc3633d6b72'], event_type: 'Issue' }],
  });
}

async function people() {
  await sample('calendly', {
    made_by: CRYPTO, secret: 'calendly-key', other_secret: 'other', tamper: ['active', 'passive'], stale_after: 180,
    sign: (body) => ({ 'calendly-webhook-signature': `t=${now},v1=${hmac('sha256', 'calendly-key', `${now}.${body}`, 'hex')}` }),
    first: {
      event: 'invitee.created', created_at: '2026-01-31T12:00:00.000000Z',
      payload: { uri: 'https://api.calendly.com/scheduled_events/E/invitees/I', status: 'active' },
    },
    events: [{
      key: ['invitee.created', 'https://api.calendly.com/scheduled_events/E/invitees/I', '2026-01-31T12:00:00.000000Z'],
      event_type: 'invitee.created',
    }],
  });

  const docusign = {
    event: 'envelope-completed', apiVersion: 'v2.1', configurationId: 271828,
    generatedDateTime: '2026-01-31T15:11:47.9012345Z', data: { envelopeId: '3f9a2c1e', envelopeSummary: { status: 'completed' } },
  };
  await sample('docusign', {
    made_by: CRYPTO, secret: 'connect-key', other_secret: 'other', tamper: ['3f9a2c1e', '3f9a2c1f'],
    sign: (body) => ({
      'x-docusign-signature-1': hmac('sha256', 'a key of another listener', body, 'base64'),
      'x-docusign-signature-2': hmac('sha256', 'connect-key', body, 'base64'),
    }),
    first: { ...docusign, retryCount: 0 }, retry: { ...docusign, retryCount: 1 },
    events: [{ key: ['envelope-completed', '3f9a2c1e', '2026-01-31T15:11:47.9012345Z'], event_type: 'envelope-completed' }],
  });

  const { Signature } = require('@hubspot/api-client');
  const hubspot = (eventId, attemptNumber) => ({
    eventId, subscriptionId: 12345, portalId: 62515, occurredAt: 1564113600000,
    subscriptionType: 'contact.creation', attemptNumber, objectId: 123, changeSource: 'CRM', changeFlag: 'NEW', appId: 54321,
  });
  await sample('hubspot', {
    made_by: `${version('@hubspot/api-client')}, Signature.getSignature`,
    secret: 'yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy', other_secret: 'other', tamper: ['"objectId":123', '"objectId":124'], stale_after: 300,
    sign: (requestBody) => {
      const options = { clientSecret: 'yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy', requestBody, url: URL_CALLED, timestamp: now * 1000 };
      const signature = Signature.getSignature('POST', 'v3', options);
      check(Signature.isValid({ ...options, signature, signatureVersion: 'v3' }), 'hubspot');
      return { 'x-hubspot-signature-v3': signature, 'x-hubspot-request-timestamp': String(now * 1000) };
    },
    first: [hubspot(1, 0), hubspot(2, 0)], retry: [hubspot(1, 1), hubspot(2, 1)],
    events: [1, 2].map((id) => ({ key: ['62515', '12345', String(id), '1564113600000'], event_type: 'contact.creation' })),
  });

  const intercom = {
    type: 'notification_event', app_id: 'abc123', id: 'notif_01HABCDEFG', topic: 'conversation.user.created',
    data: { item: { type: 'conversation', id: '12345' } }, created_at: 1759999990,
  };
  await sample('intercom', {
    made_by: CRYPTO, secret: 'intercom-client-secret', other_secret: 'other', tamper: ['12345', '12346'],
    sign: (body) => ({ 'x-hub-signature': `sha1=${hmac('sha1', 'intercom-client-secret', body, 'hex')}` }),
    first: { ...intercom, delivery_status: 'pending', delivery_attempts: 1, delivered_at: 0, first_sent_at: 1760000000 },
    retry: { ...intercom, delivery_status: 'retry', delivery_attempts: 2, delivered_at: 1760000001, first_sent_at: 1760000060 },
    events: [{ key: ['notif_01HABCDEFG'], event_type: 'conversation.user.created' }],
  });

  await sample('typeform', {
    made_by: CRYPTO, secret: 'typeform-secret', other_secret: 'other', tamper: ['A1b2C3', 'A1b2C4'],
    sign: (body) => ({ 'typeform-signature': `sha256=${hmac('sha256', 'typeform-secret', body, 'base64')}` }),
    first: { event_id: '01HXQ3ZK9B', event_type: 'form_response', form_response: { form_id: 'A1b2C3' } },
    events: [{ key: ['01HXQ3ZK9B'], event_type: 'form_response' }],
  });

  const time = '2026-01-31T12:00:00Z';
  await sample('zendesk', {
    made_by: CRYPTO, secret: 'zendesk-signing-secret', other_secret: 'other', tamper: ['35436', '35437'],
    sign: (body) => ({
      'x-zendesk-webhook-invocation-id': '8350205582', 'x-zendesk-webhook-signature-timestamp': time,
      'x-zendesk-webhook-signature': hmac('sha256', 'zendesk-signing-secret', time + body, 'base64'),
    }),
    first: { type: 'zen:event-type:ticket.created', account_id: 88, id: 'e-1', detail: { id: '35436' } },
    events: [{ key: ['8350205582'], event_type: 'zen:event-type:ticket.created' }],
  });
}

async function messages() {
  const signature = (token) => ({
    timestamp: String(now), token, signature: hmac('sha256', 'mailgun-key', String(now) + token, 'hex'),
  });
  const mailgun = { event: 'delivered', id: 'CPgfbmQMTCKtHW6uIWtuVe', recipient: 'alice@example.com' };
  now = 1_760_000_000;
  const mailgunFirst = { signature: signature('a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0'), 'event-data': mailgun };
  now = 1_760_000_300;
  const mailgunRetry = { signature: signature('b8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de1'), 'event-data': mailgun };
  await sample('mailgun', {
    made_by: CRYPTO, secret: 'mailgun-key', other_secret: 'other', tamper: ['a8ce0edb', 'a8ce0edc'], retry_after: 300,
    sign: () => ({}), first: mailgunFirst, retry: mailgunRetry,
    events: [{ key: ['CPgfbmQMTCKtHW6uIWtuVe'], event_type: 'delivered' }],
  });

  await sample('meta', {
    made_by: CRYPTO, secret: 'app-secret', other_secret: 'other', tamper: ['photos', 'videos'],
    sign: (body) => ({ 'x-hub-signature-256': `sha256=${hmac('sha256', 'app-secret', body, 'hex')}` }),
    first: { object: 'user', entry: [{ time: 1520383571, id: '10210299214172187', changes: [{ field: 'photos' }] }] },
    events: [{ key: null, event_type: 'user' }],
  });

  const { EventWebhook } = require('@sendgrid/eventwebhook');
  const pair = () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const shown = (key) => key.export({ type: 'spki', format: 'der' }).toString('base64');
  const { publicKey: key, privateKey } = pair();
  const publicKey = shown(key);
  const sendgrid = [
    { email: 'a@example.com', event: 'delivered', sg_event_id: 'ZGVsaXZlcmVkLTA', timestamp: 1759999990 },
    { email: 'a@example.com', event: 'open', sg_event_id: 'b3Blbi0w', timestamp: 1759999991 },
  ];
  await sample('sendgrid', {
    made_by: `${version('@sendgrid/eventwebhook')}, verifySignature`,
    secret: publicKey, other_secret: shown(pair().publicKey), tamper: ['a@example.com', 'b@example.com'],
    sign: (body) => {
      const time = String(now);
      const made = crypto.sign('sha256', Buffer.from(time + body), privateKey).toString('base64');
      const library = new EventWebhook();
      check(library.verifySignature(library.convertPublicKeyToECDSA(publicKey), body, made, time), 'sendgrid');
      return { 'x-twilio-email-event-webhook-signature': made, 'x-twilio-email-event-webhook-timestamp': time };
    },
    first: sendgrid,
    events: [{ key: ['ZGVsaXZlcmVkLTA'], event_type: 'delivered' }, { key: ['b3Blbi0w'], event_type: 'open' }],
  });

  const { verifySlackRequest } = require(path.join(process.cwd(), 'node_modules/@slack/bolt/dist/receivers/verify-request.js'));
  await sample('slack', {
    made_by: `${version('@slack/bolt')}, verifySlackRequest`,
    secret: '8f742231b10e8888abcd99yyyzzz85a5', other_secret: 'other', tamper: ['hello!', 'hullo!'], stale_after: 300,
    sign: (body) => {
      const headers = {
        'x-slack-request-timestamp': String(now),
        'x-slack-signature': `v0=${hmac('sha256', '8f742231b10e8888abcd99yyyzzz85a5', `v0:${now}:${body}`, 'hex')}`,
      };
      const given = { 'x-slack-request-timestamp': now, 'x-slack-signature': headers['x-slack-signature'] };
      verifySlackRequest({ signingSecret: '8f742231b10e8888abcd99yyyzzz85a5', headers: given, body, nowMilliseconds: now * 1000 });
      return headers;
    },
    first: {
      type: 'event_callback', team_id: 'T0123456', event_id: 'Ev0123456', event_time: 1759999999,
      event: { type: 'app_mention', user: 'U0123456', text: '<@U7LFEMQ6F> hello!' },
    },
    events: [{ key: ['Ev0123456'], event_type: 'app_mention' }],
  });

  const twilio = require(path.join(process.cwd(), 'node_modules/twilio/lib/webhooks/webhooks.js'));
  const form = { MessageSid: 'SM1', MessageStatus: 'delivered', To: '+15558675310', Body: 'Grüße & mehr', Empty: '' };
  await sample('twilio', {
    made_by: `${version('twilio')}, getExpectedTwilioSignature`,
    secret: '12345678901234567890123456789012', other_secret: 'other', tamper: ['SM1', 'SM2'],
    url: `${URL_CALLED}?who=us`,
    sign: () => {
      const made = twilio.getExpectedTwilioSignature('12345678901234567890123456789012', `${URL_CALLED}?who=us`, form);
      check(twilio.validateRequest('12345678901234567890123456789012', made, `${URL_CALLED}?who=us`, form), 'twilio');
      return {
        'content-type': 'application/x-www-form-urlencoded', 'i-twilio-idempotency-token': 'b1c2-3d4e', 'x-twilio-signature': made,
      };
    },
    first: new URLSearchParams(form).toString(),
    events: [{ key: ['b1c2-3d4e'], event_type: 'delivered' }],
  });

  await sample('zoom', {
    made_by: CRYPTO, secret: 'zoom-secret-token', other_secret: 'other', tamper: ['My Meeting', 'No Meeting'],
    sign: (body) => ({
      'x-zm-request-timestamp': String(now),
      'x-zm-signature': `v0=${hmac('sha256', 'zoom-secret-token', `v0:${now}:${body}`, 'hex')}`,
    }),
    first: { event: 'meeting.started', event_ts: 1658940994397, payload: { account_id: 'A', object: { uuid: 'abcd1234==', topic: 'My Meeting' } } },
    events: [{ key: ['meeting.started', '1658940994397'], event_type: 'meeting.started' }],
  });
}

async function standard() {
  const standardwebhooks = new (require('standardwebhooks').Webhook)(STANDARD);
  const svix = new (require('svix').Webhook)(STANDARD);
  const sign = (library, prefix, id) => (body) => {
    const headers = {
      [`${prefix}-id`]: id, [`${prefix}-timestamp`]: String(now),
      [`${prefix}-signature`]: library.sign(id, new Date(now * 1000), body),
    };
    library.verify(body, headers);
    return headers;
  };
  const rest = (made_by, type) => ({
    made_by, secret: STANDARD, other_secret: OTHER_STANDARD, tamper: ['"number":7', '"number":8'], stale_after: 300,
    first: { type, data: { number: 7 } },
  });
  const bySvix = `${version('svix')}, Webhook.sign`;
  for (const [provider, id, type] of [['svix', 'msg_s', 'invoice.paid'], ['clerk', 'msg_c', 'user.created']]) {
    await sample(provider, {
      ...rest(bySvix, type), sign: sign(svix, 'svix', id), events: [{ key: [id], event_type: type }],
    });
  }
  const { Resend } = require('resend');
  await sample('resend', {
    ...rest(`${bySvix}; ${version('resend')}, webhooks.verify`, 'email.delivered'),
    sign: (body) => {
      const headers = sign(svix, 'svix', 'msg_r')(body);
      const given = { id: headers['svix-id'], timestamp: headers['svix-timestamp'], signature: headers['svix-signature'] };
      new Resend('re_test').webhooks.verify({ payload: body, headers: given, webhookSecret: STANDARD });
      return headers;
    },
    events: [{ key: ['msg_r'], event_type: 'email.delivered' }],
  });
  await sample('standard_webhooks', {
    ...rest(`${version('standardwebhooks')}, Webhook.sign`, 'contact.created'),
    sign: sign(standardwebhooks, 'webhook', 'msg_p5jXN8AQM9LWM0D4loKWxJek'),
    events: [{ key: ['msg_p5jXN8AQM9LWM0D4loKWxJek'], event_type: 'contact.created' }],
  });
  const OpenAI = require('openai');
  const openai = new (OpenAI.default ?? OpenAI)({ apiKey: 'sk-test', webhookSecret: STANDARD });
  await sample('openai', {
    ...rest(`${version('openai')}, webhooks.verifySignature`, 'response.completed'),
    sign: async (body) => {
      const headers = sign(standardwebhooks, 'webhook', 'wh_685342e6')(body);
      await openai.webhooks.verifySignature(body, headers);
      return headers;
    },
    events: [{ key: ['wh_685342e6'], event_type: 'response.completed' }],
  });
}

await money();
await code();
await people();
await messages();
await standard();
