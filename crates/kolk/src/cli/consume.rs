//! `kolk consume`.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use clap::Args;
use kolk_client::kafka::{
    FetchOptions, Fetched, Fetcher, GroupConsumer, GroupEvent, GroupOptions, Kafka, OffsetSpec, OwnedRecord,
};
use kolk_engine::door::Door;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use super::common::{Out, OutputArgs, ServerArgs, run};
use super::format::{Format, to_json, unescape};
use super::place::{Bounds, Where};
use super::produce::Progress;

/// Prints records: from where you say, to the present end or onwards.
///
/// Without --follow it ends at what was the end when it began.
///
/// JSON: topic, partition, offset, timestamp (ms), key, value, headers [key, value]; what is not UTF-8 has the name
/// with _base64 behind it.
#[derive(Args)]
#[command(
    after_long_help = "Format letters, as kcat's: %t topic, %p partition, %o offset, %k key, %s value, %K and %S their \
                             lengths (-1: null), %R the value's length as 4 bytes, %T timestamp in ms, %h headers, %%.\n\
                             Escapes: \\n \\r \\t \\0 \\xHH \\\\.\n\n\
                             Example: kolk consume orders --from -10 --format '%p:%o %k %s\\n'\n\
                             Example: kolk consume orders --from @15m --follow --json\n\
                             Example: kolk consume orders --group billing --follow"
)]
pub struct Consume {
    /// Which topics.
    #[arg(required = true)]
    topics: Vec<String>,
    /// Only this partition. Repeats.
    #[arg(long, short, conflicts_with = "group")]
    partition: Vec<i32>,
    /// Where to begin: earliest, latest, an offset, -N for the last N of each partition, or @TIME.
    ///
    /// TIME is 2026-11-23T01:30:00Z, milliseconds since 1970, or 15m for so long ago. In a group it counts only where
    /// nothing was committed, and is earliest (the default), latest or @TIME.
    #[arg(long, short = 'o', value_name = "WHERE", default_value = "earliest", allow_hyphen_values = true)]
    from: Where,
    /// Where to end, exclusive: latest, an offset, or @TIME (records of partitions are assumed to be in order of time).
    #[arg(long, value_name = "WHERE", conflicts_with_all = ["follow", "group"])]
    until: Option<Where>,
    /// Goes on when the end is reached.
    #[arg(long, short = 'F')]
    follow: bool,
    /// Ends after so many records.
    #[arg(long, short = 'c', value_name = "N")]
    count: Option<u64>,
    /// Reads as a member of this consumer group and commits what was printed.
    #[arg(long, short, value_name = "GROUP")]
    group: Option<String>,
    /// How a record is printed, in kcat's letters; see below.
    #[arg(long, short, conflicts_with_all = ["json", "key_delimiter", "delimiter"])]
    format: Option<Format>,
    /// Prints the key and this in front of the value.
    #[arg(long, short = 'K', value_name = "TEXT")]
    key_delimiter: Option<String>,
    /// What ends a record.
    #[arg(long, short = 'D', value_name = "TEXT", default_value = "\\n")]
    delimiter: String,
    /// Leaves out records of open transactions.
    #[arg(long)]
    committed: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints records until there are enough.
struct Printer {
    out: Out,
    style: Style,
    buffer: Vec<u8>,
    left: Option<u64>,
    printed: u64,
    progress: Progress,
}

enum Style {
    Json,
    Format(Format),
    Value { key_delimiter: Option<Vec<u8>>, delimiter: Vec<u8> },
}

impl Printer {
    /// Prints a record, of which there is one left to print at least; false when it was the last one.
    fn print(&mut self, topic: &str, partition: i32, record: &OwnedRecord) -> Result<bool, Failure> {
        self.buffer.clear();
        match &self.style {
            Style::Json => {
                self.buffer.extend_from_slice(to_json(topic, partition, record).to_string().as_bytes());
                self.buffer.push(b'\n');
            }
            Style::Format(format) => format.write(topic, partition, record, &mut self.buffer),
            Style::Value { key_delimiter, delimiter } => {
                if let Some(between) = key_delimiter {
                    self.buffer.extend_from_slice(record.body.key.as_deref().unwrap_or_default());
                    self.buffer.extend_from_slice(between);
                }
                self.buffer.extend_from_slice(record.body.value.as_deref().unwrap_or_default());
                self.buffer.extend_from_slice(delimiter);
            }
        }
        self.out.bytes(&self.buffer)?;
        self.printed += 1;
        self.progress.show(self.printed);
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        Ok(self.left != Some(0))
    }
}

impl Consume {
    pub fn run(self) -> Result<(), Failure> {
        let usage = |flag: &str, error: String| Failure::Usage(format!("{flag}: {error}"));
        let style = if self.output.json {
            Style::Json
        } else if let Some(format) = &self.format {
            Style::Format(format.clone())
        } else {
            let between = self.key_delimiter.as_deref().map(unescape).transpose();
            Style::Value {
                key_delimiter: between.map_err(|error| usage("--key-delimiter", error))?,
                delimiter: unescape(&self.delimiter).map_err(|error| usage("--delimiter", error))?,
            }
        };
        if self.group.is_some() && matches!(self.from, Where::Offset(_) | Where::Last(_)) {
            return Err(usage("--from", "in a group it is earliest, latest or @TIME".to_owned()));
        }
        run(|door| async move {
            let mut printer = Printer {
                out: Out::new(),
                style,
                buffer: Vec::new(),
                left: self.count,
                printed: 0,
                progress: Progress::new(!std::io::stdout().is_terminal()),
            };
            let kafka = self.server.kafka(&door)?;
            let done = match &self.group {
                // Nobody joins a group, or reads, for nothing.
                _ if self.count == Some(0) => Ok(()),
                Some(group) => self.in_group(&kafka, group, &door, &mut printer).await,
                None => self.alone(&kafka, &door, &mut printer).await,
            };
            printer.progress.end();
            done?;
            printer.out.flush()
        })
    }

