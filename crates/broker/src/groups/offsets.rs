//! Committed offsets, and groups as administrators see them.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kolk_engine::state::{Command, CommittedOffset, CommittingMember, Membership, Outcome, Refusal};
use kolk_engine::{EngineExt, Offset, PartitionId, Pending, TopicName};

use super::{GroupError, Phase};
use crate::Broker;
use tokio::time::Instant;

/// Stored groups that are looked at without letting go of the state, for which appends wait meanwhile.
const LISTED_AT_ONCE: usize = 1000;

/// Groups of one request that are looked at before others have their turn.
const LOOKED_AT_ONCE: usize = 100;

/// What a group takes in a list beside its id, in bytes.
const SUMMARY_BYTES: usize = 96;

/// One offset to commit.
#[derive(Clone, Debug)]
pub struct CommitEntry {
    /// Where.
    pub partition: PartitionId,
    /// The next offset to read.
    pub offset: Offset,
    /// Leader epoch given with it, or -1.
    pub leader_epoch: i32,
    /// The client's own note.
    pub metadata: String,
}

/// A committed offset with the name of its topic.
#[derive(Clone, Debug)]
pub struct GroupOffset {
    /// Which partition.
    pub partition: PartitionId,
    /// The topic's name.
    pub topic: TopicName,
    /// What was committed.
    pub committed: CommittedOffset,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    /// Its id.
    pub id: Arc<str>,
    /// `consumer`, `connect`, ...; empty for groups that only commit offsets.
    pub protocol_type: String,
    /// Where it stands.
    pub phase: Phase,
}

/// A group in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Where it stands.
    pub phase: Phase,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// The chosen protocol, while the group is stable.
    pub protocol: String,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// A member as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub id: Arc<str>,
    /// Its `group.instance.id`.
    pub instance_id: Option<Arc<str>>,
    /// From its request header.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// Its subscription, while the group is stable.
    pub metadata: Bytes,
    /// Its assignment, while the group is stable.
    pub assignment: Bytes,
}

impl Broker {
    /// OffsetCommit: an answer for each entry. `generation` is -1 and `member_id` empty for a consumer that manages its
    /// partitions itself.
    pub async fn commit_offsets(
        &self,
        group: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        entries: Vec<CommitEntry>,
    ) -> Result<Vec<Result<(), Refusal>>, GroupError> {
        let now_ms = self.now_ms();
        let is_simple = generation < 0 && member_id.is_empty() && instance_id.is_none();
        let offsets: Vec<(PartitionId, CommittedOffset)> = entries
            .into_iter()
            .map(|entry| {
                let committed = CommittedOffset {
                    offset: entry.offset,
                    leader_epoch: entry.leader_epoch,
                    metadata: entry.metadata.into(),
                    commit_ms: now_ms,
                };
                (entry.partition, committed)
            })
            .collect();
        let propose = |member: Option<CommittingMember>| {
            self.propose(Command::CommitOffsets { group: group.into(), member, offsets, now_ms })
        };
        // A group with members has to be in memory before it can tell whether this one is among them.
        self.with_group(group, false, |_, _| ())?;
        let pending = self.with_group_if_loaded(group, |loaded| match loaded {
            Some(loaded) => {
                let as_member = loaded.check_commit(member_id, instance_id, generation, Instant::now())?;
                let member = as_member.then(|| CommittingMember { id: member_id.into(), generation });
                Ok(propose(member))
            }
            None if generation < 0 => Ok(propose(None)),
            None if !is_simple && self.is_stored(group) => Err(GroupError::UnknownMember),
            None => Err(GroupError::IllegalGeneration),
        });
        let outcome = match pending {
            Ok(pending) => pending.await.map_err(|_| GroupError::NotAvailable)?,
            Err(error) => {
                self.settle().await?;
                return Err(error);
            }
        };
        match outcome {
            Ok(Outcome::PerPartition(answers)) => Ok(answers),
            Ok(other) => unreachable!("a commit answers for each partition, not with {other:?}"),
            Err(Refusal::UnknownMember | Refusal::UnknownGroup) => Err(GroupError::UnknownMember),
            Err(Refusal::IllegalGeneration { .. }) => Err(GroupError::IllegalGeneration),
            Err(refusal) => Err(refusal.into()),
        }
    }

