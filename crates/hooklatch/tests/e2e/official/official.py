"""Asks the official libraries for Python. Reads the same job as `official.cjs`, and prints the
same: what they said of each delivery and of each sample, and what they signed themselves."""

import json
import re
import sys
import time

import stripe
from slack_sdk.signature import Clock, SignatureVerifier
from standardwebhooks import Webhook


def accepts(check):
    try:
        return check() is not False
    except Exception:
        return False


def tampered(given):
    headers, body = given['headers'], given['body']

    def changed(name, value):
        return {'headers': {**headers, name: value}, 'body': body}

    other = re.sub(r'\d', lambda digit: '8' if digit[0] == '9' else '9', body, count=1)
    return [
        {'headers': headers, 'body': other},
        {'headers': headers, 'body': body + ' '},
        changed('webhook-id', headers['webhook-id'] + 'x'),
        changed('webhook-timestamp', str(int(headers['webhook-timestamp']) + 1)),
        changed('webhook-signature', 'v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='),
    ]


def delivery(given):
    def verify(secret, one):
        return accepts(lambda: Webhook(secret).verify(one['body'], one['headers']))

    def every(requests, secrets):
        return [verify(secret, one) for secret in secrets for one in requests]

    return {
        'accepted': every([given], given['secrets']),
        'tampered': every(tampered(given), given['secrets']),
        'strangers': every([given], given['strangers']),
    }


class Standing(Clock):
    """A clock that stands where the sample was signed."""

    def __init__(self, seconds):
        self.seconds = seconds

    def now(self):
        return self.seconds


def slack(secret, one):
    headers = one['headers']
    return SignatureVerifier(secret, Standing(one['now'])).is_valid(
        one['body'], headers['x-slack-request-timestamp'], headers['x-slack-signature']
    )


def of_stripe(secret, one):
    header = one['headers']['stripe-signature']
    # The sample is old: its age is not what is tried here.
    return stripe.WebhookSignature.verify_header(one['body'], header, secret, None)


VERIFIERS = {'slack': slack, 'stripe': of_stripe}


def sample(given):
    verify = VERIFIERS[given['provider']]
    said = []
    for one in given['tries']:
        other = {**one, 'body': one['body'].replace(*given['tamper'])}
        said.append({
            'accepted': [accepts(lambda: verify(given['secret'], one))],
            'tampered': [accepts(lambda: verify(given['secret'], other))],
            'strangers': [accepts(lambda: verify(given['other_secret'], one))],
        })
    return said


def signed(sign):
    now = str(int(time.time()))
    signature = SignatureVerifier(sign['slack']).generate_signature(
        timestamp=now, body=sign['body']
    )
    return {'slack': {'x-slack-request-timestamp': now, 'x-slack-signature': signature}}


def main():
    job = json.load(sys.stdin)
    print(json.dumps({
        'deliveries': [delivery(given) for given in job['deliveries']],
        'samples': {
            given['provider']: sample(given)
            for given in job['samples']
            if given['provider'] in VERIFIERS
        },
        'signed': signed(job['sign']) if job.get('sign') else {},
    }))


main()
