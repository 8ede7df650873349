//! A member of a classic consumer group: joins, assigns by range when it leads, heartbeats, commits, leaves.
//!
//! ```text
//!  join ──► sync ──► assigned: fetch, heartbeat, commit ──► the group rebalances: commit, join again
//! ```
//! Eager rebalances (KIP-429's cooperative protocol is not spoken): on a rebalance all partitions are given up.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::codec::Message;
use kolk_wire_kafka::messages::consumer_protocol_assignment::{ConsumerProtocolAssignment, TopicPartition};
use kolk_wire_kafka::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use kolk_wire_kafka::messages::heartbeat::HeartbeatRequest;
use kolk_wire_kafka::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use kolk_wire_kafka::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use kolk_wire_kafka::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use tokio::time::Instant;

use super::admin::assigned;
use super::{FetchOptions, Fetched, Fetcher, Kafka, Lane, OffsetSpec};
use crate::Error;

/// How a [`GroupConsumer`] behaves.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// Without a heartbeat for so long the member is out.
    pub session_timeout: Duration,
    /// How long members have to join again.
    pub rebalance_timeout: Duration,
    /// How often to heartbeat.
    pub heartbeat: Duration,
    /// How often positions are committed while polling; `None` = only by [`GroupConsumer::commit`].
    pub auto_commit: Option<Duration>,
    /// Where to begin in a partition without a committed offset.
    pub reset: OffsetSpec,
    /// How to fetch.
    pub fetch: FetchOptions,
}

impl Default for GroupOptions {
    fn default() -> Self {
        GroupOptions {
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(300),
            heartbeat: Duration::from_secs(3),
            auto_commit: Some(Duration::from_secs(5)),
            reset: OffsetSpec::Latest,
            fetch: FetchOptions::default(),
        }
    }
}

/// Partitions that a member has to read.
pub type Assignment = Vec<(String, i32)>;

/// What a poll brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    /// Partitions were assigned, perhaps none; what was assigned before is gone.
    Assigned(Assignment),
    /// Records.
    Records(Fetched),
    /// Nothing for a while.
    Idle,
}

/// A group member. Leave with [`leave`](Self::leave); a member that is only dropped is missed after its session timeout.
#[derive(Debug)]
pub struct GroupConsumer {
    kafka: Kafka,
    options: GroupOptions,
    group: String,
    topics: Vec<String>,
    member: String,
    generation: i32,
    fetcher: Fetcher,
    /// What was handed out and not yet committed: the next offset.
    delivered: BTreeMap<(String, i32), i64>,
    next_heartbeat: Instant,
    next_commit: Option<Instant>,
    joined: bool,
    events: VecDeque<GroupEvent>,
}

const PROTOCOL: &str = "range";

impl GroupConsumer {
    /// A member-to-be of a group that reads these topics. The first poll joins.
    pub fn new(kafka: Kafka, group: &str, topics: &[String], options: GroupOptions) -> GroupConsumer {
        let fetch = FetchOptions {
            reset: Some(options.reset),
            // Heartbeats go out between polls.
            max_wait: options.fetch.max_wait.min(options.heartbeat),
            ..options.fetch.clone()
        };
        let now = Instant::now();
        GroupConsumer {
            fetcher: Fetcher::new(kafka.clone(), fetch),
            kafka,
            group: group.to_owned(),
            topics: topics.to_vec(),
            member: String::new(),
            generation: -1,
            delivered: BTreeMap::new(),
            next_heartbeat: now,
            next_commit: options.auto_commit.map(|every| now + every),
            joined: false,
            events: VecDeque::new(),
            options,
        }
    }

    /// The member id, once it has joined.
    pub fn member(&self) -> &str {
        &self.member
    }

    /// The generation of the group that the member is in; -1 before it has joined.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// How far an assigned partition has been read: see [`Fetcher::reached`].
    pub fn reached(&self, topic: &str, partition: i32) -> Option<i64> {
        self.fetcher.reached(topic, partition)
    }

