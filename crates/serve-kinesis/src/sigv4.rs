//! Signatures (AWS Signature Version 4): whether one is there and whole.
//!
//! While no credentials are configured any whole signature is accepted unchecked, as emulators do; what is missing is
//! worded as the service words it. Source: AWS General Reference, "Signature Version 4"; observed answers.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, DATE};
use kolk_wire_kinesis::{ErrorCode, ServiceError};

/// Parts of the Authorization header, in the order in which missing ones are listed.
const HEADER_PARTS: [&str; 3] = ["Credential", "Signature", "SignedHeaders"];

/// Query parameters of a presigned request, likewise.
const QUERY_PARTS: [&str; 5] =
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];

/// Checks that a request is signed in one of the two ways. `unsigned_allowed` lets a request without any signature pass.
pub(crate) fn check(
    headers: &HeaderMap,
    query: Option<&str>,
    unsigned_allowed: bool,
) -> Result<(), ServiceError> {
    let header = headers.get(AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let query: Vec<(&str, &str)> =
        query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    let presigned = query.iter().any(|(name, _)| *name == "X-Amz-Algorithm");
    let missing = match (header, presigned) {
        (Some(_), true) => {
            return Err(ServiceError::new(
                ErrorCode::InvalidSignature,
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
            ));
        }
        (None, false) if unsigned_allowed => return Ok(()),
        (None, false) => {
            return Err(ServiceError::new(
                ErrorCode::MissingAuthenticationToken,
                "Missing Authentication Token",
            ));
        }
        (Some(header), false) => missing_of_header(&header, headers),
        (None, true) => missing_of_query(&query),
    };
    match missing {
        Some(text) => Err(ServiceError::new(ErrorCode::IncompleteSignature, text)),
        None => Ok(()),
    }
}

/// `AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...`
fn missing_of_header(header: &str, headers: &HeaderMap) -> Option<String> {
    let has = |part: &str| {
        let fields = header.split([',', ' ']).skip(1).filter_map(|field| field.split_once('='));
        fields.into_iter().any(|(name, value)| name == part && !value.is_empty())
    };
    let mut text = String::new();
    for part in HEADER_PARTS.into_iter().filter(|part| !has(part)) {
        text.push_str(&format!("Authorization header requires '{part}' parameter. "));
    }
    if !headers.contains_key("x-amz-date") && !headers.contains_key(DATE) {
        text.push_str(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
        );
    }
    (!text.is_empty()).then(|| format!("{text}Authorization={header}"))
}

fn missing_of_query(query: &[(&str, &str)]) -> Option<String> {
    let has = |part: &str| query.iter().any(|(name, value)| *name == part && !value.is_empty());
    let mut text = String::new();
    for part in QUERY_PARTS.into_iter().filter(|part| !has(part)) {
        text.push_str(&format!("AWS query-string parameters must include '{part}'. "));
    }
    (!text.is_empty()).then(|| format!("{text}Re-examine the query-string parameters."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: Option<&str>, date: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        if date {
            headers.insert("x-amz-date", "20260101T000000Z".parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_whole_signature_passes_unchecked() {
        let whole = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0";
        assert_eq!(check(&headers(Some(whole), true), None, false), Ok(()));
        let tight = "AWS4-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=0";
        assert_eq!(check(&headers(Some(tight), true), Some("x=y"), false), Ok(()));
        let query =
            "X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-SignedHeaders=d&X-Amz-Date=e";
        assert_eq!(check(&headers(None, false), Some(query), false), Ok(()));
    }

    #[test]
    fn what_is_missing_is_listed() {
        let refusal = |headers: HeaderMap, query| check(&headers, query, false).unwrap_err();
        assert_eq!(refusal(headers(None, true), None).code, ErrorCode::MissingAuthenticationToken);
        let both = refusal(headers(Some("AWS4-HMAC-SHA256 Credential=a"), true), Some("X-Amz-Algorithm=b"));
        assert_eq!(both.code, ErrorCode::InvalidSignature);
        let part = refusal(headers(Some("X Credential=a"), false), None);
        assert_eq!(part.code, ErrorCode::IncompleteSignature);
        assert_eq!(
            part.message.unwrap(),
            "Authorization header requires 'Signature' parameter. \
             Authorization header requires 'SignedHeaders' parameter. \
             Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
             Authorization=X Credential=a"
        );
        let query = refusal(headers(None, false), Some("X-Amz-Algorithm=a&X-Amz-Date="));
        assert_eq!(
            query.message.unwrap(),
            "AWS query-string parameters must include 'X-Amz-Credential'. \
             AWS query-string parameters must include 'X-Amz-Signature'. \
             AWS query-string parameters must include 'X-Amz-SignedHeaders'. \
             AWS query-string parameters must include 'X-Amz-Date'. \
             Re-examine the query-string parameters."
        );
    }

    #[test]
    fn unsigned_requests_pass_where_they_may_but_half_signed_ones_do_not() {
        assert_eq!(check(&headers(None, false), None, true), Ok(()));
        assert!(check(&headers(Some("X"), false), None, true).is_err());
    }
}
