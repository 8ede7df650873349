//! Configs of topics, brokers and what else can have them: describing and altering.

use kolk_wire_kafka::Str;
use kolk_wire_kafka::messages::alter_configs::{self, AlterConfigsRequest};
use kolk_wire_kafka::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use kolk_wire_kafka::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use crate::asker::Asker;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

pub async fn ask(asker: &mut Asker) {
    asker.create_topic("conf", 1, &[("retention.ms", "60000"), ("cleanup.policy", "delete")]).await;
    describe(asker).await;
    incremental(asker).await;
    replacing(asker).await;
}

/// Resources that are wrong in some way, or not topics.
const ODD: &[(i8, &str)] = &[
    (TOPIC, "none"),
    (TOPIC, ""),
    (TOPIC, "a b"),
    (BROKER, "1"),
    (BROKER, ""),
    (BROKER, "9"),
    (BROKER, "x"),
    (LOGGER, "1"),
    (LOGGER, ""),
    (LOGGER, "9"),
    (CLIENT_METRICS, "m"),
    (CLIENT_METRICS, ""),
    (GROUP, "g"),
    (GROUP, ""),
    (0, "x"),
    (1, "x"),
    (3, "x"),
    (64, "x"),
    (-1, "x"),
];

fn resource(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResource {
    DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
    }
}

fn by_name(answer: &mut DescribeConfigsResponse) {
    for result in &mut answer.results {
        result.configs.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

async fn describe(asker: &mut Asker) {
    for version in 1..=4 {
        let mut request = DescribeConfigsRequest {
            resources: vec![resource(TOPIC, "conf", None)],
            include_synonyms: true,
            include_documentation: version >= 3,
        };
        asker.ask_and_even("a topic", version, &request, by_name).await;
        request.include_synonyms = false;
        request.include_documentation = false;
        request.resources = vec![resource(TOPIC, "conf", Some(&["retention.ms", "no.such", "retention.ms"]))];
        asker.ask_and_even("one config of a topic", version, &request, by_name).await;
        request.resources = vec![resource(TOPIC, "conf", Some(&[]))];
        asker.ask_and_even("no config of a topic", version, &request, by_name).await;
        request.resources = vec![resource(TOPIC, "conf", Some(&["segment.ms"])); 2];
        asker.ask_and_even("a topic twice", version, &request, by_name).await;
        request.resources = Vec::new();
        asker.ask_and_even("nothing", version, &request, by_name).await;
    }
    for (kind, name) in ODD {
        // A broker has hundreds of settings, and so has a logger.
        let keys: &[&str] = &["num.partitions", "log.retention.hours", "root"];
        let all = [BROKER, LOGGER].contains(kind);
        let request = DescribeConfigsRequest {
            resources: vec![resource(*kind, name, all.then_some(keys))],
            include_synonyms: true,
            include_documentation: false,
        };
        asker.ask_and_even(&format!("resource {kind} {name:?}"), 4, &request, by_name).await;
    }
    let honoured = [
        "advertised.listeners",
        "auto.create.topics.enable",
        "broker.id",
        "node.id",
        "compression.type",
        "default.replication.factor",
        "delete.topic.enable",
        "group.initial.rebalance.delay.ms",
        "group.max.session.timeout.ms",
        "group.max.size",
        "group.min.session.timeout.ms",
        "log.cleanup.policy",
        "log.dirs",
        "log.message.timestamp.type",
        "log.retention.bytes",
        "log.retention.hours",
        "log.retention.minutes",
        "log.retention.ms",
        "log.segment.bytes",
        "max.incremental.fetch.session.cache.slots",
        "message.max.bytes",
        "min.insync.replicas",
        "num.partitions",
        "offset.metadata.max.bytes",
        "offsets.retention.minutes",
        "producer.id.expiration.ms",
        "socket.request.max.bytes",
        "transactional.id.expiration.ms",
    ];
    for name in honoured {
        let request = DescribeConfigsRequest {
            resources: vec![resource(BROKER, "1", Some(&[name]))],
            include_synonyms: true,
            include_documentation: false,
        };
        asker.ask_and_even(&format!("the broker's {name}"), 4, &request, by_name).await;
    }
}

fn change(name: &str, operation: i8, value: Option<&str>) -> AlterableConfig {
    AlterableConfig { name: name.into(), config_operation: operation, value: value.map(Str::from) }
}

fn incremental_request(
    kind: i8,
    name: &str,
    configs: Vec<AlterableConfig>,
) -> IncrementalAlterConfigsRequest {
    IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource { resource_type: kind, resource_name: name.into(), configs }],
        validate_only: false,
    }
}

