//! Reads partitions from where they are told to, one request under way for each leader.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use kolk_wire_kafka::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use kolk_wire_kafka::{ErrorCode, Records};
use tokio::time::Instant;

use super::{Kafka, Lane, OffsetSpec, OwnedRecord, Reply, decode_records};
use crate::Error;

/// How a [`Fetcher`] reads.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// How long a broker may wait for records.
    pub max_wait: Duration,
    /// The broker waits for this many bytes.
    pub min_bytes: i32,
    /// Most bytes of one answer (a larger first batch comes whole).
    pub max_bytes: i32,
    /// Most bytes of one partition in an answer.
    pub partition_max_bytes: i32,
    /// Leave out records of transactions that are open; those of aborted ones are left out by the caller.
    pub read_committed: bool,
    /// Where to go on when an offset is no longer (or not yet) there; `None` = that is an error.
    pub reset: Option<OffsetSpec>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        FetchOptions {
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 16 * 1024 * 1024,
            partition_max_bytes: 1024 * 1024,
            read_committed: false,
            reset: None,
        }
    }
}

/// Records of one partition, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The records; may be empty when only markers or nothing was there.
    pub records: Vec<OwnedRecord>,
    /// Where the next read begins.
    pub next_offset: i64,
    /// One past the last record that readers can see.
    pub high_watermark: i64,
}

/// Reads partitions. Not for sharing: whoever polls it gets the records.
#[derive(Debug)]
pub struct Fetcher {
    kafka: Kafka,
    options: FetchOptions,
    positions: BTreeMap<(String, i32), i64>,
    /// Where brokers said that there is nothing from the position on to the end of what can be read: that end.
    drained: BTreeMap<(String, i32), i64>,
    under_way: BTreeMap<i32, Reply<FetchResponse>>,
    ready: VecDeque<Fetched>,
    /// Looked up when they are needed, forgotten after an error.
    leaders: BTreeMap<(String, i32), i32>,
    /// Partitions that were refused each time they were asked for, and since when.
    refused: BTreeMap<(String, i32), Instant>,
}

impl Fetcher {
    /// A fetcher of no partition.
    pub fn new(kafka: Kafka, options: FetchOptions) -> Fetcher {
        let (positions, drained, under_way, ready, leaders, refused) = Default::default();
        Fetcher { kafka, options, positions, drained, under_way, ready, leaders, refused }
    }

    /// Reads a partition from this offset on.
    pub fn seek(&mut self, topic: &str, partition: i32, offset: i64) {
        let key = (topic.to_owned(), partition);
        self.drained.remove(&key);
        self.refused.remove(&key);
        self.positions.insert(key, offset);
        // Answers for the old offset may be on their way.
        self.under_way.clear();
        self.ready.retain(|fetched| fetched.topic != topic || fetched.partition != partition);
    }

    /// Reads a partition no more.
    pub fn remove(&mut self, topic: &str, partition: i32) {
        let key = (topic.to_owned(), partition);
        self.drained.remove(&key);
        self.refused.remove(&key);
        self.positions.remove(&key);
        self.ready.retain(|fetched| fetched.topic != topic || fetched.partition != partition);
    }

    /// Partitions that are read, and the offset at which the next read begins.
    pub fn positions(&self) -> &BTreeMap<(String, i32), i64> {
        &self.positions
    }

    /// How far a partition has been read: up to where the next read begins, or to the end that a broker told when it had
    /// nothing from there on, as behind records that a repair lost. `None` if it is not read.
    pub fn reached(&self, topic: &str, partition: i32) -> Option<i64> {
        let key = (topic.to_owned(), partition);
        let position = *self.positions.get(&key)?;
        Some(self.drained.get(&key).map_or(position, |end| position.max(*end)))
    }

