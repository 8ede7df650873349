//! Topics, partitions, the cluster: making, deleting, describing.

use kolk_wire_kafka::Str;
use kolk_wire_kafka::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use kolk_wire_kafka::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kolk_wire_kafka::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use kolk_wire_kafka::messages::describe_cluster::DescribeClusterRequest;
use kolk_wire_kafka::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsRequest, DescribeLogDirsResponse,
};
use kolk_wire_kafka::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, RequestCursor, TopicRequest,
};
use kolk_wire_kafka::messages::find_coordinator::FindCoordinatorRequest;
use kolk_wire_kafka::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use uuid::Uuid;

use crate::asker::Asker;

const NO_SUCH_ID: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);

pub async fn ask(asker: &mut Asker) {
    create(asker).await;
    metadata(asker).await;
    describe_topic_partitions(asker).await;
    create_partitions(asker).await;
    delete(asker).await;
    log_dirs(asker).await;
    cluster(asker).await;
    coordinator(asker).await;
}

fn topic(name: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: replicas,
        ..Default::default()
    }
}

fn create_request(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: 5000, ..Default::default() }
}

fn with_config(mut topic: CreatableTopic, name: &str, value: Option<&str>) -> CreatableTopic {
    topic.configs.push(CreatableTopicConfig { name: name.into(), value: value.map(Str::from) });
    topic
}

fn assigned(mut topic: CreatableTopic, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    topic.assignments = assignments
        .iter()
        .map(|(partition_index, brokers)| CreatableReplicaAssignment {
            partition_index: *partition_index,
            broker_ids: brokers.to_vec(),
        })
        .collect();
    topic
}

