//! `kolk shard`.

use clap::{Args, Subcommand};
use kolk_client::kinesis::Kinesis;
use kolk_wire_kinesis::replies::Shard as ShardReply;
use kolk_wire_kinesis::requests::{ListShardsInput, MergeShardsInput, SplitShardInput};
use kolk_wire_kinesis::sequence::{Position, SequenceNumber};
use kolk_wire_kinesis::shard_id;
use serde_json::json;

use super::Failure;
use super::common::{KinesisArgs, Listing, OutputArgs, or_dash, row, run};
use super::time::iso;

#[derive(Subcommand)]
pub enum Shard {
    /// Lists a stream's shards, closed ones too: which offsets of which partition each is, hash range and parents.
    ///
    /// JSON: stream, shard, open, partition, first_offset, end_offset (null while open), first_hash_key, last_hash_key, parent, adjacent_parent, starting_sequence_number,
    /// ending_sequence_number.
    #[command(after_long_help = "Example: kolk shard list orders --open")]
    List(List),
    /// Splits a shard in two: in the middle of its hash range, or where you say.
    #[command(after_long_help = "Example: kolk shard split orders shardId-000000000000")]
    Split(Split),
    /// Merges two shards whose hash ranges are neighbours, the lower one first.
    #[command(after_long_help = "Example: kolk shard merge orders shardId-000000000001 shardId-000000000002")]
    Merge(Merge),
    /// Takes sequence numbers apart; needs no server.
    ///
    /// JSON: sequence_number, shard, shard_created, position (start, end or record), offset, appended.
    #[command(
        after_long_help = "Example: kolk shard decode 49673426816043178486373898137236498422022613427216613378"
    )]
    Decode(Decode),
}

