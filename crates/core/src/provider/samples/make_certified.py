"""Makes `paypal.json`, `aws_sns.json` and `certified.json` beside this file: requests that are
signed with certificates, by a certificate authority that is made here and forgotten. Each is
accepted by the provider's own library before it is written.

    npm install sns-validator@0.3.5
    pip install paypalrestsdk==1.13.3 pyOpenSSL==23.2.0
    python PATH/make_certified.py

Run it where node_modules is. Keys, and with them certificates and signatures, are drawn.
"""

import base64
import datetime
import json
import pathlib
import subprocess
import zlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto
from paypalrestsdk.notifications import WebhookEvent

HERE = pathlib.Path(__file__).parent
NOW = 1_760_000_000
ISSUER_URL = 'http://ca.example.com/issuer.cer'
CALLED = 'https://hooks.example.com/ingest/hlw_sample'


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, issuer=None, dns=None, until=2099, aia=True):
    """A certificate and its key, issued by a pair like it, or by itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    issued_by, issuing_key = issuer or (None, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(issued_by.subject if issued_by else name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2020, 1, 1))
        .not_valid_after(datetime.datetime(until, 1, 1))
        .add_extension(x509.BasicConstraints(ca=dns is None, path_length=None), critical=True)
    )
    if dns:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(dns)]), critical=False
        ).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        if aia:
            place = x509.UniformResourceIdentifier(ISSUER_URL)
            access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
            builder = builder.add_extension(
                x509.AuthorityInformationAccess([access]), critical=False
            )
    return builder.sign(issuing_key, hashes.SHA256()), key


def pem(pair):
    return pair[0].public_bytes(serialization.Encoding.PEM).decode()


def der(pair):
    return base64.b64encode(pair[0].public_bytes(serialization.Encoding.DER)).decode()


def sign(pair, text, algorithm=None):
    signature = pair[1].sign(text.encode(), padding.PKCS1v15(), algorithm or hashes.SHA256())
    return base64.b64encode(signature).decode()


ROOT = certificate('Test Root')
ISSUER = certificate('Test Issuer', ROOT)
OTHER_ROOT = certificate('Other Root')

PAYPAL_NAME = 'messageverificationcerts.paypal.com'
PAYPAL = certificate(PAYPAL_NAME, ISSUER, PAYPAL_NAME)
PAYPAL_URL = 'https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-test'
WEBHOOK = '8PT597110X687430LKGECATA'

SNS = certificate('sns.amazonaws.com', ISSUER, 'sns.amazonaws.com')
SNS_URL = 'https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-7ff5318490ec183f.pem'
TOPIC = 'arn:aws:sns:eu-west-1:123456789012:orders'


def paypal(body, pair=PAYPAL, webhook=WEBHOOK):
    """The headers of a request, accepted by PayPal's library."""
    identifier, time = '69cd13f0-d67a-11e5-baa3-778b53f4ae55', '2026-01-31T12:00:00Z'
    text = f'{identifier}|{time}|{webhook}|{zlib.crc32(body.encode())}'
    signature = sign(pair, text)
    leaf = crypto.X509.from_cryptography(pair[0])
    assert WebhookEvent._verify_signature(
        identifier, time, webhook, body, leaf, signature, 'sha256WithRSAEncryption'
    )
    return {
        'content-type': 'application/json',
        'paypal-auth-algo': 'SHA256withRSA',
        'paypal-cert-url': PAYPAL_URL,
        'paypal-transmission-id': identifier,
        'paypal-transmission-sig': signature,
        'paypal-transmission-time': time,
    }


ACCEPT = """
const https = require('https');
const { Readable } = require('stream');
const message = JSON.parse(process.argv[1]);
https.get = (url, answer) => {
  const stream = Readable.from([process.argv[2]]);
  stream.statusCode = url === message.SigningCertURL ? 200 : 404;
  answer(stream);
  return { on() {} };
};
const Validator = require('sns-validator');
new Validator().validate(message, (error) => {
  if (error) throw error;
  console.log('accepted');
});
"""


def sns(members, pair=SNS, version='1'):
    """A body, accepted by the library that AWS publishes."""
    names = ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type']
    if members['Type'] != 'Notification':
        names = ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type']
    text = ''.join(f'{name}\n{members[name]}\n' for name in names if name in members)
    algorithm = hashes.SHA1() if version == '1' else hashes.SHA256()
    message = {
        **members,
        'SignatureVersion': version,
        'Signature': sign(pair, text, algorithm),
        'SigningCertURL': SNS_URL,
    }
    # That library leaves the token of an UnsubscribeConfirmation out, and AWS's documentation
    # does not.
    if members['Type'] != 'UnsubscribeConfirmation':
        ran = subprocess.run(
            ['node', '-e', ACCEPT, json.dumps(message), pem(pair)], capture_output=True, text=True
        )
        assert ran.stdout.strip() == 'accepted', ran.stderr
    return json.dumps(message, indent=2)


def sns_headers(kind='Notification'):
    return {
        'content-type': 'text/plain; charset=UTF-8',
        'x-amz-sns-message-type': kind,
        'x-amz-sns-topic-arn': TOPIC,
    }


def notification(**more):
    members = {
        'Type': 'Notification',
        'MessageId': '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324',
        'TopicArn': TOPIC,
        'Subject': 'Zahlung über 42 €',
        'Message': '{"order": 1042,\n "note": "a\\tb"}',
        'Timestamp': '2026-01-31T12:00:00.655Z',
    }
    members.update(more)
    return {name: value for name, value in members.items() if value is not None}


