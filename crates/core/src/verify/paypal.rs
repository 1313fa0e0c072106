//! PayPal signs with RSA over `{transmission id}|{time}|{webhook id}|{CRC-32 of the body}`, and
//! names its certificate in a header. The webhook's id ties the signature to one webhook.
//!
//! Of the body only a CRC-32 is signed: that finds an accident, and no forger. Whoever gets hold of
//! one signed request can make another body that fits it. The time is not compared: whether a
//! retry is signed anew is not documented.

use base64::Engine;

use super::certificate::{Hash, Presented, Wanted, providers_url};
use super::mac::BASE64;
use super::request::malformed;
use super::{Header, Refusal, SignedRequest};
use crate::time::Timestamp;

const ID: &str = "paypal-transmission-id";
const TIME: &str = "paypal-transmission-time";
const SIGNATURE: &str = "paypal-transmission-sig";
const CERTIFICATE: &str = "paypal-cert-url";
const ALGORITHM: &str = "paypal-auth-algo";
const ALGORITHM_NAME: &str = "SHA256withRSA";
/// Where PayPal keeps its certificates.
const CERTIFICATES: &str = "/v1/notifications/certs/";
/// Bytes of the id and of the time together, twice what PayPal documents.
const TEXT_BYTES_MAX: usize = 300;

/// The webhook whose events may come in.
pub(super) struct PayPal {
    pub(super) webhook_id: String,
}

impl PayPal {
    /// The certificate to fetch. A request that lacks something else is refused before that.
    pub(super) fn wanted(&self, request: &SignedRequest<'_>) -> Result<Wanted, Refusal> {
        self.signed(request)?;
        let text = request.text(CERTIFICATE, "the URL of PayPal's certificate")?;
        let url = providers_url(text, |host| host.ends_with(".paypal.com"))
            .filter(|url| url.path().starts_with(CERTIFICATES) && url.query().is_none());
        let url = url.ok_or(Refusal::CertificateUrl { provider: "PayPal" })?;
        Ok(Wanted {
            url: url.to_string(),
        })
    }

    pub(super) fn verify(
        &self,
        request: &SignedRequest<'_>,
        presented: Presented<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (message, signature) = self.signed(request)?;
        let signed = (Hash::Sha256, message.as_bytes(), signature.as_slice());
        presented.signed(is_paypals_name, signed, now)
    }

    /// The text that is signed, and the signature.
    fn signed(&self, request: &SignedRequest<'_>) -> Result<(String, Vec<u8>), Refusal> {
        match request.headers.header(ALGORITHM) {
            Header::Once(name) if name == ALGORITHM_NAME.as_bytes() => {}
            Header::Absent => {}
            Header::Once(_) | Header::Repeated => return Err(malformed(ALGORITHM, ALGORITHM_NAME)),
        }
        let id = request.text(ID, "the transmission's id")?;
        let time = request.text(TIME, "the transmission's time")?;
        if id.is_empty() || id.len() + time.len() > TEXT_BYTES_MAX {
            return Err(malformed(
                ID,
                "the transmission's id, of 50 characters at most",
            ));
        }
        let expected = "an RSA signature in base64";
        let signature = BASE64.decode(request.text(SIGNATURE, expected)?);
        let signature = signature.map_err(|_| malformed(SIGNATURE, expected))?;
        let message = format!("{id}|{time}|{}|{}", self.webhook_id, crc32(request.body));
        Ok((message, signature))
    }
}

/// `messageverificationcerts.paypal.com`, or the sandbox's.
fn is_paypals_name(name: &str) -> bool {
    name.starts_with("messageverificationcerts.") && name.ends_with(".paypal.com")
}

/// CRC-32 as in RFC 1952, section 8.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(u32::MAX, step)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                0xedb8_8320 ^ (crc >> 1)
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_the_one_that_everybody_computes() {
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32("{\"amount\":\"4,20 €\"}".as_bytes()), 0xd1d9_d069);
    }

    #[test]
    fn a_certificate_is_fetched_from_paypal_and_from_nowhere_else() {
        let wanted = |url: &str| {
            let headers = [
                (ID, "id"),
                (TIME, "2026-01-31T12:00:00Z"),
                (SIGNATURE, "AAAA"),
                (CERTIFICATE, url),
            ];
            let request = SignedRequest {
                method: "POST",
                url: "",
                headers: &headers,
                query: "",
                body: b"{}",
            };
            let paypal = PayPal {
                webhook_id: "WH".to_owned(),
            };
            paypal.wanted(&request).map(|wanted| wanted.url)
        };
        for host in ["api", "api.sandbox", "api-m", "api-m.sandbox"] {
            let url = format!("https://{host}.paypal.com/v1/notifications/certs/CERT-360caa42-1");
            assert_eq!(wanted(&url), Ok(url));
        }
        for url in [
            "http://api.paypal.com/v1/notifications/certs/CERT-1",
            "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
            "https://evil.example/api.paypal.com/v1/notifications/certs/CERT-1",
            "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
            "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
            "https://evilpaypal.com/v1/notifications/certs/CERT-1",
            "https://api.paypal.com./v1/notifications/certs/CERT-1",
            "https://api.paypal.com/v1/notifications/certs/../../other",
            "https://api.paypal.com/other/CERT-1",
            "https://api.paypal.com/v1/notifications/certs/CERT-1?next=x",
            "https://api.paypal.com/v1/notifications/certs/CERT-1#x",
            "https://api.paypal.com\\@evil.example/v1/notifications/certs/CERT-1",
            "https://169.254.169.254/v1/notifications/certs/CERT-1",
            "file:///v1/notifications/certs/CERT-1",
            "api.paypal.com/v1/notifications/certs/CERT-1",
            "",
        ] {
            let refused = wanted(url).unwrap_err();
            assert_eq!(refused.reason(), "certificate_untrusted", "{url}");
        }
    }
}
