//! The few Kinesis requests that a replay needs: JSON 1.1 over HTTP/1.1, with a well-formed signature that no
//! server without credentials checks.

use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// One whole HTTP request.
fn request(server: &str, operation: &str, body: &str) -> Vec<u8> {
    let signature = "0".repeat(64);
    format!(
        "POST / HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/x-amz-json-1.1\r\n\
         X-Amz-Target: Kinesis_20131202.{operation}\r\nX-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/kinesis/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={signature}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Creates a stream and waits until it is active.
pub fn create_stream(server: &str, stream: &str, shards: u32) -> Result<()> {
    let create = format!("{{\"StreamName\":\"{stream}\",\"ShardCount\":{shards}}}");
    let (status, body) = call(server, &request(server, "CreateStream", &create))?;
    ensure!(status == 200, "CreateStream: {status} {body}");
    let describe = format!("{{\"StreamName\":\"{stream}\"}}");
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let (_, body) = call(server, &request(server, "DescribeStreamSummary", &describe))?;
        if body.contains("\"ACTIVE\"") {
            return Ok(());
        }
        ensure!(Instant::now() < end, "the stream did not become active: {body}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn call(server: &str, request: &[u8]) -> Result<(u16, String)> {
    let mut socket = super::connect(server)?;
    socket.write_all(request)?;
    let mut input = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(reply) = reply(&input)? {
            return Ok((reply.status, String::from_utf8_lossy(&input[reply.body]).into_owned()));
        }
        let read = socket.read(&mut chunk)?;
        ensure!(read > 0, "the server closed the connection");
        input.extend_from_slice(&chunk[..read]);
    }
}

/// A PutRecords request of `records` records of `size` bytes, spread over the hash space by their keys.
pub fn put_records_request(server: &str, stream: &str, records: usize, size: usize) -> Vec<u8> {
    let mut body = String::with_capacity(records * (size * 4 / 3 + 64));
    body.push_str("{\"Records\":[");
    let mut noise = 0x9e37_79b9_7f4a_7c15u64;
    for n in 0..records {
        let data: Vec<u8> = (0..size)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise as u8
            })
            .collect();
        if n > 0 {
            body.push(',');
        }
        body.push_str(&format!("{{\"Data\":\"{}\",\"PartitionKey\":\"key-{n}\"}}", base64(&data)));
    }
    body.push_str(&format!("],\"StreamName\":\"{stream}\"}}"));
    request(server, "PutRecords", &body)
}

fn base64(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
    for three in data.chunks(3) {
        let word =
            three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let six = word >> (18 - 6 * digit) & 63;
            text.push(if digit <= three.len() { char::from(ALPHABET[six as usize]) } else { '=' });
        }
    }
    text
}

struct Reply {
    status: u16,
    body: std::ops::Range<usize>,
}

/// The first reply in `input`; `None` while it is incomplete. Bodies have a Content-Length.
fn reply(input: &[u8]) -> Result<Option<Reply>> {
    let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&input[..end]).context("the head of a reply is no text")?;
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("a reply without status")?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .with_context(|| format!("a reply without Content-Length: {head}"))?;
    let body = end + 4..end + 4 + length;
    Ok((input.len() >= body.end).then_some(Reply { status, body }))
}

/// Takes all whole PutRecords replies out of `input` and answers how many there were; fails on the first that is
/// not a full success.
pub fn count_replies(input: &mut Vec<u8>) -> Result<usize> {
    let mut replies = 0;
    while let Some(reply) = reply(input)? {
        let body = &input[reply.body.clone()];
        let none_failed = [&b"\"FailedRecordCount\":0,"[..], b"\"FailedRecordCount\":0}"];
        let whole = none_failed.iter().any(|text| body.windows(text.len()).any(|part| part == *text));
        ensure!(reply.status == 200 && whole, "{}", String::from_utf8_lossy(&body[..body.len().min(300)]));
        let end = reply.body.end;
        input.drain(..end);
        replies += 1;
    }
    Ok(replies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        for (data, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(data.as_bytes()), text);
        }
    }

    #[test]
    fn replies_end_where_their_length_says() {
        let body = "{\"FailedRecordCount\":0,\"Records\":[]}";
        let ok = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes();
        let mut input = [&ok[..], &ok[..ok.len() - 1]].concat();
        assert_eq!(count_replies(&mut input).unwrap(), 1);
        assert_eq!(input.len(), ok.len() - 1);
        let mut failed = b"HTTP/1.1 400 Bad\r\ncontent-length: 2\r\n\r\n{}".to_vec();
        assert!(count_replies(&mut failed).is_err());
    }
}