    fn is_stored(&self, group: &str) -> bool {
        self.engine().peek(|state| state.group(group).is_some())
    }

    /// How many committed offsets groups have, of certain partitions or (`None`) all, and how many bytes of metadata:
    /// what an answer will take, about.
    pub fn weigh_offsets(&self, asked: &[(&str, Option<&[PartitionId]>)]) -> (usize, usize) {
        let (mut count, mut metadata_bytes) = (0, 0);
        let mut weigh = |committed: &CommittedOffset| {
            count += 1;
            metadata_bytes += committed.metadata.len();
        };
        self.engine().peek(|state| {
            for (group, partitions) in asked {
                let Some(known) = state.group(group) else { continue };
                match partitions {
                    None => known.offsets.values().for_each(&mut weigh),
                    Some(partitions) => {
                        partitions.iter().filter_map(|id| known.offsets.get(id)).for_each(&mut weigh);
                    }
                }
            }
        });
        (count, metadata_bytes)
    }

    /// Committed offsets of a group for certain partitions, in their order. Not to be told before [`Broker::settle`].
    pub fn offsets_of(&self, group: &str, partitions: &[PartitionId]) -> Vec<Option<CommittedOffset>> {
        self.engine().peek(|state| {
            let known = state.group(group);
            partitions.iter().map(|id| known?.offsets.get(id).cloned()).collect()
        })
    }

    /// Every committed offset of a group; none if there is no such group. Not to be told before [`Broker::settle`].
    pub fn group_offsets(&self, group: &str) -> Vec<GroupOffset> {
        self.engine().peek(|state| {
            let offsets = state.group(group).into_iter().flat_map(|known| &known.offsets);
            offsets
                .filter_map(|(partition, committed)| {
                    let topic = state.topic(partition.topic)?;
                    Some(GroupOffset {
                        partition: *partition,
                        topic: topic.name.clone(),
                        committed: committed.clone(),
                    })
                })
                .collect()
        })
    }

    /// OffsetDelete: an answer for each partition. In a group with members, topics that one of them is subscribed to
    /// are refused; a group whose protocol cannot be looked into has to be empty.
    pub async fn delete_offsets(
        &self,
        group: &str,
        partitions: Vec<(PartitionId, TopicName)>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        if group.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        self.with_group(group, false, |_, _| ())?;
        let (pending, is_subscribed) = self.with_group_if_loaded(group, |loaded| {
            let is_subscribed: Vec<bool> = match loaded {
                Some(loaded) if loaded.phase() != Phase::Empty => {
                    if loaded.protocol_type() != "consumer" {
                        return Err(GroupError::NotEmpty);
                    }
                    let subscribed = Subscribed::of(loaded.subscriptions());
                    partitions.iter().map(|(_, topic)| subscribed.to(topic)).collect()
                }
                _ => vec![false; partitions.len()],
            };
            let free = partitions.iter().zip(&is_subscribed).filter(|(_, subscribed)| !**subscribed);
            let partitions = free.map(|((partition, _), _)| *partition).collect();
            let command = Command::DeleteOffsets { group: group.into(), partitions };
            Ok((self.propose(command), is_subscribed))
        })?;
        let mut decided = match pending.await.map_err(|_| GroupError::NotAvailable)? {
            Ok(Outcome::PerPartition(answers)) => answers.into_iter(),
            Ok(other) => unreachable!("deleting offsets answers for each partition, not with {other:?}"),
            Err(Refusal::UnknownGroup) => return Err(GroupError::UnknownGroup),
            Err(refusal) => return Err(refusal.into()),
        };
        let answer = |is_subscribed| {
            if is_subscribed {
                return Err(GroupError::SubscribedToTopic);
            }
            let decided = decided.next().expect("an answer for each partition that was proposed");
            decided.map_err(GroupError::from)
        };
        Ok(is_subscribed.into_iter().map(answer).collect())
    }