    /// The next thing that happens. Call it often: it also heartbeats, commits and rebalances.
    pub async fn poll(&mut self) -> Result<GroupEvent, Error> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        if !self.joined {
            return self.join().await;
        }
        if Instant::now() >= self.next_heartbeat {
            self.next_heartbeat = Instant::now() + self.options.heartbeat;
            if !self.heartbeat().await? {
                self.give_up().await?;
                return self.join().await;
            }
        }
        if self.next_commit.is_some_and(|at| Instant::now() >= at) {
            self.commit().await?;
        }
        match self.fetcher.poll().await? {
            None => Ok(GroupEvent::Idle),
            Some(fetched) => {
                let key = (fetched.topic.clone(), fetched.partition);
                self.delivered.insert(key, fetched.next_offset);
                Ok(GroupEvent::Records(fetched))
            }
        }
    }

    /// Commits everything that polls have handed out. A commit that a rebalance overtook is not an error: whoever has
    /// the partition now goes on from the last committed offset.
    pub async fn commit(&mut self) -> Result<(), Error> {
        self.next_commit = self.options.auto_commit.map(|every| Instant::now() + every);
        let delivered = std::mem::take(&mut self.delivered);
        self.commit_offsets(delivered).await.map(drop)
    }

    /// Commits up to these offsets (the next ones to read) instead of all that was handed out. False: a rebalance
    /// overtook it, and nothing was committed.
    pub async fn commit_offsets(&mut self, offsets: BTreeMap<(String, i32), i64>) -> Result<bool, Error> {
        if offsets.is_empty() {
            return Ok(true);
        }
        let offsets: Vec<(String, i32, i64)> =
            offsets.into_iter().map(|((topic, partition), offset)| (topic, partition, offset)).collect();
        let committed = self.kafka.commit_as(&self.group, self.generation, &self.member, &offsets).await;
        match committed {
            Err(error) if must_rejoin(&error) => {
                self.next_heartbeat = Instant::now();
                Ok(false)
            }
            done => done.map(|()| true),
        }
    }

    /// Commits (when that is automatic) and leaves the group, which then rebalances at once.
    pub async fn leave(mut self) -> Result<(), Error> {
        if self.options.auto_commit.is_some() {
            self.commit().await?;
        }
        if self.member.is_empty() {
            return Ok(());
        }
        let connection = self.kafka.coordinator(&self.group, Lane::General).await?;
        let version = connection.version::<LeaveGroupRequest>()?;
        let mut request = LeaveGroupRequest { group_id: self.group.as_str().into(), ..Default::default() };
        if version >= 3 {
            request.members =
                vec![MemberIdentity { member_id: self.member.as_str().into(), ..Default::default() }];
        } else {
            request.member_id = self.member.as_str().into();
        }
        let answer = connection.call_version(version, &request, self.kafka.options().timeout).await?;
        Error::check(answer.error_code, None, || format!("cannot leave group {}", self.group))
    }

    /// Whether the member is still in.
    async fn heartbeat(&mut self) -> Result<bool, Error> {
        let beat = async {
            let connection = self.kafka.coordinator(&self.group, Lane::General).await?;
            let request = HeartbeatRequest {
                group_id: self.group.as_str().into(),
                generation_id: self.generation,
                member_id: self.member.as_str().into(),
                ..Default::default()
            };
            let answer = connection.call(&request, self.kafka.options().timeout).await?;
            Error::check(answer.error_code, None, || format!("cannot stay in group {}", self.group))
        };
        match beat.await {
            Ok(()) => Ok(true),
            Err(error) => {
                self.forget_member(&error);
                if must_rejoin(&error) {
                    Ok(false)
                } else if error.is_retriable() {
                    // The next heartbeat may do.
                    Ok(true)
                } else {
                    Err(error)
                }
            }
        }
    }

    /// Commits before the partitions go to somebody else.
    async fn give_up(&mut self) -> Result<(), Error> {
        if self.options.auto_commit.is_some() && !self.member.is_empty() {
            self.commit().await?;
        }
        self.delivered.clear();
        self.joined = false;
        for (topic, partition) in self.fetcher.positions().keys().cloned().collect::<Vec<_>>() {
            self.fetcher.remove(&topic, partition);
        }
        Ok(())
    }

    fn forget_member(&mut self, error: &Error) {
        if matches!(error.code(), Some(ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId)) {
            self.member.clear();
            self.generation = -1;
        }
    }

    async fn join(&mut self) -> Result<GroupEvent, Error> {
        let end = Instant::now() + self.options.rebalance_timeout + self.kafka.options().timeout;
        loop {
            match self.join_once().await {
                Ok(assignment) => {
                    self.joined = true;
                    self.next_heartbeat = Instant::now() + self.options.heartbeat;
                    return Ok(GroupEvent::Assigned(assignment));
                }
                Err(error @ Error::Connect { .. }) => return Err(error),
                Err(error) if (must_rejoin(&error) || error.is_retriable()) && Instant::now() < end => {
                    self.forget_member(&error);
                    tokio::time::sleep(self.kafka.options().backoff).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn join_once(&mut self) -> Result<Assignment, Error> {
        let connection = self.kafka.coordinator(&self.group, Lane::Group).await?;
        let subscription = ConsumerProtocolSubscription {
            topics: self.topics.iter().map(Into::into).collect(),
            ..Default::default()
        };
        let ms = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
        let request = |member: &str| {
            Ok::<_, Error>(JoinGroupRequest {
                group_id: self.group.as_str().into(),
                session_timeout_ms: ms(self.options.session_timeout),
                rebalance_timeout_ms: ms(self.options.rebalance_timeout),
                member_id: member.into(),
                protocol_type: "consumer".into(),
                protocols: vec![JoinGroupRequestProtocol {
                    name: PROTOCOL.into(),
                    metadata: versioned(&subscription, 1)?,
                }],
                ..Default::default()
            })
        };
        let wait = self.options.rebalance_timeout + self.kafka.options().timeout;
        let mut answer = connection.call(&request(&self.member)?, wait).await?;
        // The two steps of KIP-394.
        if answer.error_code == ErrorCode::MemberIdRequired.code() {
            self.member = answer.member_id.to_string();
            answer = connection.call(&request(&self.member)?, wait).await?;
        }
        let what = || format!("cannot join group {}", self.group);
        Error::check(answer.error_code, None, what)?;
        self.member = answer.member_id.to_string();
        self.generation = answer.generation_id;
        let leads = answer.leader == answer.member_id && !answer.skip_assignment;
        let assignments = if leads { self.assign(&answer).await? } else { Vec::new() };
        let version = connection.version::<SyncGroupRequest>()?;
        let request = SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.member.as_str().into(),
            protocol_type: (version >= 5).then(|| "consumer".into()),
            protocol_name: (version >= 5).then(|| PROTOCOL.into()),
            assignments,
            ..Default::default()
        };
        let answer = connection.call_version(version, &request, wait).await?;
        Error::check(answer.error_code, None, what)?;
        let assignment = assigned(answer.assignment);
        self.begin(&assignment).await?;
        Ok(assignment)
    }

    /// Reads on where the group has committed, else where the options say.
    async fn begin(&mut self, assignment: &Assignment) -> Result<(), Error> {
        let committed =
            if assignment.is_empty() { BTreeMap::new() } else { self.kafka.committed(&self.group).await? };
        let mut unknown: BTreeMap<&str, Vec<(i32, OffsetSpec)>> = BTreeMap::new();
        for key in assignment {
            match committed.get(key) {
                Some(committed) => self.fetcher.seek(&key.0, key.1, committed.offset),
                None => unknown.entry(&key.0).or_default().push((key.1, self.options.reset)),
            }
        }
        for (topic, partitions) in unknown {
            for (partition, offset) in self.kafka.find_starts(topic, &partitions).await? {
                self.fetcher.seek(topic, partition, offset);
            }
        }
        Ok(())
    }

    /// As the leader: every topic's partitions in contiguous ranges over the members that read it.
    async fn assign(&self, joined: &JoinGroupResponse) -> Result<Vec<SyncGroupRequestAssignment>, Error> {
        let mut readers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for member in &joined.members {
            for topic in subscribed(&member.metadata) {
                readers.entry(topic).or_default().push(&member.member_id);
            }
        }
        let names: Vec<&str> = readers.keys().map(String::as_str).collect();
        let metadata = self.kafka.metadata(Some(&names)).await?;
        let mut assigned: BTreeMap<&str, Vec<TopicPartition>> = BTreeMap::new();
        for (topic, members) in &mut readers {
            members.sort_unstable();
            let partitions = metadata.topics.get(topic).map_or(0, |t| t.partitions.len() as i32);
            for (member, range) in range_assignment(partitions, members) {
                let part = TopicPartition { topic: topic.into(), partitions: range };
                assigned.entry(member).or_default().push(part);
            }
        }
        joined
            .members
            .iter()
            .map(|member| {
                let assigned_partitions = assigned.remove(&*member.member_id).unwrap_or_default();
                let assignment = ConsumerProtocolAssignment { assigned_partitions, ..Default::default() };
                Ok(SyncGroupRequestAssignment {
                    member_id: member.member_id.clone(),
                    assignment: versioned(&assignment, 1)?,
                })
            })
            .collect()
    }
}

/// Whether the member has to join again.
fn must_rejoin(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId)
    )
}