/// What a topic's own configs are now.
async fn look(asker: &mut Asker, after: &str) {
    let keys = ["retention.ms", "cleanup.policy", "segment.ms", "follower.replication.throttled.replicas"];
    let request = DescribeConfigsRequest {
        resources: vec![resource(TOPIC, "conf", Some(&keys))],
        ..Default::default()
    };
    asker.settle().await;
    asker.ask_and_even(&format!("after {after}"), 4, &request, by_name).await;
}

async fn incremental(asker: &mut Asker) {
    let changes: &[(&str, i8, Option<&str>)] = &[
        ("retention.ms", 0, Some("1000")),
        ("retention.ms", 1, None),
        ("retention.ms", 1, None),
        ("retention.ms", 1, Some("5")),
        ("retention.ms", 0, None),
        ("retention.ms", 0, Some("soon")),
        ("retention.ms", 2, Some("5")),
        ("retention.ms", 3, Some("5")),
        ("retention.ms", 4, Some("5")),
        ("retention.ms", -1, Some("5")),
        ("no.such", 0, Some("5")),
        ("no.such", 1, None),
        ("no.such", 2, Some("x")),
        ("", 0, Some("5")),
        ("cleanup.policy", 2, Some("compact")),
        ("cleanup.policy", 2, Some("compact")),
        ("cleanup.policy", 2, Some("archive")),
        ("cleanup.policy", 2, None),
        ("cleanup.policy", 3, Some("delete")),
        ("cleanup.policy", 3, Some("delete")),
        ("cleanup.policy", 3, Some("compact")),
        ("cleanup.policy", 1, None),
        ("cleanup.policy", 2, Some("delete,compact")),
        ("cleanup.policy", 3, Some("delete,compact")),
        ("follower.replication.throttled.replicas", 2, Some("0:1")),
        ("follower.replication.throttled.replicas", 2, Some("1:1,2:1")),
        ("follower.replication.throttled.replicas", 3, Some("1:1")),
        ("segment.ms", 0, Some("0")),
        ("min.insync.replicas", 0, Some("2")),
        ("min.insync.replicas", 0, Some("0")),
        ("message.format.version", 0, Some("3.0")),
    ];
    for (at, (name, operation, value)) in changes.iter().enumerate() {
        let request = incremental_request(TOPIC, "conf", vec![change(name, *operation, *value)]);
        let what = format!("{at}: {name} {operation} {value:?}");
        asker.ask(&what, 1, &request).await;
        look(asker, &what).await;
    }
    for version in 0..=1 {
        asker.ask("nothing", version, &IncrementalAlterConfigsRequest::default()).await;
        asker.ask("no change", version, &incremental_request(TOPIC, "conf", Vec::new())).await;
        let twice = vec![change("retention.ms", 0, Some("1")), change("retention.ms", 0, Some("2"))];
        asker.ask("a key twice", version, &incremental_request(TOPIC, "conf", twice)).await;
        let half = vec![change("retention.ms", 0, Some("77")), change("segment.ms", 0, Some("soon"))];
        asker.ask("half of it good", version, &incremental_request(TOPIC, "conf", half)).await;
        let mut checked = incremental_request(TOPIC, "conf", vec![change("retention.ms", 0, Some("88"))]);
        checked.validate_only = true;
        asker.ask("only checked", version, &checked).await;
        let mut two = incremental_request(TOPIC, "conf", vec![change("retention.ms", 0, Some("99"))]);
        two.resources.push(two.resources[0].clone());
        asker.ask("a resource twice", version, &two).await;
        let mut two = incremental_request(TOPIC, "conf", vec![change("segment.ms", 0, Some("99"))]);
        two.resources.push(incremental_request(TOPIC, "none", Vec::new()).resources.remove(0));
        asker.ask("a topic that is there and one that is not", version, &two).await;
        look(asker, &format!("these, version {version}")).await;
    }
    for (kind, name) in ODD {
        let config = match *kind {
            BROKER => "num.partitions",
            LOGGER => "no.such.logger",
            CLIENT_METRICS => "no.such",
            GROUP => "no.such",
            _ => "retention.ms",
        };
        let request = incremental_request(*kind, name, vec![change(config, 0, Some("5000"))]);
        asker.ask(&format!("resource {kind} {name:?}"), 1, &request).await;
        let request = incremental_request(*kind, name, Vec::new());
        asker.ask(&format!("resource {kind} {name:?}, no change"), 1, &request).await;
    }
    // Read-only ones and unknown ones; what Kafka could change at run time is asked elsewhere, for here it cannot be.
    for broker in ["1", ""] {
        for (config, operation, value) in [
            ("no.such", 0, Some("1")),
            ("num.partitions", 0, Some("5")),
            ("auto.create.topics.enable", 0, Some("false")),
            ("log.dirs", 0, Some("/x")),
            ("broker.id", 0, Some("7")),
            ("num.partitions", 1, None),
            ("log.retention.ms", 0, Some("soon")),
            ("log.retention.ms", 0, None),
            ("log.retention.ms", 9, None),
        ] {
            let request = incremental_request(BROKER, broker, vec![change(config, operation, value)]);
            asker.ask(&format!("broker {broker:?}: {config} {operation} {value:?}"), 1, &request).await;
        }
        let request =
            incremental_request(BROKER, broker, vec![change("log.retention.ms", 0, Some("604800000"))]);
        asker.ask(&format!("broker {broker:?}: what Kafka changes at run time"), 1, &request).await;
        let back = incremental_request(BROKER, broker, vec![change("log.retention.ms", 1, None)]);
        asker.call(1, &back).await;
    }
}