    /// How many groups there are, about: those that are stored and in memory count twice.
    pub fn group_count(&self) -> usize {
        self.engine().peek(|state| state.group_sizes().0) + self.groups().count()
    }

    /// How many groups there are, and how many bytes a list of all of them takes, about.
    pub async fn weigh_groups(&self) -> (usize, usize) {
        let (mut count, mut name_bytes) = (0, 0);
        let mut see = |id: &str| {
            count += 1;
            name_bytes += id.len();
        };
        let mut pages = StoredPages::default();
        while let Some(page) = pages.next(self).await {
            page.iter().for_each(|(id, _)| see(id));
        }
        self.groups().ids().iter().for_each(|id| see(id));
        (count, count * SUMMARY_BYTES + name_bytes)
    }

    /// Every group, by id. It is long where there are many: see [`Broker::weigh_groups`].
    pub async fn list_groups(&self) -> Result<Vec<GroupSummary>, GroupError> {
        let mut groups = Vec::new();
        let mut pages = StoredPages::default();
        while let Some(page) = pages.next(self).await {
            groups.extend(page.into_iter().map(|(id, membership)| GroupSummary {
                phase: stored_phase(&membership),
                protocol_type: membership.protocol_type.clone(),
                id,
            }));
        }
        self.settle().await?;
        // What is in memory is newer than what is stored.
        let stored = groups.len();
        for (id, phase, protocol_type) in self.groups().phases() {
            let summary = GroupSummary { id, protocol_type, phase };
            match groups[..stored].binary_search_by(|known| known.id.cmp(&summary.id)) {
                Ok(at) => groups[at] = summary,
                Err(_) => groups.push(summary),
            }
        }
        groups.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    }

    /// Groups in full, in order; `None` for each that is not there.
    pub async fn describe_groups(
        &self,
        groups: &[impl AsRef<str>],
    ) -> Result<Vec<Result<Option<GroupDescription>, GroupError>>, GroupError> {
        let mut found = Vec::with_capacity(groups.len());
        for (at, group) in groups.iter().enumerate() {
            if at % LOOKED_AT_ONCE == LOOKED_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            found.push(self.look_at_group(group.as_ref()));
        }
        // Once for all: where others write, each would wait for the log.
        self.settle().await?;
        Ok(found)
    }

    /// A group as it stands, which is not to be told before [`Broker::settle`].
    fn look_at_group(&self, group: &str) -> Result<Option<GroupDescription>, GroupError> {
        self.with_group(group, false, |_, _| ())?;
        let loaded = self
            .with_group_if_loaded(group, |loaded| loaded.map(|loaded| (loaded.phase(), loaded.membership())));
        let found = loaded.or_else(|| {
            let stored =
                self.engine().peek(|state| state.group(group).map(|known| Arc::clone(&known.membership)));
            stored.map(|membership| (stored_phase(&membership), Membership::clone(&membership)))
        });
        Ok(found.map(|(phase, membership)| describe(phase, membership)))
    }