    fn options(&self) -> FetchOptions {
        FetchOptions { read_committed: self.committed, ..Default::default() }
    }

    async fn alone(&self, kafka: &Kafka, door: &Door, printer: &mut Printer) -> Result<(), Failure> {
        let now_ms = door.clock.now_ms();
        let mut fetcher = Fetcher::new(kafka.clone(), self.options());
        // Where each partition ends; empty when following.
        let mut ends: BTreeMap<(String, i32), i64> = BTreeMap::new();
        for topic in &self.topics {
            let bounds = Bounds::of(kafka, topic, &self.partition).await?;
            let begin = bounds.offsets(self.from, now_ms).await?;
            let end = bounds.offsets(self.until.unwrap_or(Where::Latest), now_ms).await?;
            for (partition, begin) in begin {
                let end = end[&partition];
                if self.follow {
                    fetcher.seek(topic, partition, begin);
                } else if begin < end {
                    fetcher.seek(topic, partition, begin);
                    ends.insert((topic.clone(), partition), end);
                }
            }
        }
        while self.follow || !ends.is_empty() {
            let Some(Fetched { topic, partition, records, next_offset, .. }) = fetcher.poll().await? else {
                printer.out.flush()?;
                let reached: Vec<_> = ends
                    .extract_if(.., |key, end| is_reached(fetcher.reached(&key.0, key.1), *end))
                    .collect();
                for ((topic, partition), _) in reached {
                    fetcher.remove(&topic, partition);
                }
                continue;
            };
            let key = (topic, partition);
            let end = ends.get(&key).copied();
            for record in records.iter().filter(|record| end.is_none_or(|end| record.offset < end)) {
                if !printer.print(&key.0, partition, record)? {
                    return Ok(());
                }
            }
            if end.is_some_and(|end| next_offset >= end) {
                fetcher.remove(&key.0, partition);
                ends.remove(&key);
            }
            if self.follow {
                printer.out.flush()?;
            }
        }
        Ok(())
    }