async fn create(asker: &mut Asker) {
    for version in [2, 4, 5, 6, 7] {
        let request = create_request(vec![topic(&format!("made-{version}"), 2, 1)]);
        asker.ask("a topic", version, &request).await;
    }
    for version in [2, 4, 7] {
        asker.ask("no topics", version, &create_request(Vec::new())).await;
        let request = create_request(vec![topic(&format!("defaults-{version}"), -1, -1)]);
        asker.ask("with default counts", version, &request).await;
        asker.ask("a topic that is there", version, &create_request(vec![topic("made-2", 1, 1)])).await;
        let mut request = create_request(vec![topic("only-checked", 3, 1)]);
        request.validate_only = true;
        asker.ask("only checked", version, &request).await;
        let twice = create_request(vec![topic("twice", 1, 1), topic("once", 1, 1), topic("twice", 2, 1)]);
        asker
            .ask_and_even("one name twice", version, &twice, |answer| {
                answer.topics.sort_by(|a, b| a.name.cmp(&b.name))
            })
            .await;
        asker.settle().await;
        let gone =
            DeleteTopicsRequest { topic_names: vec!["once".into()], timeout_ms: 5000, ..Default::default() };
        asker.call(4, &gone).await;
        asker.settle().await;
    }
    let mut request = create_request(vec![topic("made-2", 3, 1), topic("x..", 3, 1), topic(".", 3, 1)]);
    request.validate_only = true;
    asker.ask("only checked, but there or badly named", 7, &request).await;
    let long = "x".repeat(249);
    let longer = "x".repeat(250);
    for name in [
        "",
        ".",
        "..",
        "a b",
        "ü",
        "a/b",
        "a,b",
        &long,
        &longer,
        "a.b",
        "a_b",
        "a.b_c",
        "a_b.c",
        "__consumer_offsets",
    ] {
        asker.ask(&format!("named {name:?}"), 7, &create_request(vec![topic(name, 1, 1)])).await;
    }
    for (partitions, replicas) in [(0, 1), (-2, 1), (1, 0), (1, -2), (0, 0), (-1, 1), (1, -1)] {
        let request =
            create_request(vec![topic(&format!("counts{partitions}{replicas}"), partitions, replicas)]);
        asker.ask(&format!("{partitions} partitions, {replicas} replicas"), 7, &request).await;
    }
    let cases = [
        ("partitions assigned", assigned(topic("as-1", -1, -1), &[(0, &[1]), (1, &[1])])),
        ("assigned, with a count", assigned(topic("as-2", 2, -1), &[(0, &[1]), (1, &[1])])),
        ("assigned, with a factor", assigned(topic("as-3", -1, 1), &[(0, &[1])])),
        ("assigned, with a gap", assigned(topic("as-4", -1, -1), &[(0, &[1]), (2, &[1])])),
        ("assigned from 1", assigned(topic("as-5", -1, -1), &[(1, &[1])])),
        ("assigned twice", assigned(topic("as-6", -1, -1), &[(0, &[1]), (0, &[1])])),
        ("assigned to nobody", assigned(topic("as-7", -1, -1), &[(0, &[])])),
        ("assigned to one broker twice", assigned(topic("as-8", -1, -1), &[(0, &[1, 1])])),
        ("assigned, below 0", assigned(topic("as-9", -1, -1), &[(-1, &[1])])),
        ("unlike many replicas", assigned(topic("as-10", -1, -1), &[(0, &[1]), (1, &[1, 1])])),
    ];
    for (what, topic) in cases {
        asker.ask(what, 7, &create_request(vec![topic])).await;
    }
    let configs: &[(&str, Option<&str>)] = &[
        ("no.such", Some("1")),
        ("", Some("1")),
        ("retention.ms", None),
        ("retention.ms", Some("")),
        ("retention.ms", Some("soon")),
        ("retention.ms", Some("-2")),
        ("retention.ms", Some("-1")),
        ("retention.ms", Some(" 5000 ")),
        ("retention.bytes", Some("-1")),
        ("retention.bytes", Some("1.5")),
        ("segment.bytes", Some("1")),
        ("segment.bytes", Some("1048576")),
        ("segment.bytes", Some("2147483648")),
        ("segment.ms", Some("0")),
        ("cleanup.policy", Some("compact")),
        ("cleanup.policy", Some("delete,compact")),
        ("cleanup.policy", Some("delete, compact")),
        ("cleanup.policy", Some("compact,compact")),
        ("cleanup.policy", Some("archive")),
        ("cleanup.policy", Some("")),
        ("compression.type", Some("brotli")),
        ("compression.type", Some("uncompressed")),
        ("compression.type", Some("GZIP")),
        ("compression.gzip.level", Some("0")),
        ("compression.gzip.level", Some("-1")),
        ("compression.lz4.level", Some("18")),
        ("compression.zstd.level", Some("-131073")),
        ("message.timestamp.type", Some("LogAppendTime")),
        ("message.timestamp.type", Some("logappendtime")),
        ("min.insync.replicas", Some("0")),
        ("max.message.bytes", Some("-1")),
        ("max.message.bytes", Some("0")),
        ("min.cleanable.dirty.ratio", Some("1.5")),
        ("min.cleanable.dirty.ratio", Some("0")),
        ("unclean.leader.election.enable", Some("yes")),
        ("unclean.leader.election.enable", Some("TRUE")),
        ("message.format.version", Some("2.8")),
        ("message.downconversion.enable", Some("false")),
        ("remote.storage.enable", Some("true")),
        ("local.retention.ms", Some("-3")),
        ("max.compaction.lag.ms", Some("0")),
        ("follower.replication.throttled.replicas", Some("*")),
        ("follower.replication.throttled.replicas", Some("1:2")),
        ("follower.replication.throttled.replicas", Some("one")),
        ("index.interval.bytes", Some("-1")),
        ("flush.messages", Some("0")),
        ("preallocate", Some("false")),
        ("segment.index.bytes", Some("3")),
        ("delete.retention.ms", Some("-1")),
        ("errors.deadletterqueue.group.enable", Some("true")),
    ];
    for (at, (name, value)) in configs.iter().enumerate() {
        let request = create_request(vec![with_config(topic(&format!("config-{at}"), 1, 1), name, *value)]);
        asker.ask(&format!("with {name}={value:?}"), 7, &request).await;
    }
    let pairs: &[(&str, &str, &str, &str)] = &[
        ("min.compaction.lag.ms", "10", "max.compaction.lag.ms", "5"),
        ("local.retention.ms", "10", "retention.ms", "5"),
        ("local.retention.bytes", "10", "retention.bytes", "5"),
        ("retention.ms", "1", "retention.ms", "2"),
    ];
    for (at, (name, value, other, second)) in pairs.iter().enumerate() {
        let topic = with_config(topic(&format!("pair-{at}"), 1, 1), name, Some(value));
        let request = create_request(vec![with_config(topic, other, Some(second))]);
        asker.ask(&format!("with {name}={value} {other}={second}"), 7, &request).await;
    }
    let many = create_request(vec![topic("many", 20_000, 1)]);
    asker.ask("20,000 partitions", 7, &many).await;
    asker.settle().await;
}