    /// The next records of some partition; `None` when a broker had nothing within [`FetchOptions::max_wait`].
    /// Dropping the future loses nothing.
    ///
    /// What a broker refuses is asked again, and an error when it goes on for [`Options::timeout`](super::Options::timeout): a
    /// partition that cannot be read, a topic that is gone. Whoever polls on is told again after as long.
    pub async fn poll(&mut self) -> Result<Option<Fetched>, Error> {
        if let Some(fetched) = self.ready.pop_front() {
            return Ok(Some(fetched));
        }
        if self.positions.is_empty() {
            tokio::time::sleep(self.options.max_wait).await;
            return Ok(None);
        }
        if let Err(error) = self.ask().await {
            // None of them was asked.
            for key in self.positions.keys() {
                self.refused.entry(key.clone()).or_insert_with(Instant::now);
            }
            return self.passed_over(error).await;
        }
        let under_way = &mut self.under_way;
        let answered = poll_fn(|cx| {
            for (leader, reply) in under_way.iter_mut() {
                if let Poll::Ready(answer) = Pin::new(reply).poll(cx) {
                    return Poll::Ready((*leader, answer));
                }
            }
            Poll::Pending
        });
        let limit = self.options.max_wait + self.kafka.options().timeout;
        let Ok((leader, answer)) = tokio::time::timeout(limit, answered).await else {
            self.under_way.clear();
            return Ok(None);
        };
        self.under_way.remove(&leader);
        self.answered(answer).await
    }

    async fn answered(&mut self, answer: Result<FetchResponse, Error>) -> Result<Option<Fetched>, Error> {
        let taken = match answer {
            Ok(answer) => self.take(answer).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(()) => Ok(self.ready.pop_front()),
            Err(error) => self.passed_over(error).await,
        }
    }

    /// Leaders change and brokers restart: those errors are waited out.
    async fn passed_over(&mut self, error: Error) -> Result<Option<Fetched>, Error> {
        if !error.is_retriable() || matches!(error, Error::Connect { .. }) {
            return Err(error);
        }
        self.under_way.clear();
        self.leaders.clear();
        let timeout = self.kafka.options().timeout;
        let is_refused = error.code().is_some();
        let for_long = self.refused.values().any(|since| since.elapsed() >= timeout);
        if !is_refused || for_long {
            self.refused.clear();
        }
        if is_refused && for_long {
            return Err(error);
        }
        tokio::time::sleep(self.kafka.options().backoff).await;
        Ok(None)
    }

    /// Sends a request to every leader that has none under way.
    async fn ask(&mut self) -> Result<(), Error> {
        let unknown: BTreeSet<&str> = self
            .positions
            .keys()
            .filter(|key| !self.leaders.contains_key(*key))
            .map(|(topic, _)| topic.as_str())
            .collect();
        for name in unknown {
            let described = self.kafka.topic(name).await?;
            for (topic, partition) in self.positions.keys().filter(|(topic, _)| topic == name) {
                let leader = described.leader(topic, *partition)?;
                self.leaders.insert((topic.clone(), *partition), leader);
            }
        }
        let mut by_leader: BTreeMap<i32, BTreeMap<&str, Vec<FetchPartition>>> = BTreeMap::new();
        for (key, offset) in &self.positions {
            let leader = self.leaders[key];
            if self.under_way.contains_key(&leader) {
                continue;
            }
            by_leader.entry(leader).or_default().entry(&key.0).or_default().push(FetchPartition {
                partition: key.1,
                fetch_offset: *offset,
                partition_max_bytes: self.options.partition_max_bytes,
                ..Default::default()
            });
        }
        for (leader, topics) in by_leader {
            let connection = self.kafka.broker(leader, Lane::Read).await?;
            // From 13 on topics have ids only.
            let version = connection.version_at_most::<FetchRequest>(12)?;
            let topics = topics.into_iter().map(|(name, partitions)| FetchTopic {
                topic: name.into(),
                partitions,
                ..Default::default()
            });
            let request = FetchRequest {
                max_wait_ms: i32::try_from(self.options.max_wait.as_millis()).unwrap_or(i32::MAX),
                min_bytes: self.options.min_bytes,
                max_bytes: self.options.max_bytes,
                isolation_level: i8::from(self.options.read_committed),
                topics: topics.collect(),
                ..Default::default()
            };
            self.under_way.insert(leader, connection.submit_version(version, &request).await?);
        }
        Ok(())
    }

