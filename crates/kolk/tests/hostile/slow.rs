//! Clients that are slow or fall silent: what the server's time-outs are for, and the pace that it asks for while memory is
//! short. Each lasts as long as those do, so that the short form runs them side by side.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kolk_wire_kafka::records::{BatchBuilder, Compression};

use crate::Scale;
use crate::http::{self, Http};
use crate::kafka::{self, Kafka, MIB, encoded, fetch_request, produce_of, produce_request};
use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(60);
/// Far more than any of the server's time-outs.
const WAIT_MAX: Duration = Duration::from_secs(400);
/// Between two bytes of a client that dribbles.
const DRIBBLE: Duration = Duration::from_secs(5);

/// Waits until it is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + WAIT_MAX;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not within {WAIT_MAX:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn closed(server: &Server, protocol: &str, reason: &str) -> usize {
    let line = format!(r#"kolk_connections_closed_total{{protocol="{protocol}",reason="{reason}"}}"#);
    server.counted(&line) as usize
}

/// Requests of so many bytes of which the server may receive a part at once.
fn received_at_once(server: &Server, bytes: usize) -> usize {
    let receiving = server.metric(r#"kolk_memory_limit_bytes{part="receiving"}"#) as usize;
    receiving / (bytes + 1024)
}

/// A byte is progress: who sends one now and then hurts nobody and is let be, unless there are so many that memory is short, and
/// who stops is closed.
pub fn kafka_loris(server: &Server, scale: Scale) -> String {
    let (count, rounds) = (scale.connections(5000, 300), scale.of(18, 8));
    let frame = encoded(&produce_request("honest", 0, &[b'x'; 60_000]), 9);
    let mut clients: Vec<Kafka> = (0..count).map(|_| Kafka::connect(server.kafka, PATIENCE)).collect();
    create_large(server);
    // Up to here they are received where connections read anyway.
    let is_short = count * 65_536 > server.metric(r#"kolk_memory_limit_bytes{part="buffers"}"#) as usize;
    let mut large = None;
    for at in 0..rounds {
        for client in &mut clients {
            let written = client.stream.write_all(&frame[at..at + 1]);
            assert!(is_short || written.is_ok(), "who moves is let be: {written:?}");
        }
        if at == rounds / 2 {
            large = Some(honest_large(server, 36 * MIB));
        }
        std::thread::sleep(DRIBBLE);
    }
    large.expect("there are rounds").join().expect("a large request goes through meanwhile");
    assert!(is_short || closed(server, "kafka", "stalled") == 0, "who moves is let be");
    wait_until("all are closed once they are silent", || closed(server, "kafka", "stalled") >= count);
    let seconds = rounds as u64 * DRIBBLE.as_secs();
    format!(
        "{count} connections that send a byte every 5 s for {seconds} s, beside a request of 36 MiB; all closed once silent"
    )
}

/// Makes the topic of [`honest_large`].
fn create_large(server: &Server) {
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    client.create_topic("large", 1, &[("max.message.bytes", "104857600")]);
}

/// A request of so many bytes by somebody who means no harm.
fn honest_large(server: &Server, bytes: usize) -> JoinHandle<()> {
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    std::thread::spawn(move || {
        client.produce(&produce_request("large", 0, &vec![b'x'; bytes])).expect("it is taken");
    })
}

pub fn half_requests(server: &Server, scale: Scale) -> String {
    let count = scale.connections(2000, 200);
    let whole = encoded(&produce_request("honest", 0, &vec![b'x'; MIB]), 9);
    let at_once = received_at_once(server, whole.len()).min(count);
    assert!(at_once > 1);
    let clients: Vec<Kafka> = (0..count)
        .map(|_| {
            let mut client = Kafka::connect(server.kafka, PATIENCE);
            // What the server does not take now would block: half of it fits into the sockets anyway.
            client.stream.set_nonblocking(true).expect("an option can be set");
            let _ = client.stream.write(&whole[..whole.len() / 2]);
            client
        })
        .collect();
    wait_until("all that hold room are closed", || closed(server, "kafka", "stalled") >= at_once);
    drop(clients);
    format!("{count} requests of 1 MiB half sent, then silence; the {at_once} that had room were closed")
}

/// Every other one is past the bytes that choose between the versions of HTTP.
pub fn http_loris(server: &Server, scale: Scale) -> String {
    let count = scale.connections(5000, 300);
    let request = http::head("PutRecord", http::JSON, "100000");
    let mut clients: Vec<(TcpStream, usize)> = (0..count)
        .map(|number| (http::connect(server.kinesis, PATIENCE), if number % 2 == 0 { 30 } else { 1 }))
        .collect();
    for (client, sent) in &mut clients {
        client.write_all(&request.as_bytes()[..*sent]).expect("it is taken");
    }
    let mut written = Instant::now();
    let (mut no_version, mut no_head) = (0, 0);
    wait_until("all are cut off", || {
        if written.elapsed() >= DRIBBLE {
            written = Instant::now();
            for (client, sent) in &mut clients {
                let _ = client.write_all(&request.as_bytes()[*sent..*sent + 1]);
                *sent += 1;
            }
        }
        (no_version, no_head) = (closed(server, "kinesis", "stalled"), closed(server, "kinesis", "idle"));
        no_version + no_head >= count
    });
    assert!(no_version >= count / 2 && no_head >= count / 2, "{no_version} and {no_head} of {count}");
    format!(
        "{count} connections that send a byte of a head every 5 s, half of them 30 bytes at once; all cut off"
    )
}

pub fn half_bodies(server: &Server, scale: Scale) -> String {
    let count = scale.connections(2000, 200);
    let request = [http::head("PutRecords", http::JSON, "1000000").as_bytes(), &vec![b' '; 500_000]].concat();
    // The body, and once more what is decoded out of it.
    let at_once = received_at_once(server, 2 * 1_000_000).min(count);
    assert!(at_once > 1);
    let clients: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut client = http::connect(server.kinesis, PATIENCE);
            client.set_nonblocking(true).expect("an option can be set");
            let _ = client.write(&request);
            client
        })
        .collect();
    let refused = r#"kolk_request_errors_total{protocol="kinesis",api="PutRecords",error="Request Timeout"}"#;
    wait_until("all that hold room are refused", || server.counted(refused) as usize >= at_once);
    drop(clients);
    format!("{count} bodies of 1 MB half sent, then silence; the {at_once} that had room were refused")
}

