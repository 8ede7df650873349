//! DescribeLogDirs (key 35), versions 1 to 5.
//!
//! One directory: the data directory. A partition's size is that of its batches in the log, shared files or not. Bytes of
//! the file system (version 4) are answered as unknown. Nothing is ever cordoned (version 5).

use std::collections::{BTreeMap, BTreeSet};

use kolk_broker::topics::TopicKey;
use kolk_engine::state::Topic;
use kolk_engine::{EngineExt, PartitionId};
use kolk_wire_kafka::Str;
use kolk_wire_kafka::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};

use super::Context;
use crate::connection::Close;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: DescribeLogDirsRequest,
) -> Result<DescribeLogDirsResponse, Close> {
    let broker = context.broker();
    let describe = |topic: &Topic, wanted: &dyn Fn(i32) -> bool| {
        let partitions = (0..topic.partitions).filter(|index| wanted(*index)).map(|index| {
            let size = broker.engine().size_bytes(PartitionId { topic: topic.id, index });
            DescribeLogDirsPartition {
                partition_index: index,
                partition_size: i64::try_from(size).unwrap_or(i64::MAX),
                offset_lag: 0,
                is_future_key: false,
            }
        });
        DescribeLogDirsTopic { name: Str::from(&*topic.name), partitions: partitions.collect() }
    };
    let topics = match request.topics {
        None => {
            let count = broker.engine().peek(|state| state.topic_count() + state.partition_count());
            let _turn = context.wide_turn(count).await;
            let all = broker.all_topics().await?;
            all.iter().map(|topic| describe(topic, &|_| true)).collect()
        }
        Some(asked) => {
            let mut wanted: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
            for topic in &asked {
                wanted.entry(&topic.topic).or_default().extend(&topic.partitions);
            }
            let keys: Vec<TopicKey<'_>> = wanted.keys().map(|name| TopicKey::Name(name)).collect();
            let found = broker.find_topics(&keys).await?;
            let known =
                wanted.values().zip(&found).filter_map(|(wanted, found)| Some((wanted, found.as_ref()?)));
            known
                .map(|(wanted, topic)| describe(topic, &|index| wanted.contains(&index)))
                .filter(|topic| !topic.partitions.is_empty())
                .collect()
        }
    };
    let result = DescribeLogDirsResult {
        error_code: 0,
        log_dir: Str::from(&broker.settings().log_dir),
        topics,
        total_bytes: -1,
        usable_bytes: -1,
        is_cordoned: false,
    };
    Ok(DescribeLogDirsResponse { results: vec![result], ..Default::default() })
}