async fn metadata(asker: &mut Asker) {
    let by_name = |names: &[&str]| MetadataRequest {
        topics: Some(
            names
                .iter()
                .map(|name| MetadataRequestTopic { name: Some((*name).into()), ..Default::default() })
                .collect(),
        ),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    for version in [4, 8, 9, 10, 11, 12, 13] {
        asker.ask("a topic", version, &by_name(&["made-2"])).await;
        asker.ask("no topics", version, &by_name(&[])).await;
        asker.ask("not there, not to be made", version, &by_name(&["none"])).await;
        asker.ask("twice", version, &by_name(&["made-2", "made-4", "made-2"])).await;
    }
    for name in ["", ".", "a b", "x/y", &"x".repeat(250)] {
        asker.ask(&format!("named {name:?}, not to be made"), 12, &by_name(&[name])).await;
        let mut request = by_name(&[name]);
        request.allow_auto_topic_creation = true;
        for version in [1, 4, 12] {
            asker.ask(&format!("named {name:?}, to be made"), version, &request).await;
        }
    }
    for version in [0, 3, 4, 9, 12, 13] {
        let name = format!("auto-{version}");
        let mut request = by_name(&[&name]);
        request.allow_auto_topic_creation = true;
        asker.ask("made on first sight", version, &request).await;
        asker.settle().await;
        asker.ask("made a moment ago", version, &request).await;
    }
    // A name that collides with one that is there: metrics cannot tell them apart.
    let mut request = by_name(&["made.2", "x_auto", "x.auto"]);
    request.allow_auto_topic_creation = true;
    asker.ask("names that collide, to be made", 12, &request).await;
    asker.settle().await;
    let id = asker.topic_id("made-2").await;
    let by_id = |id| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { topic_id: id, name: None }]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    for version in [12, 13] {
        asker.ask("by id", version, &by_id(id)).await;
        asker.ask("by an id that is not there", version, &by_id(NO_SUCH_ID)).await;
        asker.ask("by no id and no name", version, &by_id(Uuid::nil())).await;
        let mut both = by_id(id);
        both.topics
            .as_mut()
            .unwrap()
            .push(MetadataRequestTopic { name: Some("made-4".into()), ..Default::default() });
        asker.ask("by id and by name", version, &both).await;
        let mut named = by_id(id);
        named.topics.as_mut().unwrap()[0].name = Some("made-2".into());
        asker.ask("by id with a name", version, &named).await;
    }
    for version in [10, 11] {
        let mut request = by_id(id);
        request.topics.as_mut().unwrap()[0].name = Some("made-2".into());
        asker.ask("by id", version, &request).await;
    }
    let mut operations = by_name(&["made-2"]);
    operations.include_topic_authorized_operations = true;
    asker.ask("with operations", 12, &operations).await;
    operations.include_cluster_authorized_operations = true;
    asker.ask("with all operations", 8, &operations).await;
}

async fn describe_topic_partitions(asker: &mut Asker) {
    let request = |names: &[&str], limit, cursor: Option<(&str, i32)>| DescribeTopicPartitionsRequest {
        topics: names.iter().map(|name| TopicRequest { name: (*name).into() }).collect(),
        response_partition_limit: limit,
        cursor: cursor
            .map(|(topic, partition_index)| RequestCursor { topic_name: topic.into(), partition_index }),
    };
    let names = ["made-2", "made-4", "made-5"];
    asker.ask("three topics", 0, &request(&names, 2000, None)).await;
    asker.ask("not in order, one twice", 0, &request(&["made-5", "made-2", "made-5"], 2000, None)).await;
    for limit in [1, 2, 3, 5, 0, -1] {
        asker.ask(&format!("three topics, at most {limit}"), 0, &request(&names, limit, None)).await;
    }
    for cursor in [
        ("made-2", 0),
        ("made-2", 1),
        ("made-2", 2),
        ("made-2", 9),
        ("made-4", 1),
        ("made-3", 1),
        ("zzz", 0),
        ("made-4", -1),
    ] {
        asker.ask(&format!("from {cursor:?}"), 0, &request(&names, 2, Some(cursor))).await;
    }
    for name in ["none", "", "a b", "."] {
        asker.ask(&format!("named {name:?}"), 0, &request(&[name], 10, None)).await;
        asker
            .ask(&format!("named {name:?} and one that is there"), 0, &request(&["made-2", name], 1, None))
            .await;
    }
}

/// A topic, its new count of partitions, and the brokers of each new one.
type Growth<'a> = (&'a str, i32, Option<Vec<Vec<i32>>>);

