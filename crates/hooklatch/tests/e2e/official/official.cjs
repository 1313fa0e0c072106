// Asks the official libraries for JavaScript. Reads a job from standard input:
//   {"deliveries": [{headers, body, secrets, strangers}], "samples": [sample], "sign": {secret, …}}
// and prints what they said of each delivery and of each sample, and what they signed themselves.
const fs = require("fs");
const path = require("path");
const Stripe = require("stripe");
const { Webhook } = require("standardwebhooks");

const TrueDate = Date;
let standing = null;
globalThis.Date = class extends TrueDate {
  constructor(...given) {
    given.length === 0 && standing !== null ? super(standing) : super(...given);
  }
  static now() {
    return standing ?? TrueDate.now();
  }
};

const stripe = new Stripe("sk_test_never_sent");

async function accepts(check) {
  try {
    return (await check()) !== false;
  } catch {
    return false;
  }
}

// What could be changed on the way, one thing at a time.
function tampered({ headers, body }) {
  const changed = (name, value) => ({ headers: { ...headers, [name]: value }, body });
  return [
    { headers, body: body.replace(/\d/, (digit) => (digit === "9" ? "8" : "9")) },
    { headers, body: `${body} ` },
    changed("webhook-id", `${headers["webhook-id"]}x`),
    changed("webhook-timestamp", String(Number(headers["webhook-timestamp"]) + 1)),
    changed("webhook-signature", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
  ];
}

async function delivery(given) {
  const verify = (secret, { headers, body }) =>
    accepts(() => new Webhook(secret).verify(body, headers));
  const all = (requests, secrets) =>
    Promise.all(secrets.flatMap((secret) => requests.map((one) => verify(secret, one))));
  return {
    accepted: await all([given], given.secrets),
    tampered: await all(tampered(given), given.secrets),
    strangers: await all([given], given.strangers),
  };
}

function verifiers(octokit) {
  return {
    stripe: (secret, { headers, body }) =>
      stripe.webhooks.constructEvent(body, headers["stripe-signature"], secret),
    github: (secret, { headers, body }) =>
      octokit.verify(secret, body, headers["x-hub-signature-256"]),
    standard_webhooks: (secret, { headers, body }) => new Webhook(secret).verify(body, headers),
  };
}

async function sample(given, octokit) {
  const verify = verifiers(octokit)[given.provider];
  if (!verify) return null;
  const said = [];
  for (const one of given.tries) {
    standing = one.now * 1000;
    const other = { ...one, body: one.body.replace(given.tamper[0], given.tamper[1]) };
    said.push({
      accepted: [await accepts(() => verify(given.secret, one))],
      tampered: [await accepts(() => verify(given.secret, other))],
      strangers: [await accepts(() => verify(given.other_secret, one))],
    });
    standing = null;
  }
  return said;
}

async function signed({ stripe: stripeSecret, github, standard, body }, octokit) {
  const now = new TrueDate();
  const id = "msg_official";
  return {
    stripe: {
      "stripe-signature": stripe.webhooks.generateTestHeaderString({
        payload: body,
        secret: stripeSecret,
      }),
    },
    github: {
      "x-github-delivery": "f2467dea-70d6-11e8-8955-000000000001",
      "x-github-event": "push",
      "x-hub-signature-256": await octokit.sign(github, body),
    },
    standard_webhooks: {
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
      "webhook-signature": new Webhook(standard).sign(id, now, body),
    },
  };
}

async function main() {
  const job = JSON.parse(fs.readFileSync(0, "utf8"));
  const octokit = await import(
    path.join(process.env.NODE_PATH, "@octokit/webhooks-methods/dist-node/index.js")
  );
  const samples = {};
  for (const given of job.samples) {
    const said = await sample(given, octokit);
    if (said) samples[given.provider] = said;
  }
  const answer = {
    deliveries: await Promise.all(job.deliveries.map(delivery)),
    samples,
    signed: job.sign ? await signed(job.sign, octokit) : {},
  };
  console.log(JSON.stringify(answer));
}

main();
