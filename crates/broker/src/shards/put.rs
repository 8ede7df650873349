//! Putting records: routed by hash key, one batch a shard where that fits, routed again when a reshard overtakes.

use std::sync::Arc;

use bytes::Bytes;
use kolk_engine::{Append, AppendError, Batch, Offset, PartitionId, ShardId};
use kolk_wire_kafka::records::BatchBuilder;
use kolk_wire_kafka::records::batch::HEADER_BYTES;

use super::route::Route;
use super::{Shards, ShardsError};

/// Bytes of a batch that records are gathered in; a larger record stands alone.
const BATCH_BYTES: usize = 1024 * 1024;

/// What a record takes in a batch beside key and data, at most: five varints of lengths, deltas and counts.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// How often records of one call are routed again. Each time another reshard must have come in between.
const ROUNDS_MAX: usize = 16;

/// A record to put. The caller has checked the sizes.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its hash key: the MD5 of the partition key, or the explicit hash key.
    pub hash: u128,
    /// The partition key's bytes: the Kafka record's key.
    pub key: Bytes,
    /// The data: the Kafka record's value.
    pub data: Bytes,
}

/// Where a record is: all that its sequence number is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The shard.
    pub shard: ShardId,
    /// The shard's create second.
    pub create_second: i64,
    /// The record's offset in the shard's partition.
    pub offset: Offset,
    /// Its append time, ms: the same for ever.
    pub append_ms: i64,
}

impl Shards {
    /// Puts records into the stream of that name and waits until they are durable. Answers in the order of
    /// `records`, each on its own; records of one shard keep their order, also over a reshard.
    ///
    /// An error for the whole call ([`ShardsError::Engine`]) may leave some records in the log. Dropping the
    /// future takes nothing back. A record is refused with [`AppendError::Resharded`] only if reshards overtook it
    /// sixteen times in a row.
    pub async fn put(
        &self,
        stream: &str,
        records: &[Put],
    ) -> Result<Vec<Result<Placed, AppendError>>, ShardsError> {
        let mut route = match self.route(stream) {
            Some(route) => route,
            // "No such stream" is an answer, so what it rests on has to be durable.
            None => return Err(self.stream(stream).await.err().unwrap_or(ShardsError::UnknownStream)),
        };
        let unplaced = || Err(AppendError::Resharded { now: None });
        let mut answers: Vec<Result<Placed, AppendError>> = records.iter().map(|_| unplaced()).collect();
        let mut todo: Vec<usize> = (0..records.len()).collect();
        for _ in 0..ROUNDS_MAX {
            let gathered = self.gather(&route, records, std::mem::take(&mut todo));
            let (appends, members): (Vec<Append>, Vec<(usize, Vec<usize>)>) = gathered.into_iter().unzip();
            let appended = self.broker.engine().append(appends).await?;
            let mut placed = false;
            for ((shard, members), result) in members.into_iter().zip(appended) {
                let shard = &route.open[shard];
                match result {
                    Ok(appended) => {
                        placed = true;
                        for (nth, member) in members.into_iter().enumerate() {
                            answers[member] = Ok(Placed {
                                shard: shard.id,
                                create_second: shard.create_second,
                                offset: appended.base_offset + nth as i64,
                                append_ms: appended.append_ms,
                            });
                        }
                    }
                    Err(refusal) => {
                        let again = matches!(
                            refusal,
                            AppendError::Resharded { .. }
                                | AppendError::Retired
                                | AppendError::UnknownPartition
                        );
                        for member in members {
                            answers[member] = Err(refusal.clone());
                            if again {
                                todo.push(member);
                            }
                        }
                    }
                }
            }
            if todo.is_empty() {
                break;
            }
            route = match self.route_again(stream) {
                Some(again) if Arc::ptr_eq(&again.topic, &route.topic) => break,
                Some(again) => again,
                None if placed || answers.iter().any(Result::is_ok) => break,
                None => return Err(self.stream(stream).await.err().unwrap_or(ShardsError::UnknownStream)),
            };
        }
        Ok(answers)
    }

    /// Batches for the records of `todo`, each with its shard (an index into the route) and its records.
    fn gather(
        &self,
        route: &Route,
        records: &[Put],
        mut todo: Vec<usize>,
    ) -> Vec<(Append, (usize, Vec<usize>))> {
        todo.sort_unstable();
        let mut routed: Vec<(usize, usize)> =
            todo.into_iter().map(|member| (route.find(records[member].hash), member)).collect();
        routed.sort_unstable();
        let now_ms = self.broker.now_ms();
        let mut gathered = Vec::new();
        for of_shard in routed.chunk_by(|a, b| a.0 == b.0) {
            let mut rest = of_shard;
            while let [(shard, first), more @ ..] = rest {
                let mut bytes = HEADER_BYTES + records[*first].bytes_max();
                let mut members = vec![*first];
                for (_, member) in more {
                    let added = records[*member].bytes_max();
                    if bytes + added > BATCH_BYTES {
                        break;
                    }
                    bytes += added;
                    members.push(*member);
                }
                rest = &rest[members.len()..];
                let of_batch = members.iter().map(|member| &records[*member]);
                gathered.push((route.append(*shard, of_batch, bytes, now_ms), (*shard, members)));
            }
        }
        gathered
    }
}

impl Put {
    /// What it takes in a batch at most.
    fn bytes_max(&self) -> usize {
        self.key.len() + self.data.len() + RECORD_OVERHEAD_BYTES
    }
}

impl Route {
    /// One batch of records for a shard; they take `bytes` at most.
    fn append<'r>(
        &self,
        shard: usize,
        records: impl Iterator<Item = &'r Put>,
        bytes: usize,
        now_ms: i64,
    ) -> Append {
        let mut builder = BatchBuilder::with_capacity(self.compression, bytes);
        for record in records {
            builder.append(now_ms, Some(&record.key), Some(&record.data), &[]);
        }
        let offset_count = builder.count();
        let bytes = builder.build().expect("compressing into memory does not fail");
        let shard = &self.open[shard];
        let index = shard.partition.expect("an open shard has a partition");
        Append {
            partition: PartitionId { topic: self.topic.id, index },
            shard: Some(shard.id),
            batch: Batch {
                bytes,
                offset_count,
                max_timestamp_ms: now_ms,
                base_timestamp_ms: now_ms,
                producer: None,
                has_keyless: false,
            },
        }
    }
}
