//! Topics: looking them up, making them (on request or on first use), deleting them, their configs.

use std::collections::BTreeMap;
use std::sync::Arc;

use kolk_engine::state::configs::ConfigDefaults;
use kolk_engine::state::{
    Command, ConfigChange, CreateTopic, Outcome, Refusal, Reshard, State, Topic, configs,
};
use kolk_engine::{EngineError, EngineExt, Pending, TopicId, TopicName};

use crate::Broker;

/// A topic to make.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Partitions; `None` takes `num.partitions`.
    pub partitions: Option<i32>,
    /// Config overrides.
    pub configs: BTreeMap<String, String>,
}

/// How a client names a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicKey<'a> {
    /// By name.
    Name(&'a str),
    /// By id.
    Id(TopicId),
}

/// Finds a topic.
pub fn find(state: &State, key: &TopicKey<'_>) -> Option<Arc<Topic>> {
    match key {
        TopicKey::Name(name) => state.topic_by_name(name).cloned(),
        TopicKey::Id(id) => state.topic(*id).cloned(),
    }
}

/// Whether the topic's `cleanup.policy` has `compact` in it.
pub fn is_compacted(topic: &Topic, defaults: &ConfigDefaults) -> bool {
    let policy = configs::effective(topic, defaults, configs::CLEANUP_POLICY);
    configs::list(policy).any(|policy| policy == "compact")
}

impl Broker {
    /// The topics that `keys` name, in order; what is unknown is `None`. Waits until what was seen is durable.
    pub fn find_topics(&self, keys: &[TopicKey<'_>]) -> Pending<Vec<Option<Arc<Topic>>>> {
        self.engine().query(|state| keys.iter().map(|key| find(state, key)).collect())
    }

    /// [`Broker::find_topics`] that waits for the log only if one of them is unknown: for who tells of the others only what
    /// is published, which is durable, or what is decided later.
    pub async fn find_topics_to_read(
        &self,
        keys: &[TopicKey<'_>],
    ) -> Result<Vec<Option<Arc<Topic>>>, EngineError> {
        let (found, durable) =
            self.engine().look(|state| keys.iter().map(|key| find(state, key)).collect::<Vec<_>>());
        if found.iter().any(Option::is_none) {
            durable.await?;
        }
        Ok(found)
    }

    /// One topic.
    pub fn find_topic(&self, key: &TopicKey<'_>) -> Pending<Option<Arc<Topic>>> {
        self.engine().query(|state| find(state, key))
    }

    /// Every topic, by name.
    pub fn all_topics(&self) -> Pending<Vec<Arc<Topic>>> {
        self.engine().query(|state| state.topics().cloned().collect())
    }

    /// Up to `count` topics by name, from the one of this name or the first behind it.
    pub fn topics_from(&self, name: &str, count: usize) -> Pending<Vec<Arc<Topic>>> {
        self.engine().query(|state| state.topics_from(name).take(count).cloned().collect())
    }

    /// Makes a topic, or with `validate_only` says what would come of it.
    pub fn create_topic(&self, topic: NewTopic, validate_only: bool) -> Pending<Result<Arc<Topic>, Refusal>> {
        let command = Command::CreateTopic(CreateTopic {
            name: TopicName::from(topic.name),
            id: TopicId(self.door().random.uuid().as_u128()),
            partitions: topic.partitions.unwrap_or(self.settings().default_partitions),
            configs: topic.configs,
            tags: BTreeMap::new(),
            now_ms: self.now_ms(),
        });
        self.decide(command, validate_only).map(|outcome| {
            outcome.map(|outcome| match outcome {
                Outcome::TopicCreated { topic } => topic,
                other => unreachable!("making a topic answers with it, not with {other:?}"),
            })
        })
    }

    /// Deletes a topic with all that is in it.
    pub fn delete_topic(&self, topic: TopicId) -> Pending<Result<(), Refusal>> {
        self.decide(Command::DeleteTopic { topic }, false).map(|outcome| outcome.map(|_| ()))
    }

    /// Raises a topic's partition count.
    pub fn create_partitions(
        &self,
        topic: TopicId,
        count: i32,
        validate_only: bool,
    ) -> Pending<Result<(), Refusal>> {
        let how = Reshard::CreatePartitions { count };
        let command = Command::Reshard { topic, how, now_ms: self.now_ms() };
        self.decide(command, validate_only).map(|outcome| outcome.map(|_| ()))
    }

    /// Changes a topic's configs.
    pub fn alter_topic_configs(
        &self,
        topic: TopicId,
        replace: bool,
        changes: Vec<ConfigChange>,
        validate_only: bool,
    ) -> Pending<Result<(), Refusal>> {
        let command = Command::AlterTopicConfigs { topic, replace, changes };
        self.decide(command, validate_only).map(|outcome| outcome.map(|_| ()))
    }

    fn decide(&self, command: Command, validate_only: bool) -> Pending<Result<Outcome, Refusal>> {
        if validate_only { self.engine().validate(&command) } else { self.propose(command) }
    }
}
