//! `kolk group`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use kolk_client::kafka::{Kafka, OffsetSpec};
use serde_json::json;

use super::Failure;
use super::common::{Listing, Out, OutputArgs, ServerArgs, or_dash, row, run};
use super::place::{Bounds, Where};
use super::time::When;

#[derive(Subcommand)]
pub enum Group {
    /// Lists consumer groups.
    ///
    /// JSON: group, state, type, protocol_type.
    #[command(after_long_help = "Example: kolk group list")]
    List(List),
    /// Shows a group's members, committed offsets and lag.
    ///
    /// JSON: group, state, protocol_type, protocol, members [member, instance, client, host, partitions], offsets
    /// [topic, partition, committed, latest, lag, metadata, member].
    #[command(after_long_help = "Example: kolk group describe billing --json | jq '[.offsets[].lag] | add'")]
    Describe(Describe),
    /// Moves a group's committed offsets; the group must have no members.
    ///
    /// JSON: group, topic, partition, from, to.
    #[command(after_long_help = "Example: kolk group reset billing --topic orders --to-time 2h --dry-run\n\
                                 Example: kolk group reset billing --topic orders --partition 3 --to-offset 5000")]
    Reset(Reset),
    /// Forgets a group that has no members, with its committed offsets.
    #[command(after_long_help = "Example: kolk group delete billing")]
    Delete(Delete),
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
pub struct Describe {
    /// Which one.
    group: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
#[command(group(clap::ArgGroup::new("to").required(true)))]
pub struct Reset {
    /// Which group.
    group: String,
    /// Only this topic, committed or not yet. Repeats. Without it every topic the group has committed offsets in.
    #[arg(long, short)]
    topic: Vec<String>,
    /// Only this partition. Repeats.
    #[arg(long, short)]
    partition: Vec<i32>,
    /// To the first record.
    #[arg(long, group = "to")]
    to_earliest: bool,
    /// Behind the last record.
    #[arg(long, group = "to")]
    to_latest: bool,
    /// To the first record from a time on: 2026-11-23T01:30:00Z, milliseconds since 1970, or 2h for so long ago.
    #[arg(long, group = "to", value_name = "TIME")]
    to_time: Option<When>,
    /// To this offset, or the nearest there is.
    #[arg(long, group = "to", value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// Shows what would be done and does nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
pub struct Delete {
    /// Which ones.
    #[arg(required = true)]
    groups: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Group {
    pub fn run(self) -> Result<(), Failure> {
        run(|door| async move {
            match self {
                Group::List(list) => list.run(list.server.kafka(&door)?).await,
                Group::Describe(describe) => describe.run(describe.server.kafka(&door)?).await,
                Group::Reset(reset) => {
                    let now_ms = door.clock.now_ms();
                    reset.run(reset.server.kafka(&door)?, now_ms).await
                }
                Group::Delete(delete) => {
                    let kafka = delete.server.kafka(&door)?;
                    for group in &delete.groups {
                        kafka.delete_group(group).await?;
                    }
                    Ok(())
                }
            }
        })
    }
}

impl List {
    async fn run(&self, kafka: Kafka) -> Result<(), Failure> {
        let mut list = Listing::new(self.output, row!["GROUP", "STATE", "TYPE", "PROTOCOL"]);
        for group in kafka.list_groups().await? {
            let object = json!({
                "group": group.id,
                "state": group.state,
                "type": group.kind,
                "protocol_type": group.protocol_type,
            });
            list.put(&object, row![group.id, group.state, group.kind, group.protocol_type])?;
        }
        list.end()
    }
}

impl Describe {
    async fn run(&self, kafka: Kafka) -> Result<(), Failure> {
        let group = kafka.describe_group(&self.group).await?;
        let committed = kafka.committed(&self.group).await?;
        if group.state == "Dead" && committed.is_empty() {
            return Err(Failure::Failed(anyhow::anyhow!("there is no group {}", self.group)));
        }
        let mut latest: BTreeMap<(String, i32), i64> = BTreeMap::new();
        let mut owner: BTreeMap<(String, i32), &str> = BTreeMap::new();
        for member in &group.members {
            owner.extend(member.assignment.iter().map(|key| (key.clone(), member.id.as_str())));
        }
        let mut partitions: BTreeMap<&str, Vec<(i32, OffsetSpec)>> = BTreeMap::new();
        let mut keys: Vec<&(String, i32)> = committed.keys().chain(owner.keys()).collect();
        keys.sort();
        keys.dedup();
        for (topic, partition) in &keys {
            partitions.entry(topic).or_default().push((*partition, OffsetSpec::Latest));
        }
        for (topic, asked) in partitions {
            // A topic may have been deleted since: its offsets are still committed, its end is unknown.
            for (partition, (offset, _)) in kafka.list_offsets(topic, &asked).await.unwrap_or_default() {
                latest.insert((topic.to_owned(), partition), offset);
            }
        }
        let offsets = keys.iter().map(|key| {
            let committed = committed.get(*key);
            let end = latest.get(*key).copied();
            let lag = committed.zip(end).map(|(c, end)| (end - c.offset).max(0));
            (*key, committed, end, lag, owner.get(*key).copied())
        });
        let mut out = Out::new();
        if self.output.json {
            let members = group.members.iter().map(|member| {
                let assigned = member.assignment.iter().map(|(t, p)| json!({ "topic": t, "partition": p }));
                json!({
                    "member": member.id,
                    "instance": member.instance_id,
                    "client": member.client_id,
                    "host": member.host,
                    "partitions": assigned.collect::<Vec<_>>(),
                })
            });
            let offsets = offsets.map(|((topic, partition), committed, latest, lag, member)| {
                json!({
                    "topic": topic,
                    "partition": partition,
                    "committed": committed.map(|c| c.offset),
                    "latest": latest,
                    "lag": lag,
                    "metadata": committed.map(|c| &c.metadata),
                    "member": member,
                })
            });
            out.json(&json!({
                "group": group.id,
                "state": group.state,
                "protocol_type": group.protocol_type,
                "protocol": group.protocol,
                "members": members.collect::<Vec<_>>(),
                "offsets": offsets.collect::<Vec<_>>(),
            }))?;
            return out.flush();
        }
        let protocol =
            if group.protocol.is_empty() { String::new() } else { format!(", {}", group.protocol) };
        out.line(&format!("Group {}, {}{protocol}", group.id, group.state))?;
        if !group.members.is_empty() {
            out.line("")?;
            let mut rows = vec![row!["MEMBER", "CLIENT", "HOST", "PARTITIONS"]];
            rows.extend(group.members.iter().map(|member| {
                let assigned: Vec<_> = member.assignment.iter().map(|(t, p)| format!("{t}:{p}")).collect();
                row![member.id, member.client_id, member.host, assigned.join(" ")]
            }));
            out.table(&rows)?;
        }
        let mut rows = vec![row!["TOPIC", "PARTITION", "COMMITTED", "LATEST", "LAG", "MEMBER"]];
        rows.extend(offsets.map(|((topic, partition), committed, latest, lag, member)| {
            row![
                topic,
                partition,
                or_dash(committed.map(|c| c.offset)),
                or_dash(latest),
                or_dash(lag),
                member.unwrap_or("-")
            ]
        }));
        if rows.len() > 1 {
            out.line("")?;
            out.table(&rows)?;
        }
        out.flush()
    }
}

impl Reset {
    async fn run(&self, kafka: Kafka, now_ms: i64) -> Result<(), Failure> {
        let committed = kafka.committed(&self.group).await?;
        let mut topics: Vec<String> = self.topic.clone();
        if topics.is_empty() {
            topics.extend(committed.keys().map(|(topic, _)| topic.clone()));
            topics.dedup();
        }
        if topics.is_empty() {
            return Err(Failure::Failed(anyhow::anyhow!(
                "group {} has committed no offsets; name the topics with --topic",
                self.group
            )));
        }
        let place = match (self.to_offset, self.to_time) {
            _ if self.to_earliest => Where::Earliest,
            (Some(offset), _) => Where::Offset(offset),
            (None, Some(when)) => Where::Time(when),
            (None, None) => Where::Latest,
        };
        let mut moves = Vec::new();
        for topic in &topics {
            let bounds = Bounds::of(&kafka, topic, &self.partition).await?;
            for (partition, to) in bounds.offsets(place, now_ms).await? {
                let from = committed.get(&(topic.clone(), partition)).map(|c| c.offset);
                moves.push((topic.clone(), partition, from, to));
            }
        }
        if !self.dry_run {
            let offsets: Vec<_> = moves.iter().map(|(t, p, _, to)| (t.clone(), *p, *to)).collect();
            kafka.commit(&self.group, &offsets).await?;
        }
        let mut list = Listing::new(self.output, row!["TOPIC", "PARTITION", "FROM", "TO"]);
        for (topic, partition, from, to) in moves {
            let object = json!({
                "group": self.group,
                "topic": topic,
                "partition": partition,
                "from": from,
                "to": to,
            });
            list.put(&object, row![topic, partition, or_dash(from), to])?;
        }
        list.end()
    }
}