    async fn in_group(
        &self,
        kafka: &Kafka,
        group: &str,
        door: &Door,
        printer: &mut Printer,
    ) -> Result<(), Failure> {
        let now_ms = door.clock.now_ms();
        let options = GroupOptions {
            reset: match self.from {
                Where::Latest => OffsetSpec::Latest,
                Where::Time(when) => OffsetSpec::Timestamp(when.ms(now_ms)),
                _ => OffsetSpec::Earliest,
            },
            fetch: self.options(),
            // What was printed is committed, so not by the clock.
            auto_commit: None,
            ..Default::default()
        };
        let mut member = GroupConsumer::new(kafka.clone(), group, &self.topics, options);
        let done = self.member_loop(&mut member, kafka, now_ms, printer).await;
        // Whatever happened, the group does not wait for this member.
        let left = member.leave().await;
        done?;
        Ok(left?)
    }

    async fn member_loop(
        &self,
        member: &mut GroupConsumer,
        kafka: &Kafka,
        now_ms: i64,
        printer: &mut Printer,
    ) -> Result<(), Failure> {
        let failed = |error| Failure::Failed(anyhow::Error::new(error).context("cannot wait for signals"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        // What is still to be read of the partitions assigned; `None` until they are known.
        let mut ends: Option<BTreeMap<(String, i32), i64>> = None;
        loop {
            let event = tokio::select! {
                event = member.poll() => event?,
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
            };
            match event {
                GroupEvent::Assigned(assignment) => {
                    let mut left = BTreeMap::new();
                    let committed = kafka.committed(member_group(self)).await?;
                    for (topic, partition) in assignment.into_iter().filter(|_| !self.follow) {
                        let bounds = Bounds::of(kafka, &topic, &[partition]).await?;
                        let (first, end) = bounds.all()[&partition];
                        let begin = match committed.get(&(topic.clone(), partition)) {
                            Some(committed) if (first..=end).contains(&committed.offset) => committed.offset,
                            // Also where what was committed is no longer there.
                            _ => bounds.offsets(self.from, now_ms).await?[&partition],
                        };
                        if begin < end {
                            left.insert((topic, partition), end);
                        }
                    }
                    ends = Some(left);
                }
                // Records before the end may have gone since, or been lost: then none comes that tells the end.
                GroupEvent::Idle => {
                    if let Some(ends) = &mut ends {
                        ends.retain(|key, end| !is_reached(member.reached(&key.0, key.1), *end));
                    }
                }
                GroupEvent::Records(Fetched { topic, partition, records, next_offset, .. }) => {
                    let key = (topic, partition);
                    let mut next = next_offset;
                    let mut enough = false;
                    for record in &records {
                        if !printer.print(&key.0, partition, record)? {
                            next = record.offset + 1;
                            enough = true;
                            break;
                        }
                    }
                    // Only what has left this process counts as read.
                    printer.out.flush()?;
                    member.commit_offsets(BTreeMap::from([(key.clone(), next)])).await?;
                    if enough {
                        return Ok(());
                    }
                    if let Some(ends) = &mut ends
                        && ends.get(&key).is_some_and(|end| next >= *end)
                    {
                        ends.remove(&key);
                    }
                }
            }
            if !self.follow && ends.as_ref().is_some_and(BTreeMap::is_empty) {
                return Ok(());
            }
        }
    }
}

/// Whether there is nothing left to read before `end`.
fn is_reached(reached: Option<i64>, end: i64) -> bool {
    reached.is_none_or(|reached| reached >= end)
}

fn member_group(consume: &Consume) -> &str {
    consume.group.as_deref().expect("only called in a group")
}