async fn create_partitions(asker: &mut Asker) {
    asker.create_topic("grow", 2, &[]).await;
    let request = |topics: &[Growth<'_>], validate_only| CreatePartitionsRequest {
        topics: topics
            .iter()
            .map(|(name, count, assignments)| CreatePartitionsTopic {
                name: (*name).into(),
                count: *count,
                assignments: assignments.as_ref().map(|all| {
                    all.iter().map(|ids| CreatePartitionsAssignment { broker_ids: ids.clone() }).collect()
                }),
            })
            .collect(),
        timeout_ms: 5000,
        validate_only,
    };
    for version in 0..=3 {
        asker.ask("no topics", version, &request(&[], false)).await;
        asker.ask("as many as there are", version, &request(&[("grow", 2, None)], false)).await;
        asker.ask("fewer", version, &request(&[("grow", 1, None)], false)).await;
        asker.ask("only checked", version, &request(&[("grow", 5, None)], true)).await;
        asker.ask("not there", version, &request(&[("none", 5, None)], false)).await;
    }
    for count in [0, -1, i32::MAX, 10_001, 20_000] {
        asker.ask(&format!("{count}"), 3, &request(&[("grow", count, None)], true)).await;
    }
    asker.ask("twice", 3, &request(&[("grow", 3, None), ("grow", 4, None)], true)).await;
    asker
        .ask(
            "twice and another",
            3,
            &request(&[("grow", 3, None), ("made-2", 3, None), ("grow", 4, None)], true),
        )
        .await;
    asker
        .ask_and_even("a bad name", 3, &request(&[("a b", 3, None), ("", 3, None)], true), |answer| {
            answer.results.sort_by(|a, b| a.name.cmp(&b.name))
        })
        .await;
    for (what, count, ids) in [
        ("assigned", 3, vec![vec![1]]),
        ("assigned, too few", 4, vec![vec![1]]),
        ("assigned, too many", 3, vec![vec![1], vec![1]]),
        ("assigned to another", 3, vec![vec![7]]),
        ("assigned to nobody", 3, vec![vec![]]),
        ("assigned to one twice", 3, vec![vec![1, 1]]),
        ("assigned, none", 3, vec![]),
        ("assigned, unlike many", 4, vec![vec![1], vec![]]),
        ("assigned, as many as there are", 2, vec![]),
    ] {
        asker.ask(what, 3, &request(&[("grow", count, Some(ids))], true)).await;
    }
    asker.ask("two more", 3, &request(&[("grow", 4, None)], false)).await;
    asker.settle().await;
    let topic = MetadataRequestTopic { name: Some("grow".into()), ..Default::default() };
    asker.ask("grown", 12, &MetadataRequest { topics: Some(vec![topic]), ..Default::default() }).await;
}

async fn delete(asker: &mut Asker) {
    let by_name = |answer: &mut DeleteTopicsResponse| answer.responses.sort_by(|a, b| a.name.cmp(&b.name));
    let by_names = |names: &[&str]| DeleteTopicsRequest {
        topic_names: names.iter().map(|name| (*name).into()).collect(),
        timeout_ms: 5000,
        ..Default::default()
    };
    let by = |states: &[(Option<&str>, Uuid)]| DeleteTopicsRequest {
        topics: states
            .iter()
            .map(|(name, topic_id)| DeleteTopicState { name: name.map(Str::from), topic_id: *topic_id })
            .collect(),
        timeout_ms: 5000,
        ..Default::default()
    };
    for version in 1..=5 {
        asker.create_topic("gone", 1, &[]).await;
        asker.ask_and_even("none", version, &by_names(&[]), by_name).await;
        asker.ask_and_even("one", version, &by_names(&["gone"]), by_name).await;
        asker.settle().await;
        asker.ask_and_even("gone already", version, &by_names(&["gone"]), by_name).await;
        asker.create_topic("gone", 1, &[]).await;
        asker.ask_and_even("twice", version, &by_names(&["gone", "none", "gone"]), by_name).await;
        asker.settle().await;
        asker.ask_and_even("after twice", version, &by_names(&["gone"]), by_name).await;
        asker.ask_and_even("badly named", version, &by_names(&["", "a b", "."]), by_name).await;
        asker.settle().await;
    }
    asker.create_topic("gone", 1, &[]).await;
    let id = asker.topic_id("gone").await;
    asker.ask_and_even("none", 6, &by(&[]), by_name).await;
    asker.ask_and_even("neither name nor id", 6, &by(&[(None, Uuid::nil())]), by_name).await;
    asker.ask_and_even("name and id", 6, &by(&[(Some("gone"), id)]), by_name).await;
    asker.ask_and_even("unknown id", 6, &by(&[(None, NO_SUCH_ID)]), by_name).await;
    asker.ask_and_even("unknown id twice", 6, &by(&[(None, NO_SUCH_ID), (None, NO_SUCH_ID)]), by_name).await;
    asker.ask_and_even("unknown name", 6, &by(&[(Some("none"), Uuid::nil())]), by_name).await;
    asker
        .ask_and_even(
            "unknown name twice",
            6,
            &by(&[(Some("none"), Uuid::nil()), (Some("none"), Uuid::nil())]),
            by_name,
        )
        .await;
    asker
        .ask_and_even("bad names", 6, &by(&[(Some(""), Uuid::nil()), (Some("a b"), Uuid::nil())]), by_name)
        .await;
    asker
        .ask_and_even("by name and by id", 6, &by(&[(Some("gone"), Uuid::nil()), (None, id)]), by_name)
        .await;
    asker.settle().await;
    asker.ask_and_even("by id after that", 6, &by(&[(None, id)]), by_name).await;
    asker.settle().await;
    asker.create_topic("gone", 1, &[]).await;
    let id = asker.topic_id("gone").await;
    asker.ask_and_even("by id twice", 6, &by(&[(None, id), (None, id)]), by_name).await;
    asker.settle().await;
    asker.ask_and_even("by name after that", 6, &by(&[(Some("gone"), Uuid::nil())]), by_name).await;
    asker.settle().await;
}