def subscription(kind):
    return {
        'Type': kind,
        'MessageId': '165545c9-2a5c-472c-8df2-7ff2be2b3b1b',
        'Token': '2336412f37fb687f5d51e6e241d09c80',
        'TopicArn': TOPIC,
        'Message': 'You have chosen to subscribe.',
        'SubscribeURL': 'https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription'
        f'&TopicArn={TOPIC}&Token=2336412f37fb687f5d51e6e241d09c80',
        'Timestamp': '2026-01-31T12:00:01.655Z',
    }


def write(file, value):
    (HERE / file).write_text(json.dumps(value, indent=2, ensure_ascii=False) + '\n')


def sample(provider, made_by, secrets, tamper, event, headers, body, files):
    first = {'now': NOW, 'headers': headers, 'body': body}
    write(f'{provider}.json', {
        'provider': provider,
        'made_by': made_by,
        'secret': secrets[0],
        'other_secret': secrets[1],
        'tamper': tamper,
        'events': [event],
        'roots': [der(ROOT)],
        'files': files,
        'method': 'POST',
        'url': CALLED,
        'tries': [first, {**first, 'now': NOW + 20}],
    })


def case(what, provider, expect, body, headers, files):
    return {
        'what': what, 'provider': provider, 'expect': expect, 'now': NOW,
        'headers': headers, 'body': body, 'files': files,
    }


def main():
    event = json.dumps({
        'id': 'WH-2WR32451HC0233532-67976317FL4543714', 'event_version': '1.0',
        'create_time': '2026-01-31T12:00:00.000Z', 'resource_type': 'capture',
        'event_type': 'PAYMENT.CAPTURE.COMPLETED', 'summary': 'Payment completed for € 42.00',
        'resource': {'id': '3C679366HH908993F', 'amount': {'currency_code': 'EUR'}},
    }, ensure_ascii=False)
    sample(
        'paypal', 'paypalrestsdk 1.13.3 (Python), WebhookEvent._verify_signature',
        [WEBHOOK, 'ANOTHERWEBHOOK1'], ['PAYMENT.CAPTURE.COMPLETED', 'PAYMENT.CAPTURE.DENIED'],
        {'key': ['WH-2WR32451HC0233532-67976317FL4543714'],
         'event_type': 'PAYMENT.CAPTURE.COMPLETED'},
        paypal(event), event, [pem(PAYPAL), der(ISSUER)],
    )
    message = sns(notification())
    sample(
        'aws_sns', 'sns-validator 0.3.5 (Node), validate',
        [TOPIC, TOPIC + '-2'], ['1042', '1043'],
        {'key': ['22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324'], 'event_type': 'Notification'},
        sns_headers(), message, [pem(SNS), der(ISSUER)],
    )

    stranger = certificate('messageverificationcerts.paypal.com', OTHER_ROOT, PAYPAL_NAME)
    forged = certificate(PAYPAL_NAME, None, PAYPAL_NAME)
    evil = 'messageverificationcerts.paypal.com.evil.example'
    misnamed = certificate(evil, ISSUER, evil)
    expired = certificate(PAYPAL_NAME, ISSUER, PAYPAL_NAME, until=2025)
    bare = certificate(PAYPAL_NAME, ISSUER, PAYPAL_NAME, aia=False)
    chained = [pem(PAYPAL) + pem(ISSUER)]
    other_sns = certificate('ses.amazonaws.com', ISSUER, 'ses.amazonaws.com')
    untrusted = 'certificate_untrusted'
    unsubscribed = 'UnsubscribeConfirmation'
    asked = 'SubscriptionConfirmation'
    cases = [
        case('the file brings the issuer', 'paypal', 'event', event, paypal(event), chained),
        case('another authority', 'paypal', untrusted, event, paypal(event, stranger),
             [pem(stranger), der(OTHER_ROOT)]),
        case('a certificate of its own', 'paypal', untrusted, event, paypal(event, forged),
             [pem(forged)]),
        case('another name', 'paypal', untrusted, event, paypal(event, misnamed),
             [pem(misnamed), der(ISSUER)]),
        case('expired', 'paypal', untrusted, event, paypal(event, expired),
             [pem(expired), der(ISSUER)]),
        case('no issuer to be found', 'paypal', untrusted, event, paypal(event, bare),
             [pem(bare)]),
        case('the wrong issuer', 'paypal', untrusted, event, paypal(event),
             [pem(PAYPAL), der(OTHER_ROOT)]),
        case('signed by another key', 'paypal', 'signature_mismatch', event,
             paypal(event, misnamed), [pem(PAYPAL), der(ISSUER)]),
        case('version 2', 'aws_sns', 'event', sns(notification(), version='2'), sns_headers(),
             [pem(SNS), der(ISSUER)]),
        case('without a subject', 'aws_sns', 'event', sns(notification(Subject=None)),
             sns_headers(), [pem(SNS), der(ISSUER)]),
        case('version 1 is not version 2', 'aws_sns', 'signature_mismatch',
             message.replace('"SignatureVersion": "1"', '"SignatureVersion": "2"'),
             sns_headers(), [pem(SNS), der(ISSUER)]),
        case('a subject that was not signed', 'aws_sns', 'signature_mismatch',
             sns(notification(Subject=None)).replace(
                 '"Message":', '"Subject": "more", "Message":'),
             sns_headers(), [pem(SNS), der(ISSUER)]),
        case('another service of the provider', 'aws_sns', untrusted,
             sns(notification(), other_sns), sns_headers(), [pem(other_sns), der(ISSUER)]),
        case('a subscription', 'aws_sns', 'confirm', sns(subscription(asked)),
             sns_headers(asked), [pem(SNS), der(ISSUER)]),
        case('the end of a subscription', 'aws_sns', 'event', sns(subscription(unsubscribed)),
             sns_headers(unsubscribed), [pem(SNS), der(ISSUER)]),
    ]
    write('certified.json', {'roots': [der(ROOT)], 'cases': cases})


main()
