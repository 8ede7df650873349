//! From one client to another through the log, at a steady rate: how long until the ack, how long until a consumer
//! that waits has the record. Either end may speak either protocol.

use super::{http, kafka};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Produce, and Fetch with a long poll.
    Kafka,
    /// PutRecord, and GetRecords again as soon as it was answered (there is no long poll).
    Kinesis,
}

/// What `end-to-end` takes.
#[derive(Args)]
pub struct EndToEnd {
    /// Where Kafka clients connect.
    #[arg(long)]
    server: String,
    /// Where Kinesis clients connect.
    #[arg(long, default_value = "")]
    kinesis: String,
    #[arg(long)]
    topic: String,
    #[arg(long, value_enum, default_value = "kafka")]
    from: Protocol,
    #[arg(long, value_enum, default_value = "kafka")]
    to: Protocol,
    /// Records a second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Bytes of a record.
    #[arg(long, default_value_t = 100)]
    size: usize,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

/// What stands before the time in each record.
const MARK: &[u8; 8] = b"KOLKE2E:";

/// Runs producer and consumer; prints the latencies of both.
pub fn run(args: &EndToEnd) -> Result<()> {
    let mut socket = super::connect(&args.server)?;
    kafka::create_topic(&mut socket, &args.topic, 1, &[])?;
    kafka::wait_writable(&mut socket, &args.topic, 1)?;
    let (ready, produced) = (AtomicBool::new(false), AtomicBool::new(false));
    let start = Instant::now();
    let (acks, ends) = std::thread::scope(|scope| {
        let consumer = scope.spawn(|| consume(args, start, &ready, &produced));
        while !ready.load(Ordering::Acquire) && !consumer.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let acks = produce(args, start, socket);
        produced.store(true, Ordering::Release);
        let ends = consumer.join().expect("no panic");
        Ok::<_, anyhow::Error>((acks?, ends?))
    })?;
    if ends.len() != acks.len() {
        bail!("{} of {} records came through", ends.len(), acks.len());
    }
    let ([ack50, ack99], [end50, end99]) = (percentiles(acks), percentiles(ends));
    println!(
        "{{\"ack_p50_us\":{ack50:.1},\"ack_p99_us\":{ack99:.1},\"p50_us\":{end50:.1},\"p99_us\":{end99:.1}}}"
    );
    Ok(())
}

fn percentiles(mut latencies: Vec<Duration>) -> [f64; 2] {
    latencies.sort_unstable();
    [0.50, 0.99].map(|share| {
        let at = (latencies.len() as f64 * share) as usize;
        latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    })
}

fn produce(args: &EndToEnd, start: Instant, mut kafka: TcpStream) -> Result<Vec<Duration>> {
    let mut kinesis = match args.from {
        Protocol::Kafka => None,
        Protocol::Kinesis => Some(http::Connection::new(&args.kinesis)?),
    };
    let begin = Instant::now();
    let count = (args.seconds * f64::from(args.rate)) as u32;
    let mut acks = Vec::with_capacity(count as usize);
    for number in 0..count {
        let due = begin + Duration::from_secs_f64(f64::from(number) / f64::from(args.rate));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        let mut value = Vec::with_capacity(args.size);
        value.extend_from_slice(MARK);
        value.extend_from_slice(&((sent - start).as_nanos() as u64).to_be_bytes());
        value.resize(args.size.max(16), b'x');
        match &mut kinesis {
            None => {
                kafka.write_all(&kafka::produce_values(&args.topic, 0, &[value]))?;
                let error = kafka::produce_error(&kafka::read_reply(&mut kafka)?)?;
                if error != 0 {
                    bail!("Produce was answered with error code {error}");
                }
            }
            Some(connection) => {
                let body = format!(
                    "{{\"StreamName\":\"{}\",\"PartitionKey\":\"key\",\"Data\":\"{}\"}}",
                    args.topic,
                    http::base64(&value)
                );
                connection.call("PutRecord", body.as_bytes())?;
            }
        }
        acks.push(sent.elapsed());
    }
    Ok(acks)
}

/// Reads until the producer is done and nothing more comes.
fn consume(
    args: &EndToEnd,
    start: Instant,
    ready: &AtomicBool,
    produced: &AtomicBool,
) -> Result<Vec<Duration>> {
    let mut found = Vec::new();
    let mut note = |records: &[u8]| {
        let now = start.elapsed();
        let before = found.len();
        for at in memchr_all(records) {
            let Some(nanos) = records.get(at + 8..at + 16) else { break };
            let sent = u64::from_be_bytes(nanos.try_into().expect("8 bytes"));
            found.push(now.saturating_sub(Duration::from_nanos(sent)));
        }
        found.len() > before
    };
    match args.to {
        Protocol::Kafka => {
            let mut socket = super::connect(&args.server)?;
            let mut reply = Vec::new();
            let mut offset = 0;
            loop {
                let last = produced.load(Ordering::Acquire);
                socket.write_all(&kafka::fetch_request(&args.topic, 0, offset, 1 << 20, 100))?;
                kafka::read_reply_into(&mut socket, &mut reply)?;
                let fetched = kafka::fetched(&reply)?;
                if let Some((end, bytes)) = kafka::end_of(fetched.records) {
                    offset = end;
                    note(&fetched.records[..bytes]);
                } else if last {
                    return Ok(found);
                }
                ready.store(true, Ordering::Release);
            }
        }
        Protocol::Kinesis => {
            let mut connection = http::Connection::new(&args.kinesis)?;
            let mut iterator = connection.iterator(&args.topic, "LATEST")?;
            ready.store(true, Ordering::Release);
            loop {
                let last = produced.load(Ordering::Acquire);
                let body = connection
                    .call("GetRecords", format!("{{\"ShardIterator\":\"{iterator}\"}}").as_bytes())?;
                let body = std::str::from_utf8(&body).context("a reply that is no text")?;
                let mut any = false;
                for data in body.split("\"Data\":\"").skip(1) {
                    let text = data.split('"').next().unwrap_or_default();
                    any |= note(&http::unbase64(text).context("no base64")?);
                }
                if last && !any {
                    return Ok(found);
                }
                iterator =
                    http::text_of(body, "NextShardIterator").context("no further iterator")?.to_owned();
            }
        }
    }
}

/// Where [`MARK`] stands.
fn memchr_all(records: &[u8]) -> impl Iterator<Item = usize> + '_ {
    records.windows(MARK.len()).enumerate().filter(|(_, part)| part == MARK).map(|(at, _)| at)
}