async fn log_dirs(asker: &mut Asker) {
    let by_partition = |answer: &mut DescribeLogDirsResponse| {
        for topic in answer.results.iter_mut().flat_map(|result| &mut result.topics) {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
    };
    let request = |topics: Option<&[(&str, &[i32])]>| DescribeLogDirsRequest {
        topics: topics.map(|topics| {
            topics
                .iter()
                .map(|(topic, partitions)| DescribableLogDirTopic {
                    topic: (*topic).into(),
                    partitions: partitions.to_vec(),
                })
                .collect()
        }),
    };
    for version in 1..=5 {
        asker.ask_and_even("a topic", version, &request(Some(&[("made-2", &[0, 1])])), by_partition).await;
        asker
            .ask_and_even(
                "a partition that is not there",
                version,
                &request(Some(&[("made-2", &[1, 7])])),
                by_partition,
            )
            .await;
        asker
            .ask_and_even(
                "a topic that is not there",
                version,
                &request(Some(&[("none", &[0])])),
                by_partition,
            )
            .await;
        asker.ask_and_even("no partitions", version, &request(Some(&[("made-2", &[])])), by_partition).await;
        asker.ask_and_even("no topics", version, &request(Some(&[])), by_partition).await;
        asker
            .ask_and_even(
                "a partition twice",
                version,
                &request(Some(&[("made-2", &[0, 0]), ("made-2", &[0])])),
                by_partition,
            )
            .await;
    }
}

async fn cluster(asker: &mut Asker) {
    for version in 0..=2 {
        asker.ask("brokers", version, &DescribeClusterRequest::default()).await;
        let request =
            DescribeClusterRequest { include_cluster_authorized_operations: true, ..Default::default() };
        asker.ask("with operations", version, &request).await;
    }
    for endpoint_type in [0, 2, 3, -1] {
        let request = DescribeClusterRequest { endpoint_type, ..Default::default() };
        asker.ask(&format!("endpoint type {endpoint_type}"), 1, &request).await;
    }
    let request = DescribeClusterRequest { include_fenced_brokers: true, ..Default::default() };
    asker.ask("fenced ones too", 2, &request).await;
}

async fn coordinator(asker: &mut Asker) {
    let one =
        |key: &str, key_type| FindCoordinatorRequest { key: key.into(), key_type, ..Default::default() };
    for version in 0..=3 {
        asker.ask("a group's", version, &one("g", 0)).await;
        asker.ask("of the group without a name", version, &one("", 0)).await;
    }
    for version in 1..=3 {
        asker.ask("a transaction's", version, &one("x", 1)).await;
        asker.ask("of type 9", version, &one("x", 9)).await;
        asker.ask("of type 2", version, &one("x", 2)).await;
    }
    let many = |keys: &[&str], key_type| FindCoordinatorRequest {
        key_type,
        coordinator_keys: keys.iter().map(|key| (*key).into()).collect(),
        ..Default::default()
    };
    for version in 4..=6 {
        asker.ask("groups'", version, &many(&["g", "h", "g"], 0)).await;
        asker.ask("nobody's", version, &many(&[], 0)).await;
        asker.ask("of the group without a name", version, &many(&[""], 0)).await;
        asker.ask("a transaction's", version, &many(&["x"], 1)).await;
        asker.ask("of type 9", version, &many(&["x"], 9)).await;
        asker.ask("of a share's state", version, &many(&["g:AAAAAAAAAAAAAAAAAAAAAA:0"], 2)).await;
        asker.ask("of a share's state, badly named", version, &many(&["x"], 2)).await;
    }
}
