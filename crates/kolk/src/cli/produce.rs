//! `kolk produce`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads the user's own files and standard input, in a thread of its own, outside the server"
)]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use kolk_client::kafka::{Delivery, Partitioner, Producer, ProducerOptions, RecordBody};
use kolk_wire_kafka::records::Compression;
use serde_json::json;
use tokio::sync::mpsc;

use super::Failure;
use super::common::{Out, OutputArgs, ServerArgs, run};
use super::format::{from_json, unescape};
use super::time::When;

/// Writes records: the lines of files, or of standard input.
///
/// A topic that is not there is made where the server makes topics on their first use (auto.create.topics.enable).
/// Every record is acknowledged when the command ends with exit code 0; with --acks 0 it is only sent.
///
/// JSON output: topic, partition, offset, a line for each record in the order of the input.
#[derive(Args)]
#[command(after_long_help = "Example: echo hello | kolk produce greetings\n\
                             Example: kolk produce orders --key-delimiter : orders.txt\n\
                             Example: kolk consume orders --json | kolk produce copy --from-json")]
pub struct Produce {
    /// Which topic.
    topic: String,
    /// Files to read; `-` or none is standard input.
    files: Vec<PathBuf>,
    /// What ends a record; escapes such as \n, \0, \x1e.
    #[arg(long, short = 'D', value_name = "TEXT", default_value = "\\n", value_parser = delimiter)]
    delimiter: Arc<Vec<u8>>,
    /// Every record's key.
    #[arg(long, short, conflicts_with_all = ["key_delimiter", "from_json"])]
    key: Option<String>,
    /// What stands between key and value in a record.
    #[arg(long, short = 'K', value_name = "TEXT", value_parser = delimiter, conflicts_with = "from_json")]
    key_delimiter: Option<Arc<Vec<u8>>>,
    /// A header of every record. Repeats.
    #[arg(long, short = 'H', value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// The partition; without it by the key's hash, as Kafka's own producers choose it.
    #[arg(long, short, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Every record's timestamp; without it when it is sent.
    #[arg(long, value_name = "TIME")]
    timestamp: Option<When>,
    /// An empty value becomes null (a tombstone on compacted topics), an empty key no key.
    #[arg(long, short = 'Z')]
    null: bool,
    /// The whole of each file is one record.
    #[arg(long, conflicts_with_all = ["delimiter", "key_delimiter", "from_json"])]
    whole_files: bool,
    /// Each line is a record as `kolk consume --json` prints it; topic and offset are passed over.
    #[arg(long)]
    from_json: bool,
    /// How batches are compressed.
    #[arg(long, short = 'z', value_enum, default_value = "none")]
    compression: Codec,
    /// When a record counts as written: all (every copy, synced where the server syncs), 1, or 0 (once it is sent; nobody
    /// says whether it was written).
    #[arg(long, value_name = "all|1|0", default_value = "all", value_parser = acks)]
    acks: i16,
    /// Collects records for so long before they are sent, in ms.
    #[arg(long, value_name = "MS", default_value_t = 5)]
    linger: u64,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

fn delimiter(text: &str) -> Result<Arc<Vec<u8>>, String> {
    let bytes = unescape(text)?;
    if bytes.is_empty() { Err("it is not empty".to_owned()) } else { Ok(Arc::new(bytes)) }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn acks(text: &str) -> Result<i16, String> {
    match text {
        "all" | "-1" => Ok(-1),
        "1" => Ok(1),
        "0" => Ok(0),
        _ => Err("it is all, 1 or 0".to_owned()),
    }
}

/// Deliveries that may be outstanding; beyond it the oldest is waited for.
const OUTSTANDING_MAX: usize = 100_000;

impl Produce {
    pub fn run(self) -> Result<(), Failure> {
        run(|door| async move {
            let kafka = self.server.kafka(&door)?;
            let options = ProducerOptions {
                acks: self.acks,
                idempotent: self.acks == -1,
                compression: match self.compression {
                    Codec::None => Compression::None,
                    Codec::Gzip => Compression::Gzip,
                    Codec::Snappy => Compression::Snappy,
                    Codec::Lz4 => Compression::Lz4,
                    Codec::Zstd => Compression::Zstd,
                },
                linger: Duration::from_millis(self.linger),
                ..Default::default()
            };
            let timestamp_ms = self.timestamp.map(|when| when.ms(door.clock.now_ms()));
            let partitions = kafka.topic_or_create(&self.topic).await?.partitions.len() as i32;
            let producer = Producer::new(kafka, options).await?;
            let mut progress = Progress::new(!std::io::stdin().is_terminal() && !self.output.json);
            let mut outstanding: VecDeque<Delivery> = VecDeque::new();
            let mut out = Out::new();
            let mut partitioner = Partitioner::default();
            let mut input = self.read();
            let mut written = 0u64;
            while let Some(raw) = input.recv().await {
                let (mut record, named) = self.record(raw?)?;
                record.timestamp_ms = timestamp_ms.or(record.timestamp_ms);
                let chosen = self.partition.or(named);
                let partition =
                    chosen.unwrap_or_else(|| partitioner.partition(&self.topic, partitions, &record));
                outstanding.push_back(producer.send(&self.topic, partition, record).await);
                if outstanding.len() >= OUTSTANDING_MAX {
                    let delivery = outstanding.pop_front().expect("it is not empty");
                    self.delivered(delivery, &mut written, &mut out).await?;
                }
                progress.show(written + outstanding.len() as u64);
            }
            for delivery in outstanding {
                self.delivered(delivery, &mut written, &mut out).await?;
            }
            progress.end();
            out.flush()
        })
    }

    async fn delivered(&self, delivery: Delivery, written: &mut u64, out: &mut Out) -> Result<(), Failure> {
        let delivered = delivery.await.map_err(|error| {
            Failure::Failed(anyhow::anyhow!("record {} of the input was not written: {error}", *written + 1))
        })?;
        *written += 1;
        if self.output.json {
            out.json_if_read(&json!({
                "topic": self.topic,
                "partition": delivered.partition,
                "offset": delivered.offset,
            }))?;
        }
        Ok(())
    }

    fn record(&self, raw: Bytes) -> Result<(RecordBody, Option<i32>), Failure> {
        let (mut record, partition) = if self.from_json {
            from_json(&raw)
                .map_err(|error| Failure::Failed(anyhow::anyhow!("not a record in JSON: {error}")))?
        } else {
            let (key, value) = match &self.key_delimiter {
                Some(delimiter) => match find(&raw, delimiter) {
                    Some(at) => (Some(raw.slice(..at)), raw.slice(at + delimiter.len()..)),
                    None => (None, raw),
                },
                None => (self.key.as_ref().map(|key| Bytes::copy_from_slice(key.as_bytes())), raw),
            };
            (RecordBody { key, value: Some(value), ..Default::default() }, None)
        };
        if self.null {
            record.key = record.key.filter(|key| !key.is_empty());
            record.value = record.value.filter(|value| !value.is_empty());
        }
        let headers = self.header.iter();
        record.headers.extend(headers.map(|(name, value)| (name.clone(), Some(value.clone().into()))));
        Ok((record, partition))
    }

    /// Reads the input in a thread of its own, as a read may wait for somebody who types.
    fn read(&self) -> mpsc::Receiver<Result<Bytes, anyhow::Error>> {
        let (records, input) = mpsc::channel(1024);
        let files = if self.files.is_empty() { vec![PathBuf::from("-")] } else { self.files.clone() };
        let (delimiter, whole) = (Arc::clone(&self.delimiter), self.whole_files);
        std::thread::spawn(move || {
            for path in files {
                let source: Box<dyn Read> = if path.as_os_str() == "-" {
                    Box::new(std::io::stdin().lock())
                } else {
                    match std::fs::File::open(&path)
                        .with_context(|| format!("cannot read {}", path.display()))
                    {
                        Ok(file) => Box::new(file),
                        Err(error) => return drop(records.blocking_send(Err(error))),
                    }
                };
                let mut source = BufReader::with_capacity(256 * 1024, source);
                loop {
                    let mut record = Vec::new();
                    let read = if whole {
                        source.read_to_end(&mut record)
                    } else {
                        read_until(&mut source, &delimiter, &mut record)
                    };
                    let record = match read.with_context(|| format!("cannot read {}", path.display())) {
                        Ok(0) => break,
                        Ok(_) => Ok(record.into()),
                        Err(error) => Err(error),
                    };
                    let failed = record.is_err();
                    if records.blocking_send(record).is_err() || failed {
                        return;
                    }
                }
            }
        });
        input
    }
}

/// Reads up to the delimiter, which is left out; gives the bytes read with it, 0 at the end.
fn read_until(source: &mut impl BufRead, delimiter: &[u8], out: &mut Vec<u8>) -> std::io::Result<usize> {
    let last = *delimiter.last().expect("a delimiter is not empty");
    let mut total = 0;
    loop {
        match source.read_until(last, out)? {
            0 => return Ok(total),
            read => total += read,
        }
        if out.ends_with(delimiter) {
            out.truncate(out.len() - delimiter.len());
            return Ok(total);
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Shows how far a long command is, on a terminal only.
pub struct Progress {
    shown: Option<tokio::time::Instant>,
    active: bool,
}

impl Progress {
    /// For a command that may show it because nothing else goes to the terminal.
    pub fn new(alone: bool) -> Progress {
        Progress { shown: None, active: alone && std::io::stderr().is_terminal() }
    }

    /// Says how many records there were; looks at the clock now and then only.
    pub fn show(&mut self, records: u64) {
        if records.is_multiple_of(1024) {
            self.say(|| format!("{records} records"));
        }
    }

    /// Says something that replaces what was said before.
    pub fn say(&mut self, text: impl FnOnce() -> String) {
        if !self.active {
            return;
        }
        let now = tokio::time::Instant::now();
        if self.shown.is_none_or(|at| now - at > Duration::from_millis(200)) {
            self.shown = Some(now);
            eprint!("\r{}", text());
        }
    }

    pub fn end(&mut self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &[u8], delimiter: &[u8]) -> Vec<Vec<u8>> {
        let mut source = BufReader::with_capacity(2, text);
        let mut records = Vec::new();
        loop {
            let mut record = Vec::new();
            if read_until(&mut source, delimiter, &mut record).expect("memory can be read") == 0 {
                return records;
            }
            records.push(record);
        }
    }

    #[test]
    fn records_end_at_the_delimiter_and_at_the_end() {
        assert_eq!(split(b"a\nb\n", b"\n"), [b"a", b"b"]);
        assert_eq!(split(b"a\n\nb", b"\n"), [&b"a"[..], b"", b"b"]);
        assert_eq!(split(b"a-b--c", b"--"), [&b"a-b"[..], b"c"]);
        assert!(split(b"", b"\n").is_empty());
    }
}
