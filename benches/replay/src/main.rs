//! A load client that costs next to nothing: every request is encoded once and sent again and again, a window of
//! them in flight on each connection, replies only counted and checked for errors. With it the server is what is
//! measured; with a real client library mostly the library is.
//!
//! One thread a connection: it reads what replies have come, counts them, and sends as many requests with one
//! write. Results go to stdout as one JSON object.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a load client measures wall time over real sockets; it is not part of the simulated server"
)]

mod consume;
mod end_to_end;
mod http;
mod kafka;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kafka Produce requests, acks=all, one batch each.
    Produce(Produce),
    /// Read a topic whole.
    Consume(consume::Consume),
    /// Latency from one client to another at a steady rate.
    EndToEnd(end_to_end::EndToEnd),
    /// Kinesis PutRecords requests of 500 records over HTTP/1.1; with `--records 1` PutRecord requests.
    PutRecords(PutRecords),
    /// Kinesis GetRecords: full pages of 10,000 records of 1 KiB, which are put into a new stream first.
    GetRecords {
        #[arg(long)]
        server: String,
        #[arg(long)]
        stream: String,
        #[arg(long, value_enum, default_value = "json")]
        encoding: http::Encoding,
        #[arg(long, default_value_t = 20)]
        pages: usize,
        /// Requests of 500 records that are put first.
        #[arg(long, default_value_t = 20)]
        requests: u64,
        /// Put nothing: the stream is there.
        #[arg(long)]
        no_create: bool,
    },
    /// Create topics of this many partitions in all, a request each: NAME-0, NAME-1, ...
    CreateTopics {
        #[arg(long)]
        server: String,
        #[arg(long)]
        topic: String,
        #[arg(long)]
        partitions: u32,
        /// Partitions of a topic, at most.
        #[arg(long, default_value_t = 1000)]
        topic_partitions: u32,
    },
    /// Wait until the server acks a record (it may not even listen yet); prints the milliseconds.
    FirstAck {
        #[arg(long)]
        server: String,
        #[arg(long)]
        topic: String,
        /// Create the topic first.
        #[arg(long)]
        create: bool,
    },
}

#[derive(Args)]
struct Produce {
    #[arg(long)]
    server: String,
    #[arg(long)]
    topic: String,
    /// Partitions to write to in turn (each connection starts at another one).
    #[arg(long, default_value_t = 1)]
    partitions: u32,
    /// Spread the partitions over topics NAME-0, NAME-1, ... of so many each, which exist.
    #[arg(long)]
    topic_partitions: Option<u32>,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 1)]
    window: usize,
    /// Records in each batch.
    #[arg(long, default_value_t = 1)]
    records: u32,
    /// Bytes of each record's value.
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Stop after this time.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Stop after this many requests on each connection.
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
    /// Write nothing but Produce: the topic exists or the server needs none.
    #[arg(long)]
    no_create: bool,
    /// Topic configs for the creation, NAME=VALUE.
    #[arg(long)]
    config: Vec<String>,
}

#[derive(Args)]
struct PutRecords {
    #[arg(long)]
    server: String,
    #[arg(long)]
    stream: String,
    #[arg(long, default_value_t = 4)]
    shards: u32,
    #[arg(long, value_enum, default_value = "json")]
    encoding: http::Encoding,
    #[arg(long, default_value_t = 4)]
    connections: usize,
    #[arg(long, default_value_t = 500)]
    records: usize,
    #[arg(long, default_value_t = 1024)]
    size: usize,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
    /// The stream is there.
    #[arg(long)]
    no_create: bool,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Produce(args) => produce(&args),
        Command::Consume(args) => consume::run(&args),
        Command::EndToEnd(args) => end_to_end::run(&args),
        Command::PutRecords(args) => put_records(&args),
        Command::GetRecords { server, stream, encoding, pages, requests, no_create } => {
            if !no_create {
                fill_stream(&server, &stream, requests)?;
            }
            get_records(&server, &stream, encoding, pages)
        }
        Command::CreateTopics { server, topic, partitions, topic_partitions } => {
            let start = Instant::now();
            let mut socket = connect(&server)?;
            for (number, first) in (0..partitions).step_by(topic_partitions as usize).enumerate() {
                let count = (partitions - first).min(topic_partitions);
                kafka::create_topic(&mut socket, &format!("{topic}-{number}"), count, &[])?;
            }
            println!("{{\"milliseconds\":{:.1}}}", start.elapsed().as_secs_f64() * 1e3);
            Ok(())
        }
        Command::FirstAck { server, topic, create } => {
            let start = Instant::now();
            let end = start + Duration::from_secs(180);
            while let Err(error) = first_ack(&server, &topic, create) {
                ensure!(Instant::now() < end, "no ack within 180 s: {error:#}");
                std::thread::sleep(Duration::from_millis(1));
            }
            println!("{{\"milliseconds\":{:.1}}}", start.elapsed().as_secs_f64() * 1e3);
            Ok(())
        }
    }
}

fn connect(server: &str) -> Result<TcpStream> {
    let socket = TcpStream::connect(server).with_context(|| format!("cannot connect to {server}"))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    // The server is to be measured, not this side's congestion control, which may hold back what is sent (BBR does, with
    // timers, even within a machine).
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_congestion(&socket, "reno");
    Ok(socket)
}

fn first_ack(server: &str, topic: &str, create: bool) -> Result<()> {
    let mut socket = connect(server)?;
    if create {
        kafka::create_topic(&mut socket, topic, 1, &[])?;
    }
    socket.write_all(&kafka::produce_request(topic, 0, 1, 100))?;
    let reply = kafka::read_reply(&mut socket)?;
    let error = kafka::produce_error(&reply)?;
    ensure!(error == 0, "error code {error}");
    Ok(())
}

