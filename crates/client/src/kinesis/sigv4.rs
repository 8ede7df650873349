//! AWS Signature Version 4 in the `Authorization` header, for requests without a query.
//!
//! Source: "Create a signed AWS API request" in the AWS Identity and Access Management user guide.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use kolk_wire_kinesis::date::Civil;
use sha2::{Digest, Sha256};

/// What requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// A request that is to be signed.
pub(super) struct Unsigned<'a> {
    pub credentials: &'a Credentials,
    pub region: &'a str,
    pub service: &'a str,
    pub now_ms: i64,
    pub method: &'a str,
    pub path: &'a str,
    /// Lower-case names, sorted; `x-amz-date` is added.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// The two headers that a signature adds.
pub(super) struct Signed {
    /// `x-amz-date`.
    pub date: String,
    /// `authorization`.
    pub authorization: String,
}

pub(super) fn sign(request: &Unsigned<'_>) -> Signed {
    let date = basic_date(request.now_ms);
    let day = &date[..8];
    let mut headers: Vec<(&str, &str)> = request.headers.to_vec();
    headers.push(("x-amz-date", &date));
    headers.sort_unstable();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let mut canonical = format!("{}\n{}\n\n", request.method, request.path);
    for (name, value) in &headers {
        let _ = writeln!(canonical, "{name}:{}", value.trim());
    }
    let _ = write!(canonical, "\n{names}\n{}", hex(&Sha256::digest(request.body)));

    let scope = format!("{day}/{}/{}/aws4_request", request.region, request.service);
    let to_sign =
        format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let secret = format!("AWS4{}", request.credentials.secret_access_key);
    let key = [day, request.region, request.service, "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| hmac(&key, part.as_bytes()));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        request.credentials.access_key_id,
        hex(&hmac(&key, to_sign.as_bytes()))
    );
    Signed { date, authorization }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `20150830T123600Z`.
fn basic_date(ms: i64) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = Civil::of(ms);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: fn() -> Credentials = || Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
    };

    /// Case `post-vanilla` of AWS's published signature test suite.
    #[test]
    fn the_published_example_signs_alike() {
        let signed = sign(&Unsigned {
            credentials: &CREDENTIALS(),
            region: "us-east-1",
            service: "service",
            now_ms: 1_440_938_160_000,
            method: "POST",
            path: "/",
            headers: &[("host", "example.amazonaws.com")],
            body: b"",
        });
        assert_eq!(signed.date, "20150830T123600Z");
        assert_eq!(
            signed.authorization,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }

    #[test]
    fn known_days() {
        assert_eq!(basic_date(0), "19700101T000000Z");
        assert_eq!(basic_date(951_782_400_000), "20000229T000000Z");
        assert_eq!(basic_date(1_709_251_199_999), "20240229T235959Z");
        assert_eq!(basic_date(4_107_542_400_000), "21000301T000000Z");
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert!(!format!("{:?}", CREDENTIALS()).contains("wJalr"));
    }
}