    async fn take(&mut self, answer: FetchResponse) -> Result<(), Error> {
        Error::check(answer.error_code, None, || "cannot read".to_owned())?;
        // The one of the partition that has been refused for longest.
        let mut failed: Option<(Instant, Error)> = None;
        // Where an answer has records of some partition, there may have been no room in it for those of another one.
        let is_empty = answer.responses.iter().flat_map(|topic| &topic.partitions).all(|partition| {
            partition.error_code == 0 && partition.records.as_ref().is_none_or(Records::is_empty)
        });
        for topic in answer.responses {
            for partition in topic.partitions {
                let key = (topic.topic.to_string(), partition.partition_index);
                // Somebody may have gone elsewhere since the request was sent.
                let Some(position) = self.positions.get(&key).copied() else { continue };
                if partition.error_code == ErrorCode::OffsetOutOfRange.code()
                    && let Some(reset) = self.options.reset
                {
                    let found = self.kafka.find_starts(&key.0, &[(key.1, reset)]).await?;
                    self.positions.insert(key.clone(), found[&key.1]);
                    continue;
                }
                let what = || format!("cannot read {} partition {} at offset {position}", key.0, key.1);
                let bytes = partition.records.as_ref().and_then(|r| r.bytes().cloned()).unwrap_or_default();
                let read = Error::check(partition.error_code, None, what).and_then(|()| {
                    decode_records(&bytes, position).map_err(|error| Error::Refused {
                        what: what(),
                        code: ErrorCode::CorruptMessage,
                        message: Some(error.to_string()),
                    })
                });
                let (records, next) = match read {
                    Ok(read) => read,
                    Err(error) => {
                        let since = *self.refused.entry(key).or_insert_with(Instant::now);
                        if failed.as_ref().is_none_or(|(longest, _)| since < *longest) {
                            failed = Some((since, error));
                        }
                        continue;
                    }
                };
                self.refused.remove(&key);
                if is_empty {
                    let end = if self.options.read_committed {
                        partition.last_stable_offset
                    } else {
                        partition.high_watermark
                    };
                    self.drained.insert(key, end);
                    continue;
                }
                let next_offset = next.unwrap_or(position).max(position);
                if next_offset > position {
                    self.positions.insert(key.clone(), next_offset);
                    self.ready.push_back(Fetched {
                        topic: key.0,
                        partition: key.1,
                        records,
                        next_offset,
                        high_watermark: partition.high_watermark,
                    });
                }
            }
        }
        failed.map_or(Ok(()), |(_, error)| Err(error))
    }
}

#[cfg(test)]
mod tests {
    use kolk_engine::door::real;
    use kolk_wire_kafka::messages::fetch::{FetchableTopicResponse, PartitionData};
    use kolk_wire_kafka::records::{BatchBuilder, Compression};

    use super::*;

    fn answer(partitions: Vec<PartitionData>) -> FetchResponse {
        let responses = vec![FetchableTopicResponse { topic: "t".into(), partitions, ..Default::default() }];
        FetchResponse { responses, ..Default::default() }
    }

    fn partition(partition_index: i32, records: Records) -> PartitionData {
        PartitionData {
            partition_index,
            high_watermark: 9,
            last_stable_offset: 7,
            records: Some(records),
            ..Default::default()
        }
    }

