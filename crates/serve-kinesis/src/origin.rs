//! Which web pages may use the face.
//!
//! No signature is checked yet, so whatever runs in a browser on this machine could read and delete the streams of a
//! server on loopback. Browsers name the page's origin in every POST; pages that this machine serves itself pass, as
//! local development needs it, and others only when they were named. Source: the Fetch standard, "CORS protocol".

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a page of this origin may ask. `allowed` are origins, or `*` for any.
pub(crate) fn may_ask(origin: &[u8], allowed: &[String]) -> bool {
    let Ok(origin) = str::from_utf8(origin) else { return false };
    is_loopback(origin) || allowed.iter().any(|named| named == "*" || named.eq_ignore_ascii_case(origin))
}

/// `http://localhost`, `http://[::1]:3000`, and the like. Not `null`, which any page can make itself.
fn is_loopback(origin: &str) -> bool {
    let Some((scheme, place)) = origin.split_once("://") else { return false };
    if !["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return false;
    }
    let (host, port) = match place.strip_prefix('[') {
        Some(place) => match place.split_once(']') {
            Some((host, port)) => (host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()), port),
            None => return false,
        },
        None => {
            let at = place.find(':').unwrap_or(place.len());
            (is_loopback_name(&place[..at]), &place[at..])
        }
    };
    host && (port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()))
}

/// Names below `localhost` never leave the machine (RFC 6761).
fn is_loopback_name(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_machine_and_named_ones_may_ask() {
        let named = ["https://app.example.com".to_owned()];
        for near in [
            "http://localhost",
            "http://localhost:3000",
            "https://LOCALHOST:8443",
            "http://app.localhost:5173",
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://[::1]:3000",
            "https://app.example.com",
        ] {
            assert!(may_ask(near.as_bytes(), &named), "{near}");
        }
        for far in [
            "http://example.com",
            "https://app.example.com:8443",
            "http://app.example.com",
            "null",
            "",
            "localhost",
            "file://localhost",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://127.0.0.1.example.com",
            "http://localhost:3000.example.com",
            "http://localhost@example.com",
            "http://example.com:80@localhost",
            "http://[::1].example.com",
            "http://[::1",
            "http://[::2]",
            "http://10.0.0.1",
            "http://0.0.0.0",
        ] {
            assert!(!may_ask(far.as_bytes(), &named), "{far}");
        }
        assert!(may_ask(b"http://example.com", &["*".to_owned()]));
        assert!(!may_ask(b"http://\xff", &named));
    }
}
