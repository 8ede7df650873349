//! `kolk topic`.

use clap::{Args, Subcommand};
use kolk_broker::configs::{RETIRED_PARTITIONS, retired_in};
use kolk_client::kafka::{ConfigSource, Kafka, NewTopic};
use kolk_wire_kafka::ErrorCode;
use serde_json::json;

use super::Failure;
use super::common::{Listing, Out, OutputArgs, ServerArgs, row, run};
use super::place::Bounds;

#[derive(Subcommand)]
pub enum Topic {
    /// Makes a topic.
    #[command(
        after_long_help = "Example: kolk topic create orders --partitions 6 --config retention.ms=86400000"
    )]
    Create(Create),
    /// Lists topics.
    ///
    /// JSON: topic, id, partitions, internal.
    #[command(after_long_help = "Example: kolk topic list --json | jq -r .topic")]
    List(List),
    /// Shows a topic's partitions with their offsets, and the configs set on it.
    ///
    /// JSON: topic, id, partitions [partition, leader, leader_epoch, replicas, isr, earliest, latest, retired], configs
    /// [name, value, source, read_only].
    #[command(after_long_help = "Example: kolk topic describe orders --all-configs")]
    Describe(Describe),
    /// Gives a topic more partitions, sets or resets its configs.
    #[command(
        after_long_help = "Example: kolk topic alter orders --partitions 12 --config retention.ms=3600000 \
                                 --reset-config cleanup.policy"
    )]
    Alter(Alter),
    /// Deletes the records before an offset, in one partition or in all.
    ///
    /// JSON: topic, partition, earliest.
    #[command(after_long_help = "Example: kolk topic trim orders --partition 0 --before 5000\n\
                                 Example: kolk topic trim orders --all")]
    Trim(Trim),
    /// Deletes a topic with everything in it.
    #[command(after_long_help = "Example: kolk topic delete orders")]
    Delete(Delete),
}