    /// Whoever read to what was the end when it began waited for ever where the last records were lost.
    #[tokio::test]
    async fn an_end_without_records_before_it_is_reached() {
        let kafka = Kafka::new(real::door(Default::default()), "127.0.0.1:1", Default::default())
            .expect("an address");
        for (read_committed, end) in [(false, 9), (true, 7)] {
            let options = FetchOptions { read_committed, ..Default::default() };
            let mut fetcher = Fetcher::new(kafka.clone(), options);
            fetcher.seek("t", 0, 5);
            fetcher.seek("t", 1, 0);
            assert_eq!((fetcher.reached("t", 0), fetcher.reached("t", 2)), (Some(5), None));

            // There may have been no room for partition 0 beside the records of partition 1.
            let mut batch = BatchBuilder::new(Compression::None);
            batch.append(0, None, Some(b"v"), &[]);
            let records = Records::Bytes(batch.build().expect("a batch"));
            fetcher
                .take(answer(vec![partition(0, Records::default()), partition(1, records)]))
                .await
                .expect("taken");
            assert_eq!((fetcher.reached("t", 0), fetcher.reached("t", 1)), (Some(5), Some(1)));
            // Nor does one that failed say anything about the others.
            let failed = PartitionData { error_code: 6, ..partition(1, Records::default()) };
            fetcher.take(answer(vec![partition(0, Records::default()), failed])).await.expect_err("refused");
            assert_eq!(fetcher.reached("t", 0), Some(5));

            fetcher.take(answer(vec![partition(0, Records::default())])).await.expect("taken");
            assert_eq!((fetcher.reached("t", 0), fetcher.reached("t", 1)), (Some(end), Some(1)));
            assert_eq!(fetcher.positions()[&("t".to_owned(), 0)], 5, "it reads on from where it was");
            fetcher.seek("t", 0, 5);
            assert_eq!(fetcher.reached("t", 0), Some(5));
        }
    }

    /// `kolk consume` asked for what the disk cannot read again and again, for ever and without a word: also while other
    /// partitions, from other brokers, had records.
    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_long_is_an_error() {
        let kafka = Kafka::new(real::door(Default::default()), "127.0.0.1:1", Default::default())
            .expect("an address");
        let timeout = kafka.options().timeout;
        let mut fetcher = Fetcher::new(kafka, FetchOptions::default());
        for partition in 0..3 {
            fetcher.seek("t", partition, 5);
        }
        let good = |index| Ok(answer(vec![partition(index, Records::default())]));
        let bad = |index, code: ErrorCode| {
            Ok(answer(vec![PartitionData {
                error_code: code.code(),
                ..partition(index, Records::default())
            }]))
        };
        // Who polls on is told again.
        for round in 0..2 {
            let since = Instant::now();
            let ended = loop {
                assert!(since.elapsed() < 2 * timeout, "{round}");
                // What goes over does not count.
                let moves = since.elapsed() < timeout / 2;
                let moved = if moves { bad(2, ErrorCode::NotLeaderOrFollower) } else { good(2) };
                for answer in [good(1), moved, good(1)] {
                    assert_eq!(fetcher.answered(answer).await.expect("others go on"), None);
                }
                if let Err(error) = fetcher.answered(bad(0, ErrorCode::KafkaStorageError)).await {
                    break error;
                }
            };
            assert!(since.elapsed() >= timeout, "{round}");
            assert_eq!(ended.code(), Some(ErrorCode::KafkaStorageError));
            assert!(ended.to_string().contains("t partition 0 at offset 5"), "{ended}");
        }
        // A restart may take as long as it likes.
        for _ in 0..2 * timeout.as_secs() * 10 {
            let reason = "stopped".into();
            let closed = Error::Closed { address: "127.0.0.1:1".parse().expect("an address"), reason };
            assert_eq!(fetcher.answered(Err(closed)).await.expect("brokers restart"), None);
        }
        // Nor is it an error what becomes of a partition that is read no more.
        for _ in 0..2 {
            let answer = bad(0, ErrorCode::KafkaStorageError);
            assert_eq!(fetcher.answered(answer).await.expect("not for long"), None);
            tokio::time::sleep(timeout).await;
            fetcher.remove("t", 0);
        }
    }
}
