//! DescribeLogDirs (key 35), versions 1 to 5.
//!
//! One directory: the data directory. A partition's size is that of its batches in the log, shared files or not. Bytes of
//! the file system (version 4) are answered as unknown. Nothing is ever cordoned (version 5).

use std::collections::BTreeSet;

use kolk_broker::topics::TopicKey;
use kolk_engine::PartitionId;
use kolk_engine::state::Topic;
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
            let all = broker.all_topics().await?;
            all.iter().map(|topic| describe(topic, &|_| true)).collect()
        }
        Some(asked) => {
            let keys: Vec<TopicKey<'_>> = asked.iter().map(|topic| TopicKey::Name(&topic.topic)).collect();
            let found = broker.find_topics(&keys).await?;
            let known = asked.iter().zip(&found).filter_map(|(asked, found)| Some((asked, found.as_ref()?)));
            known
                .map(|(asked, topic)| {
                    let wanted: BTreeSet<i32> = asked.partitions.iter().copied().collect();
                    describe(topic, &|index| wanted.contains(&index))
                })
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
