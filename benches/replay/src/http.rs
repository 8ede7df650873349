//! The few Kinesis requests that a replay needs: JSON or CBOR over HTTP/1.1, with a well-formed signature that no
//! server without credentials checks.

use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// What a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    /// JSON 1.1.
    Json,
    /// CBOR 1.1.
    Cbor,
}

/// One whole HTTP request.
fn request(server: &str, operation: &str, encoding: Encoding, body: &[u8]) -> Vec<u8> {
    let signature = "0".repeat(64);
    let encoding = match encoding {
        Encoding::Json => "json",
        Encoding::Cbor => "cbor",
    };
    let mut request = format!(
        "POST / HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/x-amz-{encoding}-1.1\r\n\
         X-Amz-Target: Kinesis_20131202.{operation}\r\nX-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/kinesis/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={signature}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// A connection that is used for one request after another.
pub struct Connection {
    server: String,
    socket: std::net::TcpStream,
    input: Vec<u8>,
    chunk: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn new(server: &str) -> Result<Connection> {
        let socket = super::connect(server)?;
        Ok(Connection { server: server.to_owned(), socket, input: Vec::new(), chunk: Vec::new() })
    }

    /// Calls an operation in JSON; the body of its answer. Fails if that is an error.
    pub fn call(&mut self, operation: &str, body: &[u8]) -> Result<Vec<u8>> {
        let (status, body) = self.exchange(&request(&self.server, operation, Encoding::Json, body))?;
        ensure!(status == 200, "{operation}: {status} {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// Sends a whole request; status and body of the answer.
    fn exchange(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        let reply = self.answer(request)?;
        let pieces: Vec<_> = reply.pieces.into_iter().map(|piece| &self.input[piece]).collect();
        Ok((reply.status, pieces.concat()))
    }

    /// Sends a whole request; the answer stands in the input.
    fn answer(&mut self, request: &[u8]) -> Result<Reply> {
        self.socket.write_all(request)?;
        self.input.clear();
        self.chunk.resize(256 << 10, 0);
        loop {
            if let Some(reply) = reply(&self.input)? {
                return Ok(reply);
            }
            let read = self.socket.read(&mut self.chunk)?;
            ensure!(read > 0, "the server closed the connection");
            self.input.extend_from_slice(&self.chunk[..read]);
        }
    }

    /// An iterator of the stream's first shard.
    pub fn iterator(&mut self, stream: &str, kind: &str) -> Result<String> {
        let body = format!(
            "{{\"StreamName\":\"{stream}\",\"ShardId\":\"shardId-000000000000\",\"ShardIteratorType\":\"{kind}\"}}"
        );
        let answer = self.call("GetShardIterator", body.as_bytes())?;
        let answer = std::str::from_utf8(&answer).context("a reply that is no text")?;
        Ok(text_of(answer, "ShardIterator").context("no iterator")?.to_owned())
    }
}

/// The text of a field whose value needs no escapes.
pub fn text_of<'a>(json: &'a str, field: &str) -> Option<&'a str> {
    json.split_once(&format!("\"{field}\":\""))?.1.split('"').next()
}

/// Creates a stream and waits until it is active.
pub fn create_stream(server: &str, stream: &str, shards: u32) -> Result<()> {
    let mut connection = Connection::new(server)?;
    let create = format!("{{\"StreamName\":\"{stream}\",\"ShardCount\":{shards}}}");
    connection.call("CreateStream", create.as_bytes())?;
    let describe = format!("{{\"StreamName\":\"{stream}\"}}");
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let body = connection.call("DescribeStreamSummary", describe.as_bytes())?;
        let body = String::from_utf8_lossy(&body);
        if body.contains("\"ACTIVE\"") {
            return Ok(());
        }
        ensure!(Instant::now() < end, "the stream did not become active: {body}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A PutRecords request of `records` records of `size` bytes, spread over the hash space by their keys; with one
/// record a PutRecord request.
pub fn put_request(server: &str, stream: &str, encoding: Encoding, records: usize, size: usize) -> Vec<u8> {
    let values = super::kafka::noise(records, size);
    let records = values.iter().enumerate().map(|(n, data)| (format!("key-{n}"), data));
    let mut body = Vec::new();
    match (encoding, values.len()) {
        (Encoding::Json, 1) => body.extend_from_slice(
            format!(
                "{{\"Data\":\"{}\",\"PartitionKey\":\"key\",\"StreamName\":\"{stream}\"}}",
                base64(&values[0])
            )
            .as_bytes(),
        ),
        (Encoding::Json, _) => {
            let records: Vec<_> = records
                .map(|(key, data)| format!("{{\"Data\":\"{}\",\"PartitionKey\":\"{key}\"}}", base64(data)))
                .collect();
            let text = format!("{{\"Records\":[{}],\"StreamName\":\"{stream}\"}}", records.join(","));
            body.extend_from_slice(text.as_bytes());
        }
        (Encoding::Cbor, 1) => {
            cbor(MAP, 3, &mut body);
            record(b"key", &values[0], &mut body);
            name(stream, &mut body);
        }
        (Encoding::Cbor, count) => {
            cbor(MAP, 2, &mut body);
            text("Records", &mut body);
            cbor(ARRAY, count, &mut body);
            for (key, data) in records {
                cbor(MAP, 2, &mut body);
                record(key.as_bytes(), data, &mut body);
            }
            name(stream, &mut body);
        }
    }
    request(server, if values.len() == 1 { "PutRecord" } else { "PutRecords" }, encoding, &body)
}

// Major types of CBOR (RFC 8949, 3.1).
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

fn cbor(major: u8, count: usize, to: &mut Vec<u8>) {
    match count {
        0..24 => to.push(major << 5 | count as u8),
        24..256 => to.extend_from_slice(&[major << 5 | 24, count as u8]),
        _ => {
            to.push(major << 5 | 26);
            to.extend_from_slice(&(count as u32).to_be_bytes());
        }
    }
}

fn text(text: &str, to: &mut Vec<u8>) {
    cbor(TEXT, text.len(), to);
    to.extend_from_slice(text.as_bytes());
}

fn record(key: &[u8], data: &[u8], to: &mut Vec<u8>) {
    text("Data", to);
    cbor(BYTES, data.len(), to);
    to.extend_from_slice(data);
    text("PartitionKey", to);
    cbor(TEXT, key.len(), to);
    to.extend_from_slice(key);
}

fn name(stream: &str, to: &mut Vec<u8>) {
    text("StreamName", to);
    text(stream, to);
}

/// What reading pages took.
pub struct Pages {
    /// How long each page took.
    pub latencies: Vec<Duration>,
    /// Bytes of all answers, as they were sent.
    pub bytes: u64,
    /// Records, where they can be counted cheaply.
    pub records: u64,
}

/// Reads a stream of one shard from its beginning, `pages` times one page of at most 10,000 records, over and over.
pub fn get_records(server: &str, stream: &str, encoding: Encoding, pages: usize) -> Result<Pages> {
    let mut connection = Connection::new(server)?;
    let mut seen = Pages { latencies: Vec::new(), bytes: 0, records: 0 };
    for _ in 0..pages {
        let iterator = connection.iterator(stream, "TRIM_HORIZON")?;
        let mut body = Vec::new();
        match encoding {
            Encoding::Json => {
                body.extend_from_slice(format!("{{\"ShardIterator\":\"{iterator}\"}}").as_bytes())
            }
            Encoding::Cbor => {
                cbor(MAP, 1, &mut body);
                text("ShardIterator", &mut body);
                text(&iterator, &mut body);
            }
        }
        let request = request(server, "GetRecords", encoding, &body);
        let start = Instant::now();
        let reply = connection.answer(&request)?;
        seen.latencies.push(start.elapsed());
        let body: Vec<_> = reply.pieces.into_iter().map(|piece| &connection.input[piece]).collect();
        let body = body.concat();
        let begin = String::from_utf8_lossy(&body[..body.len().min(300)]);
        ensure!(reply.status == 200, "GetRecords: {} {begin}", reply.status);
        seen.bytes += body.len() as u64;
        seen.records += body.windows(12).filter(|part| *part == b"PartitionKey").count() as u64;
    }
    Ok(seen)
}

/// Base64 with padding.
pub fn base64(data: &[u8]) -> String {
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

/// Bytes of padded base64; `None` if it is none.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    let mut data = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut digits) = (0u32, 0);
    for digit in text.bytes().filter(|digit| *digit != b'=') {
        let six = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        word = word << 6 | u32::from(six);
        digits += 1;
        if digits == 4 {
            data.extend_from_slice(&word.to_be_bytes()[1..]);
            (word, digits) = (0, 0);
        }
    }
    match digits {
        2 => data.push((word >> 4) as u8),
        3 => data.extend_from_slice(&((word >> 2) as u16).to_be_bytes()),
        _ => {}
    }
    Some(data)
}

struct Reply {
    status: u16,
    /// Where its body stands, piece by piece.
    pieces: Vec<std::ops::Range<usize>>,
    end: usize,
}

/// The first reply in `input`; `None` while it is incomplete. Its body has a length or comes in chunks.
fn reply(input: &[u8]) -> Result<Option<Reply>> {
    let Some(end) = line_end(input, 0, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&input[..end]).context("the head of a reply is no text")?;
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("a reply without status")?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    let mut at = end + 4;
    if let Some(length) = length {
        let end = at + length;
        let whole = Reply { status, pieces: std::iter::once(at..end).collect(), end };
        return Ok((input.len() >= end).then_some(whole));
    }
    ensure!(
        head.to_ascii_lowercase().contains("transfer-encoding: chunked"),
        "a reply without length: {head}"
    );
    let mut pieces = Vec::new();
    loop {
        let Some(line) = line_end(input, at, b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&input[at..line]).context("the size of a chunk is no text")?;
        let size = usize::from_str_radix(size, 16).with_context(|| format!("a chunk of size {size:?}"))?;
        let piece = line + 2..line + 2 + size;
        at = piece.end + 2;
        if input.len() < at {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(Reply { status, pieces, end: at }));
        }
        pieces.push(piece);
    }
}

/// Where `mark` stands at or after `from`.
fn line_end(input: &[u8], from: usize, mark: &[u8]) -> Option<usize> {
    input.get(from..)?.windows(mark.len()).position(|part| part == mark).map(|at| from + at)
}

/// Takes all whole replies to PutRecord and PutRecords out of `input` and answers how many there were; fails on the
/// first that is not a full success.
pub fn count_replies(input: &mut Vec<u8>) -> Result<usize> {
    let mut replies = 0;
    while let Some(reply) = reply(input)? {
        let body = &input[..reply.end];
        // A code stands where a record failed.
        let failed = body.windows(9).any(|part| part == b"ErrorCode");
        ensure!(reply.status == 200 && !failed, "{}", String::from_utf8_lossy(&body[..body.len().min(300)]));
        input.drain(..reply.end);
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
            assert_eq!(unbase64(text).unwrap(), data.as_bytes());
        }
    }

    #[test]
    fn replies_end_where_their_length_says() {
        let body = "{\"FailedRecordCount\":0,\"Records\":[]}";
        let ok = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes();
        let mut input = [&ok[..], &ok[..ok.len() - 1]].concat();
        assert_eq!(count_replies(&mut input).unwrap(), 1);
        assert_eq!(input.len(), ok.len() - 1);
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        let whole = reply(chunked).unwrap().unwrap();
        let pieces: Vec<_> = whole.pieces.iter().map(|piece| &chunked[piece.clone()]).collect();
        assert_eq!((pieces, whole.end), (vec![&b"abc"[..], b"d"], chunked.len()));
        assert!(reply(&chunked[..chunked.len() - 1]).unwrap().is_none());
        let mut failed = b"HTTP/1.1 400 Bad\r\ncontent-length: 2\r\n\r\n{}".to_vec();
        assert!(count_replies(&mut failed).is_err());
    }
}