    /// DeleteGroups: an answer for each.
    pub async fn delete_groups(&self, groups: &[impl AsRef<str>]) -> Vec<Result<(), GroupError>> {
        // All are decided before one is awaited: they share frames of the log.
        let mut decided = Vec::with_capacity(groups.len());
        for (at, group) in groups.iter().enumerate() {
            if at % LOOKED_AT_ONCE == LOOKED_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            decided.push(self.decide_delete_group(group.as_ref()));
        }
        let is_refused = decided.iter().any(Result::is_err);
        let settled = if is_refused { self.settle().await } else { Ok(()) };
        let mut answers = Vec::with_capacity(groups.len());
        for decided in decided {
            answers.push(match decided {
                Err(error) => settled.clone().and(Err(error)),
                Ok(pending) => match pending.await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(Refusal::UnknownGroup)) => Err(GroupError::UnknownGroup),
                    Ok(Err(Refusal::GroupNotEmpty)) => Err(GroupError::NotEmpty),
                    Ok(Err(refusal)) => Err(refusal.into()),
                    Err(_) => Err(GroupError::NotAvailable),
                },
            });
        }
        answers
    }

    fn decide_delete_group(&self, group: &str) -> Result<Pending<Result<Outcome, Refusal>>, GroupError> {
        self.with_group(group, false, |_, _| ())?;
        self.with_group_if_loaded(group, |loaded| match loaded {
            Some(loaded) if loaded.phase() != Phase::Empty => Err(GroupError::NotEmpty),
            _ => Ok(self.propose(Command::DeleteGroup { group: group.into() })),
        })
    }
}

/// Stored groups, page by page in order of their ids.
#[derive(Default)]
struct StoredPages {
    last: Option<Arc<str>>,
}

impl StoredPages {
    /// The next page; others have had their turn in between. What it shows need not be durable.
    async fn next(&mut self, broker: &Broker) -> Option<Vec<(Arc<str>, Arc<Membership>)>> {
        if self.last.is_some() {
            tokio::task::yield_now().await;
        }
        let page: Vec<_> = broker.engine().peek(|state| {
            let stored = state.groups_behind(self.last.as_deref()).take(LISTED_AT_ONCE);
            stored.map(|group| (group.id.clone(), Arc::clone(&group.membership))).collect()
        });
        self.last = Some(page.last()?.0.clone());
        Some(page)
    }
}

fn stored_phase(membership: &Membership) -> Phase {
    if membership.members.is_empty() { Phase::Empty } else { Phase::Stable }
}

fn describe(phase: Phase, membership: Membership) -> GroupDescription {
    let is_stable = phase == Phase::Stable;
    let protocol = membership.protocol.filter(|_| is_stable).unwrap_or_default();
    let members = membership.members.into_iter().map(|member| GroupMember {
        metadata: if is_stable { member.metadata } else { Bytes::new() },
        assignment: if is_stable { member.assignment } else { Bytes::new() },
        id: member.id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
    });
    let members = members.collect();
    GroupDescription { phase, protocol_type: membership.protocol_type, protocol, members }
}

/// What the members of a group of consumers are subscribed to.
struct Subscribed {
    topics: BTreeSet<String>,
    /// A subscription that cannot be read may well be one to any topic.
    to_unknown: bool,
}

impl Subscribed {
    fn of(subscriptions: Vec<Bytes>) -> Subscribed {
        let mut subscribed = Subscribed { topics: BTreeSet::new(), to_unknown: false };
        for subscription in subscriptions {
            match subscribed_topics(subscription) {
                Some(topics) => subscribed.topics.extend(topics),
                None => subscribed.to_unknown = true,
            }
        }
        subscribed
    }

    fn to(&self, topic: &str) -> bool {
        self.to_unknown || self.topics.contains(topic)
    }
}

/// The topics of a consumer's subscription; `None` if it does not read.
fn subscribed_topics(metadata: Bytes) -> Option<Vec<String>> {
    use kolk_wire_kafka::codec::Message;
    use kolk_wire_kafka::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
    let (version, body) = metadata.split_at_checked(2)?;
    let version = i16::from_be_bytes([version[0], version[1]]);
    let newest = ConsumerProtocolSubscription::VERSIONS.1;
    // A newer version begins as the newest that we know.
    let body = metadata.slice_ref(body);
    let subscription = ConsumerProtocolSubscription::decode(body, version.min(newest)).ok()?;
    Some(subscription.topics.iter().map(ToString::to_string).collect())
}