/// How often takers read.
const TAKE_EVERY: Duration = Duration::from_millis(250);
/// What they take then: 16 KiB a second, where the server asks for 256 while memory is short.
const TAKEN_BYTES: usize = 4 * 1024;

/// Clients that ask for something large and take it slowly, until they are closed.
struct Takers {
    stop: Arc<AtomicBool>,
    closed: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Takers {
    fn start(address: SocketAddr, request: &Bytes, count: usize) -> Takers {
        let (stop, closed, taken) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let thread = {
            let (stop, closed, taken) = (Arc::clone(&stop), Arc::clone(&closed), Arc::clone(&taken));
            let request = request.clone();
            std::thread::spawn(move || {
                let mut streams: Vec<TcpStream> =
                    (0..count).map(|_| asked_through_a_narrow_window(address, &request)).collect();
                while !stop.load(Ordering::Relaxed) {
                    streams.retain_mut(|stream| match stream.read(&mut [0; TAKEN_BYTES]) {
                        Ok(count) if count > 0 => {
                            taken.fetch_add(count, Ordering::Relaxed);
                            true
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => true,
                        _ => {
                            closed.fetch_add(1, Ordering::Relaxed);
                            false
                        }
                    });
                    std::thread::sleep(TAKE_EVERY);
                }
            })
        };
        Takers { stop, closed, taken, thread }
    }

    fn closed(&self) -> usize {
        self.closed.load(Ordering::Relaxed)
    }

    /// How many were closed, and bytes that all took.
    fn stop(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("takers do not panic");
        (self.closed.load(Ordering::Relaxed), self.taken.load(Ordering::Relaxed))
    }
}

/// Asks over a connection of small segments and a small window: the system keeps some hundred kB of an answer, where it would
/// else keep megabytes, and the rest waits in the server.
fn asked_through_a_narrow_window(address: SocketAddr, request: &[u8]) -> TcpStream {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.set_tcp_mss(536).expect("an option can be set");
    socket.set_recv_buffer_size(TAKEN_BYTES).expect("an option can be set");
    socket.connect(&address.into()).expect("the port takes connections");
    let mut stream: TcpStream = socket.into();
    stream.write_all(request).expect("requests are taken");
    stream.set_nonblocking(true).expect("an option can be set");
    stream
}

/// So many clients that their answers hold nine tenths of what there is for requests and answers. `prepare` makes what is asked
/// for, and gives the port and the request.
fn slow_takers(
    server: &Server,
    scale: Scale,
    protocol: &str,
    count: usize,
    prepare: fn(&Server) -> (SocketAddr, Bytes),
) -> String {
    // The same where there is memory: slow clients are let be.
    let spacious = Server::start(256, crate::AT_ONCE);
    let (address, request) = prepare(&spacious);
    let let_be = Takers::start(address, &request, 2);
    let (address, request) = prepare(server);
    create_large(server);
    let limit = server.metric(r#"kolk_memory_limit_bytes{part="requests"}"#);
    let is_short = || server.metric(r#"kolk_memory_used_bytes{part="requests"}"#) > limit / 4 * 3;
    let (mut crowds, mut missing, mut closed_before) = (Vec::new(), count, 0);
    for _ in 0..scale.of(3, 1) {
        crowds.push(Takers::start(address, &request, missing));
        wait_until("memory is short", is_short);
        honest_large(server, MIB).join().expect("an honest request goes through meanwhile");
        let now_closed = || crowds.iter().map(Takers::closed).sum::<usize>();
        wait_until("takers are closed until memory is not short", || {
            now_closed() > closed_before && !is_short()
        });
        // Who was closed is replaced by others.
        (missing, closed_before) = (now_closed() - closed_before, now_closed());
    }
    let (closed_there, taken_there) = let_be.stop();
    assert_eq!(closed_there, 0, "slow clients were closed though nobody needs their memory");
    assert!(taken_there > 0);
    if let Some(wrong) = spacious.stop() {
        panic!("{wrong}");
    }
    let told = closed(server, protocol, "stalled");
    let (closed, taken) =
        crowds.into_iter().map(Takers::stop).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    // How many have to go depends on how much of their answers the system keeps. Who got all of it was not closed.
    assert!(told >= closed_before, "{told} counted of {closed_before}");
    format!(
        "{count} clients take 16 KiB/s until memory is short no more; {closed} closed, {} MiB taken",
        taken / MIB
    )
}

pub fn kafka_takers(server: &Server, scale: Scale) -> String {
    // 4 MB each, of which the system keeps a tenth.
    slow_takers(server, scale, "kafka", 36, |server| {
        let mut client = Kafka::connect(server.kafka, PATIENCE);
        client.create_topic("noted", 1000, &[]);
        for from in (0..1000).step_by(200) {
            kafka::commit(&mut client, "noted", from..from + 200, |_| 4000);
        }
        (server.kafka, encoded(&kafka::committed("noted"), 8))
    })
}

pub fn http_takers(server: &Server, scale: Scale) -> String {
    // 5 MB each.
    slow_takers(server, scale, "kinesis", 26, |server| {
        let mut client = Kafka::connect(server.kafka, PATIENCE);
        client.create_topic("pages", 1, &[]);
        for _ in 0..50 {
            let mut builder = BatchBuilder::new(Compression::None);
            builder.append(kafka::now_ms(), Some(b"key"), Some(&[b'x'; 100_000]), &[]);
            let batch = builder.build().expect("a small batch");
            client.produce(&produce_of("pages", 0, batch)).expect("it is taken");
        }
        let mut http = Http::connect(server.kinesis, PATIENCE);
        let body = format!(r#"{{"ShardIterator":"{}"}}"#, http.iterator("pages"));
        let request = http::head("GetRecords", http::JSON, &body.len().to_string()) + &body;
        (server.kinesis, request.into())
    })
}

/// Connections that Kafka's port takes.
const KAFKA_PLACES: usize = 10_000;

/// Silence on Kafka's port, in the middle of a size or of a request, too.
pub fn kafka_silence(server: &Server, scale: Scale) -> String {
    let (count, rounds) = (scale.connections(12_000, KAFKA_PLACES + 500), scale.of(6, 3));
    let connect = || Kafka::connect(server.kafka, PATIENCE);
    let ask =
        |topic| connect().produce(&produce_request(topic, 0, b"new")).expect("there is a place for who asks");
    let mut waits = connect();
    waits.create_topic("waited-for", 1, &[]);
    let fetch = fetch_request("waited-for", MIB, i32::MAX);
    waits.stream.write_all(&encoded(&fetch, 11)).expect("requests are taken");
    let mut silent = Vec::new();
    for number in 0..count + rounds {
        let mut client = connect();
        let sent: &[u8] = match number % 3 {
            0 => &[],
            1 => &[0, 0],
            _ => &[0, 0x10, 0, 0, 0, 0, 0, 9],
        };
        // The connection may be gone already, for one that came later.
        let _ = client.stream.write_all(sent);
        silent.push(client);
        if number >= count {
            std::thread::sleep(DRIBBLE);
            ask("honest");
        } else if number % 50 == 0 {
            ask("honest");
        }
    }
    let too_many = count.saturating_sub(KAFKA_PLACES);
    wait_until("silent ones gave way", || closed(server, "kafka", "gave way") >= too_many);
    ask("waited-for");
    waits.answer().expect("who waits for an answer keeps its connection");
    drop(silent);
    format!("{count} silent connections, every new client served, one that waits for records kept")
}

/// Silence on the operators' port, which takes a hundred connections.
pub fn operators(server: &Server, scale: Scale) -> String {
    let count = scale.connections(2000, 200);
    let mut silent = Vec::new();
    for number in 0..count {
        let mut stream = http::connect(server.http, PATIENCE);
        if number % 2 == 0 {
            // The connection may be gone already, for one that came later.
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ");
        }
        silent.push(stream);
        if number % 20 == 0 {
            assert_eq!(server.get("/healthz").0, 200);
            assert_eq!(server.get("/readyz"), (200, "ready\n".to_owned()));
        }
    }
    wait_until("silent ones gave way", || closed(server, "http", "gave way") >= count - 100);
    drop(silent);
    format!("{count} silent connections to the operators' port, which went on to answer")
}

/// What a server has that was given far fewer than it would use.
pub const FEW_HANDLES: u64 = 400;

/// Silence on all ports of a server that has handles for a few connections.
pub fn few_handles(server: &Server, scale: Scale) -> String {
    assert_eq!(server.metric("process_max_fds"), FEW_HANDLES, "it takes what it may have");
    let count = scale.connections(6000, 900);
    let mut silent = Vec::new();
    for number in 0..count {
        let port = [server.kafka, server.kinesis, server.http][number % 3];
        let mut stream = http::connect(port, PATIENCE);
        if number % 2 == 0 {
            // The connection may be gone already, for one that came later.
            let _ = stream.write_all(b"PO");
        }
        silent.push(stream);
        if number % 50 == 0 {
            let mut kafka = Kafka::connect(server.kafka, PATIENCE);
            kafka.produce(&produce_request("honest", 0, b"new")).expect("there is a place for who asks");
            Http::connect(server.kinesis, PATIENCE).iterator("honest");
            assert_eq!(server.get("/healthz").0, 200);
        }
    }
    for protocol in ["kafka", "kinesis", "http"] {
        wait_until("silent ones gave way", || closed(server, protocol, "gave way") >= count / 3 - 100);
    }
    drop(silent);
    format!(
        "{count} silent connections to the three ports of a server that may have {FEW_HANDLES} file handles"
    )
}
