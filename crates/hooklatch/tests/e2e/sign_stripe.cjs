// Prints events of many types as Stripe sends them, signed by Stripe's own library with the secret
// in the first argument: [{"id", "payload", "signature"}].
const Stripe = require("stripe");

const secret = process.argv[2];
const stripe = new Stripe("sk_test_never_sent");
const types = [
  "account.updated", "balance.available", "charge.captured", "charge.dispute.created",
  "charge.failed", "charge.refunded", "charge.succeeded", "checkout.session.completed",
  "checkout.session.expired", "coupon.created", "credit_note.created", "customer.created",
  "customer.deleted", "customer.subscription.created", "customer.subscription.deleted",
  "customer.subscription.trial_will_end", "customer.subscription.updated", "customer.updated",
  "file.created", "invoice.created", "invoice.finalized", "invoice.paid",
  "invoice.payment_failed", "invoice.upcoming", "mandate.updated", "payment_intent.canceled",
  "payment_intent.created", "payment_intent.payment_failed", "payment_intent.succeeded",
  "payment_method.attached", "payout.failed", "payout.paid", "price.created",
  "product.updated", "radar.early_fraud_warning.created", "setup_intent.succeeded",
  "subscription_schedule.released", "tax_rate.created", "topup.succeeded", "transfer.created",
];

const events = types.map((type, index) => {
  const id = `evt_1Qhooklatch${String(index).padStart(6, "0")}`;
  const resource = type.slice(0, type.lastIndexOf("."));
  const event = {
    id,
    object: "event",
    api_version: "2026-10-29",
    created: 1790000000 + index,
    data: {
      object: {
        id: `obj_${index}`,
        object: resource,
        amount: 1099 + index,
        currency: "eur",
        description: "Größe „L“, 50 € – naïve ✓ 日本 🎉",
        metadata: { order: `A-${index}`, empty: "", nested: "{\"a\": 1}" },
      },
    },
    livemode: false,
    pending_webhooks: 1,
    request: { id: null, idempotency_key: null },
    type,
  };
  // Stripe indents its payloads, and signs them as they are.
  const payload = JSON.stringify(event, null, 2);
  const signature = stripe.webhooks.generateTestHeaderString({ payload, secret });
  return { id, payload, signature };
});
console.log(JSON.stringify(events));