async fn replacing(asker: &mut Asker) {
    let request = |kind, name: &str, configs: &[(&str, Option<&str>)]| AlterConfigsRequest {
        resources: vec![alter_configs::AlterConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configs: configs
                .iter()
                .map(|(name, value)| alter_configs::AlterableConfig {
                    name: (*name).into(),
                    value: value.map(Str::from),
                })
                .collect(),
        }],
        validate_only: false,
    };
    for version in 0..=2 {
        asker.ask("nothing", version, &AlterConfigsRequest::default()).await;
        asker.ask("one", version, &request(TOPIC, "conf", &[("retention.ms", Some("5"))])).await;
        look(asker, &format!("one, version {version}")).await;
        asker.ask("another", version, &request(TOPIC, "conf", &[("segment.ms", Some("5"))])).await;
        look(asker, &format!("another, version {version}")).await;
        let mut checked = request(TOPIC, "conf", &[("retention.ms", Some("8"))]);
        checked.validate_only = true;
        asker.ask("only checked", version, &checked).await;
        asker.ask("a null", version, &request(TOPIC, "conf", &[("retention.ms", None)])).await;
        asker.ask("unknown", version, &request(TOPIC, "conf", &[("no.such", Some("1"))])).await;
        asker.ask("ill-typed", version, &request(TOPIC, "conf", &[("retention.ms", Some("soon"))])).await;
        let twice = request(TOPIC, "conf", &[("retention.ms", Some("1")), ("retention.ms", Some("2"))]);
        asker.ask("a key twice", version, &twice).await;
        let mut two = request(TOPIC, "conf", &[("retention.ms", Some("9"))]);
        two.resources.push(two.resources[0].clone());
        asker.ask("a resource twice", version, &two).await;
        look(asker, &format!("these, version {version}")).await;
        asker.ask("back to defaults", version, &request(TOPIC, "conf", &[])).await;
        look(asker, &format!("back, version {version}")).await;
    }
    for (kind, name) in ODD {
        let config = match *kind {
            BROKER => "num.partitions",
            LOGGER | CLIENT_METRICS | GROUP => "no.such",
            _ => "retention.ms",
        };
        asker
            .ask(&format!("resource {kind} {name:?}"), 2, &request(*kind, name, &[(config, Some("5000"))]))
            .await;
    }
}