#[derive(Args)]
pub struct List {
    /// Which stream (= topic).
    stream: String,
    /// Only open shards.
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    kinesis: KinesisArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
pub struct Split {
    /// Which stream (= topic).
    stream: String,
    /// Which shard: shardId-000000000007, or 7.
    shard: String,
    /// The first hash key of the upper half.
    #[arg(long, value_name = "HASH_KEY")]
    at: Option<u128>,
    #[command(flatten)]
    kinesis: KinesisArgs,
}

#[derive(Args)]
pub struct Merge {
    /// Which stream (= topic).
    stream: String,
    /// The shard with the lower hash range.
    shard: String,
    /// Its neighbour.
    adjacent: String,
    #[command(flatten)]
    kinesis: KinesisArgs,
}

#[derive(Args)]
pub struct Decode {
    /// Which ones.
    #[arg(required = true)]
    sequence_numbers: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Shard {
    pub fn run(self) -> Result<(), Failure> {
        if let Shard::Decode(decode) = &self {
            return decode.run();
        }
        run(|door| async move {
            match self {
                Shard::List(list) => list.run(&list.kinesis.kinesis(&door)?).await,
                Shard::Split(split) => split.run(&split.kinesis.kinesis(&door)?).await,
                Shard::Merge(merge) => merge.run(&merge.kinesis.kinesis(&door)?).await,
                Shard::Decode(_) => Ok(()),
            }
        })
    }
}

/// Every shard of a stream, page by page.
async fn shards(kinesis: &Kinesis, stream: &str) -> Result<Vec<ShardReply>, Failure> {
    let mut all = Vec::new();
    let mut next_token = None;
    loop {
        let first = next_token.is_none();
        let page = kinesis
            .call(&ListShardsInput {
                next_token,
                stream_name: first.then(|| stream.to_owned()),
                kolk_places: Some(true),
                ..Default::default()
            })
            .await?;
        all.extend(page.shards.unwrap_or_default());
        next_token = page.next_token;
        if next_token.is_none() {
            return Ok(all);
        }
    }
}

fn is_open(shard: &ShardReply) -> bool {
    shard.sequence_number_range.ending_sequence_number.is_none()
}

impl List {
    async fn run(&self, kinesis: &Kinesis) -> Result<(), Failure> {
        let heading =
            row!["SHARD", "STATE", "PARTITION", "FIRST", "END", "FIRST HASH KEY", "LAST HASH KEY", "PARENTS"];
        let mut list = Listing::new(self.output, heading);
        for shard in shards(kinesis, &self.stream).await?.iter().filter(|shard| !self.open || is_open(shard))
        {
            let range = &shard.hash_key_range;
            let object = json!({
                "stream": self.stream,
                "shard": shard.shard_id,
                "open": is_open(shard),
                "partition": shard.kolk_partition,
                "first_offset": shard.kolk_first_offset,
                "end_offset": shard.kolk_end_offset,
                "first_hash_key": range.starting_hash_key,
                "last_hash_key": range.ending_hash_key,
                "parent": shard.parent_shard_id,
                "adjacent_parent": shard.adjacent_parent_shard_id,
                "starting_sequence_number": shard.sequence_number_range.starting_sequence_number,
                "ending_sequence_number": shard.sequence_number_range.ending_sequence_number,
            });
            let parents: Vec<&str> = shard
                .parent_shard_id
                .iter()
                .chain(&shard.adjacent_parent_shard_id)
                .map(String::as_str)
                .collect();
            // Real Kinesis has no partitions to tell of.
            let row = row![
                shard.shard_id,
                if is_open(shard) { "open" } else { "closed" },
                or_dash(shard.kolk_partition.map(i64::from)),
                or_dash(shard.kolk_first_offset),
                or_dash(shard.kolk_end_offset),
                range.starting_hash_key,
                range.ending_hash_key,
                parents.join(" "),
            ];
            list.put(&object, row)?;
        }
        list.end()
    }
}

impl Split {
    async fn run(&self, kinesis: &Kinesis) -> Result<(), Failure> {
        let at = match self.at {
            Some(at) => at,
            None => {
                let wanted = shard_id::parse(&self.shard);
                let all = shards(kinesis, &self.stream).await?;
                let shard = all.iter().find(|s| wanted.is_some() && shard_id::parse(&s.shard_id) == wanted);
                let shard = shard
                    .ok_or_else(|| anyhow::anyhow!("stream {} has no shard {}", self.stream, self.shard))?;
                let key = |text: &str| {
                    text.parse::<u128>().map_err(|_| anyhow::anyhow!("the server sent the hash key `{text}`"))
                };
                let first = key(&shard.hash_key_range.starting_hash_key)?;
                let last = key(&shard.hash_key_range.ending_hash_key)?;
                first + (last - first) / 2 + 1
            }
        };
        kinesis
            .call(&SplitShardInput {
                new_starting_hash_key: at.to_string(),
                stream_name: Some(self.stream.clone()),
                shard_to_split: self.shard.clone(),
                ..Default::default()
            })
            .await?;
        Ok(())
    }
}

impl Merge {
    async fn run(&self, kinesis: &Kinesis) -> Result<(), Failure> {
        kinesis
            .call(&MergeShardsInput {
                shard_to_merge: self.shard.clone(),
                adjacent_shard_to_merge: self.adjacent.clone(),
                stream_name: Some(self.stream.clone()),
                ..Default::default()
            })
            .await?;
        Ok(())
    }
}

impl Decode {
    fn run(&self) -> Result<(), Failure> {
        let mut numbers: Vec<(&str, SequenceNumber)> = Vec::new();
        let mut wrong = None;
        for text in &self.sequence_numbers {
            match text.parse() {
                Ok(number) => numbers.push((text, number)),
                Err(error) => {
                    wrong.get_or_insert_with(|| format!("{text}: {error}"));
                }
            }
        }
        // No heading over nothing.
        let printed = if numbers.is_empty() { Ok(()) } else { self.print(&numbers) };
        wrong.map_or(printed, |wrong| Err(Failure::Failed(anyhow::anyhow!(wrong))))
    }

    fn print(&self, numbers: &[(&str, SequenceNumber)]) -> Result<(), Failure> {
        let mut list = Listing::new(self.output, row!["SHARD", "POSITION", "APPENDED", "SHARD CREATED"]);
        for (text, number) in numbers {
            let shard = shard_id::format(number.shard_index);
            let second = |secs: u64| iso(i64::try_from(secs).unwrap_or(i64::MAX / 1000) * 1000);
            let (created, appended) = (second(number.shard_created_secs), second(number.record_secs));
            let (name, offset) = match number.position() {
                Position::Start => ("start", None),
                Position::End => ("end", None),
                Position::Offset(offset) => ("record", Some(offset)),
            };
            let object = json!({
                "sequence_number": text,
                "shard": shard,
                "shard_created": created,
                "position": name,
                "offset": offset,
                "appended": appended,
            });
            let position = offset.map_or_else(|| name.to_owned(), |offset| format!("offset {offset}"));
            list.put(&object, row![shard, position, appended, created])?;
        }
        list.end()
    }
}