/// What one connection saw.
struct Seen {
    requests: u64,
    latencies: Vec<Duration>,
}

fn produce(args: &Produce) -> Result<()> {
    if !args.no_create && args.topic_partitions.is_none() {
        let mut socket = connect(&args.server)?;
        kafka::create_topic(&mut socket, &args.topic, args.partitions, &args.config)?;
        kafka::wait_writable(&mut socket, &args.topic, args.partitions)?;
    }
    let requests: Vec<_> = (0..args.partitions)
        .map(|p| match args.topic_partitions {
            None => kafka::produce_request(&args.topic, p, args.records, args.size),
            Some(each) => kafka::produce_request(
                &format!("{}-{}", args.topic, p / each),
                p % each,
                args.records,
                args.size,
            ),
        })
        .collect();
    let bytes = u64::from(args.records) * args.size as u64;
    run(args.connections, bytes, u64::from(args.records), |number| {
        let mut turn = requests.iter().cycle().skip(number % requests.len());
        let mut next = move || turn.next().expect("a cycle does not end").as_slice();
        let limit = (args.seconds, args.requests);
        pipeline(connect(&args.server)?, args.window, limit, &mut next, &mut kafka::count_replies)
    })
}

fn put_records(args: &PutRecords) -> Result<()> {
    if !args.no_create {
        http::create_stream(&args.server, &args.stream, args.shards)?;
    }
    let request = http::put_request(&args.server, &args.stream, args.encoding, args.records, args.size);
    let bytes = (args.records * args.size) as u64;
    run(args.connections, bytes, args.records as u64, |_| {
        let limit = (args.seconds, args.requests);
        pipeline(connect(&args.server)?, 1, limit, &mut || &request, &mut http::count_replies)
    })
}

/// Makes a stream of one shard and puts so many requests of 500 records of 1 KiB into it.
fn fill_stream(server: &str, stream: &str, requests: u64) -> Result<()> {
    http::create_stream(server, stream, 1)?;
    let put = http::put_request(server, stream, http::Encoding::Json, 500, 1024);
    pipeline(connect(server)?, 1, (600.0, requests), &mut || &put, &mut http::count_replies)?;
    Ok(())
}

fn get_records(server: &str, stream: &str, encoding: http::Encoding, pages: usize) -> Result<()> {
    let mut seen = http::get_records(server, stream, encoding, pages)?;
    seen.latencies.sort_unstable();
    let at = |share: f64| seen.latencies[(seen.latencies.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "{{\"pages\":{pages},\"records\":{},\"bytes\":{},\"p50_us\":{:.1},\"p99_us\":{:.1}}}",
        seen.records,
        seen.bytes,
        at(0.50),
        at(0.99)
    );
    Ok(())
}

/// Runs all connections at once and prints what they saw together.
fn run(
    connections: usize,
    bytes: u64,
    records: u64,
    connection: impl Fn(usize) -> Result<Seen> + Sync,
) -> Result<()> {
    let start = Instant::now();
    let seen = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|number| {
                let connection = &connection;
                scope.spawn(move || connection(number))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Result<Vec<_>>>()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let requests: u64 = seen.iter().map(|one| one.requests).sum();
    let mut latencies: Vec<_> = seen.into_iter().flat_map(|one| one.latencies).collect();
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index.min(latencies.len().saturating_sub(1))).map_or(0.0, |l| l.as_secs_f64() * 1e6)
    };
    println!(
        "{{\"requests\":{requests},\"records\":{},\"bytes\":{},\"seconds\":{seconds:.4},\"p50_us\":{:.1},\"p99_us\":{:.1}}}",
        requests * records,
        requests * bytes,
        at(0.50),
        at(0.99)
    );
    Ok(())
}

/// Keeps `window` requests in flight until the limit (seconds, requests), then drains. `count` looks at the input,
/// takes whole replies out of it and answers how many there were.
fn pipeline<'a>(
    mut socket: TcpStream,
    window: usize,
    (seconds, requests_max): (f64, u64),
    next: &mut dyn FnMut() -> &'a [u8],
    count: &mut dyn FnMut(&mut Vec<u8>) -> Result<usize>,
) -> Result<Seen> {
    // Latencies are sampled: every one at window 1, enough of them otherwise.
    const SAMPLES_MAX: usize = 200_000;
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(seconds);
    let mut seen = Seen { requests: 0, latencies: Vec::new() };
    let mut sent_at = std::collections::VecDeque::with_capacity(window);
    let mut output = Vec::new();
    let mut input = Vec::new();
    let mut chunk = vec![0; 256 << 10];
    let mut sent = 0;
    let mut send = window as u64;
    loop {
        output.clear();
        let send_now = send.min(requests_max - sent);
        let now = Instant::now();
        for _ in 0..send_now {
            output.extend_from_slice(next());
            sent_at.push_back(now);
        }
        socket.write_all(&output)?;
        sent += send_now;
        if sent_at.is_empty() {
            return Ok(seen);
        }
        let read = socket.read(&mut chunk)?;
        ensure!(read > 0, "the server closed the connection after {} replies", seen.requests);
        input.extend_from_slice(&chunk[..read]);
        let replies = count(&mut input)?;
        let now = Instant::now();
        for _ in 0..replies {
            let at = sent_at.pop_front().context("more replies than requests")?;
            if seen.latencies.len() < SAMPLES_MAX {
                seen.latencies.push(now - at);
            }
        }
        seen.requests += replies as u64;
        send = if now < end { replies as u64 } else { 0 };
    }
}