#[derive(Args)]
pub struct Create {
    /// Its name.
    name: String,
    /// Partitions (= shards); without it the server's num.partitions.
    #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Copies; without it the server's default.
    #[arg(long, value_parser = clap::value_parser!(i16).range(1..))]
    replication: Option<i16>,
    /// A config of the topic, by Kafka's name. Repeats.
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = assignment)]
    config: Vec<(String, String)>,
    /// Does nothing if the topic is there.
    #[arg(long)]
    if_not_exists: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub struct List {
    /// The broker's own topics too.
    #[arg(long)]
    internal: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
pub struct Describe {
    /// Which ones.
    #[arg(required = true)]
    names: Vec<String>,
    /// Every config, defaults too.
    #[arg(long)]
    all_configs: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub struct Alter {
    /// Which one.
    name: String,
    /// Partitions afterwards; there are never fewer than before.
    #[arg(long, short, group = "change", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Sets a config, by Kafka's name. Repeats.
    #[arg(long, short, group = "change", value_name = "NAME=VALUE", value_parser = assignment)]
    config: Vec<(String, String)>,
    /// Resets a config to the server's default. Repeats.
    #[arg(long, group = "change", value_name = "NAME")]
    reset_config: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub struct Trim {
    /// Which topic.
    name: String,
    /// Only this partition.
    #[arg(long, short)]
    partition: Option<i32>,
    /// The first offset to keep.
    #[arg(long, group = "what", value_parser = clap::value_parser!(i64).range(0..))]
    before: Option<i64>,
    /// Deletes every record there is.
    #[arg(long, group = "what")]
    all: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
pub struct Delete {
    /// Which ones.
    #[arg(required = true)]
    names: Vec<String>,
    /// Does nothing if a topic is not there.
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    server: ServerArgs,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

impl Topic {
    pub fn run(self) -> Result<(), Failure> {
        run(|door| async move {
            match self {
                Topic::Create(create) => create.run(create.server.kafka(&door)?).await,
                Topic::List(list) => list.run(list.server.kafka(&door)?).await,
                Topic::Describe(describe) => describe.run(describe.server.kafka(&door)?).await,
                Topic::Alter(alter) => alter.run(alter.server.kafka(&door)?).await,
                Topic::Trim(trim) => trim.run(trim.server.kafka(&door)?).await,
                Topic::Delete(delete) => delete.run(delete.server.kafka(&door)?).await,
            }
        })
    }
}

impl Create {
    async fn run(&self, kafka: Kafka) -> Result<(), Failure> {
        let topic = NewTopic {
            name: self.name.clone(),
            partitions: self.partitions,
            replication: self.replication,
            configs: self.config.clone(),
        };
        match kafka.create_topic(&topic).await {
            Err(error) if self.if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => Ok(()),
            done => Ok(done?),
        }
    }
}

impl List {
    async fn run(&self, kafka: Kafka) -> Result<(), Failure> {
        let metadata = kafka.metadata(None).await?;
        let mut list = Listing::new(self.output, row!["TOPIC", "PARTITIONS"]);
        for (name, topic) in metadata.topics.iter().filter(|(_, t)| self.internal || !t.is_internal) {
            let object = json!({
                "topic": name,
                "id": topic.id.to_string(),
                "partitions": topic.partitions.len(),
                "internal": topic.is_internal,
            });
            list.put(&object, row![name, topic.partitions.len()])?;
        }
        list.end()
    }
}

impl Describe {
    async fn run(&self, kafka: Kafka) -> Result<(), Failure> {
        let mut out = Out::new();
        for (at, name) in self.names.iter().enumerate() {
            let topic = kafka.topic(name).await?;
            let bounds = Bounds::of(&kafka, name, &[]).await?;
            let bounds = bounds.all();
            let mut configs = kafka.topic_configs(name).await?;
            let retired = configs.iter().find(|config| config.name == RETIRED_PARTITIONS);
            let list = retired.and_then(|config| config.value.clone()).unwrap_or_default();
            let retired = retired_in(&list);
            if !retired.is_empty() {
                eprintln!(
                    "kolk: a merge of shards has retired partition {} of {name}: it is read as before, but a Kafka \
                     producer that chooses it for a key gets POLICY_VIOLATION",
                    list.replace(',', ", ")
                );
            }
            configs.retain(|config| self.all_configs || config.source == ConfigSource::Topic);
            configs.sort_by(|a, b| a.name.cmp(&b.name));
            if self.output.json {
                let partitions = topic.partitions.iter().map(|(index, p)| {
                    json!({
                        "partition": index,
                        "leader": p.leader,
                        "leader_epoch": p.leader_epoch,
                        "replicas": p.replicas,
                        "isr": p.isr,
                        "earliest": bounds.get(index).map(|(first, _)| first),
                        "latest": bounds.get(index).map(|(_, end)| end),
                        "retired": retired.contains(index),
                    })
                });
                let configs = configs.iter().map(|config| {
                    json!({
                        "name": config.name,
                        "value": config.value,
                        "source": source(config.source),
                        "read_only": config.is_read_only,
                    })
                });
                out.json(&json!({
                    "topic": name,
                    "id": topic.id.to_string(),
                    "partitions": partitions.collect::<Vec<_>>(),
                    "configs": configs.collect::<Vec<_>>(),
                }))?;
                continue;
            }
            if at > 0 {
                out.line("")?;
            }
            out.line(&format!("Topic {name}, id {}", topic.id))?;
            out.line("")?;
            let mut rows =
                vec![row!["PARTITION", "LEADER", "REPLICAS", "ISR", "EARLIEST", "LATEST", "RECORDS"]];
            for (index, partition) in &topic.partitions {
                let (first, end) = bounds.get(index).copied().unwrap_or_default();
                let list = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
                let (replicas, isr) = (list(&partition.replicas), list(&partition.isr));
                rows.push(row![index, partition.leader, replicas, isr, first, end, end - first]);
            }
            out.table(&rows)?;
            if !configs.is_empty() {
                out.line("")?;
                let mut rows = vec![row!["CONFIG", "VALUE", "SOURCE"]];
                rows.extend(configs.iter().map(|config| {
                    row![config.name, config.value.as_deref().unwrap_or("(hidden)"), source(config.source)]
                }));
                out.table(&rows)?;
            }
        }
        out.flush()
    }
}

fn source(source: ConfigSource) -> &'static str {
    match source {
        ConfigSource::Topic => "topic",
        ConfigSource::Broker => "broker",
        ConfigSource::Default => "default",
        ConfigSource::Other(_) => "other",
    }
}

impl Alter {
    async fn run(&self, kafka: Kafka) -> Result<(), Failure> {
        let set = self.config.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
        let changes: Vec<_> = set.chain(self.reset_config.iter().map(|name| (name.clone(), None))).collect();
        if !changes.is_empty() {
            kafka.alter_topic_configs(&self.name, &changes).await?;
        }
        if let Some(partitions) = self.partitions {
            kafka.create_partitions(&self.name, partitions).await?;
        }
        Ok(())
    }
}

impl Trim {
    async fn run(&self, kafka: Kafka) -> Result<(), Failure> {
        let before = self.before.unwrap_or(-1);
        let partitions: Vec<(i32, i64)> = match self.partition {
            Some(partition) => vec![(partition, before)],
            None => kafka.topic(&self.name).await?.partitions.keys().map(|p| (*p, before)).collect(),
        };
        let first = kafka.delete_records(&self.name, &partitions).await?;
        let mut list = Listing::new(self.output, row!["PARTITION", "EARLIEST"]);
        for (partition, earliest) in first {
            let object = json!({ "topic": self.name, "partition": partition, "earliest": earliest });
            list.put(&object, row![partition, earliest])?;
        }
        list.end()
    }
}

impl Delete {
    async fn run(&self, kafka: Kafka) -> Result<(), Failure> {
        for name in &self.names {
            match kafka.delete_topic(name).await {
                Err(error) if self.if_exists && error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {}
                done => done?,
            }
        }
        Ok(())
    }
}