/// A blob of the consumer protocol: the version in front.
fn versioned(message: &impl Message, version: i16) -> Result<Bytes, Error> {
    let body = message.to_bytes(version)?;
    let mut out = BytesMut::with_capacity(2 + body.len());
    out.put_i16(version);
    out.put_slice(&body);
    Ok(out.freeze())
}

/// The topics in a member's subscription; none if it cannot be read.
fn subscribed(metadata: &Bytes) -> Vec<String> {
    let Some((version, body)) = metadata.split_first_chunk::<2>() else { return Vec::new() };
    let version = i16::from_be_bytes(*version).clamp(0, ConsumerProtocolSubscription::VERSIONS.1);
    let subscription = ConsumerProtocolSubscription::decode(metadata.slice_ref(body), version);
    subscription.map(|s| s.topics.into_iter().map(String::from).collect()).unwrap_or_default()
}

/// Partitions 0 to `partitions` in ranges; the first members get one more where they do not divide.
fn range_assignment<'a>(partitions: i32, members: &[&'a str]) -> Vec<(&'a str, Vec<i32>)> {
    let count = members.len() as i32;
    let (each, more) = (partitions / count, partitions % count);
    let mut first = 0;
    let ranges = (0..).zip(members).map(|(at, member)| {
        let end = first + each + i32::from(at < more);
        let range = (first..end).collect();
        first = end;
        (*member, range)
    });
    ranges.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_contiguous_and_the_first_members_get_more() {
        assert_eq!(range_assignment(5, &["a", "b"]), [("a", vec![0, 1, 2]), ("b", vec![3, 4])]);
        assert_eq!(range_assignment(1, &["a", "b"]), [("a", vec![0]), ("b", vec![])]);
        assert_eq!(range_assignment(0, &["a"]), [("a", vec![])]);
    }

    #[test]
    fn what_another_client_wrote_is_read_or_passed_over() {
        let subscription = ConsumerProtocolSubscription { topics: vec!["t".into()], ..Default::default() };
        assert_eq!(subscribed(&versioned(&subscription, 3).expect("it can be written")), ["t"]);
        // A later version only adds fields behind.
        let mut later = versioned(&subscription, 3).expect("it can be written").to_vec();
        later[1] = 9;
        later.extend_from_slice(b"more");
        assert_eq!(subscribed(&later.into()), ["t"]);
        assert!(subscribed(&Bytes::from_static(b"\x00")).is_empty());
        assert!(subscribed(&Bytes::from_static(b"\x00\x00\x7f\xff\xff\xff")).is_empty());
    }
}
