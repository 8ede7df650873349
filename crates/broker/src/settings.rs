//! What can be configured about a broker, with Kafka's defaults and Kafka's names.
//!
//! [`BROKER_SETTINGS`] is the one table of Kafka's broker settings that no topic config stands for: DescribeConfigs, the
//! configuration of the process and its reference page come from it. Topic configs and the settings that give them
//! their defaults are in [`kolk_engine::state::configs`].

use kolk_engine::state::configs::Kind;

/// A broker's settings. Field comments name Kafka's setting where there is one.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `node.id`.
    pub node_id: i32,
    /// `cluster.id`: stable over restarts of one data directory.
    pub cluster_id: String,
    /// What DescribeLogDirs shows as the log directory.
    pub log_dir: String,
    /// Bytes that requests and replies may hold, see [`crate::admission`].
    pub memory_bytes_max: usize,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `num.partitions`: of topics whose creator names no count.
    pub default_partitions: i32,
    /// Answer as one Kafka broker does when more than one replica is asked for (by default any replication factor
    /// and `min.insync.replicas` is accepted).
    pub strict_replication: bool,
    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: usize,
    /// Classic groups.
    pub groups: GroupSettings,
    /// `offsets.retention.minutes`.
    pub offsets_retention_minutes: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: u64,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval_ms: u64,
    /// `offset.metadata.max.bytes`. The broker only shows it: what holds stands in the state's limits.
    pub offset_metadata_bytes_max: usize,
    /// `log.retention.check.interval.ms`. The broker only shows it: the engine looks.
    pub retention_check_interval_ms: u64,
}

/// Settings of classic consumer groups.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for more members.
    pub initial_rebalance_delay_ms: u64,
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: i32,
    /// `group.max.size`: members of one group.
    pub members_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            node_id: 1,
            cluster_id: "kolk-cluster-0000000000".to_owned(),
            log_dir: "kolk".to_owned(),
            memory_bytes_max: 256 * 1024 * 1024,
            auto_create_topics: true,
            default_partitions: 1,
            strict_replication: false,
            request_bytes_max: 100 * 1024 * 1024,
            fetch_bytes_max: 55 * 1024 * 1024,
            fetch_sessions_max: 1000,
            groups: GroupSettings::default(),
            offsets_retention_minutes: 7 * 24 * 60,
            offsets_retention_check_interval_ms: 600_000,
            producer_id_expiration_ms: 86_400_000,
            producer_id_expiration_check_interval_ms: 600_000,
            offset_metadata_bytes_max: 4096,
            retention_check_interval_ms: 300_000,
        }
    }
}

impl Default for GroupSettings {
    fn default() -> Self {
        GroupSettings {
            initial_rebalance_delay_ms: 3000,
            session_timeout_min_ms: 6000,
            session_timeout_max_ms: 1_800_000,
            members_max: i32::MAX as usize,
        }
    }
}

/// One of Kafka's broker settings that no topic config stands for. Its default is its value in [`Settings::default`].
#[derive(Debug)]
pub struct BrokerSetting {
    /// Kafka's name.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// What it does, with its unit.
    pub doc: &'static str,
    /// Its value as text.
    pub value: fn(&Settings) -> String,
    set: Option<Set>,
}

/// How a setting is set.
#[derive(Debug)]
enum Set {
    /// To a whole number from the first to the second, both inclusive, which the field's type holds.
    Whole(i64, i64, fn(&mut Settings, i64)),
    Bool(fn(&mut Settings, bool)),
}

impl BrokerSetting {
    /// Whether [`Settings::set`] takes it; otherwise it is only told, and follows from others or is always the same.
    pub fn can_be_set(&self) -> bool {
        self.set.is_some()
    }

    /// The least and the greatest number that it takes, if it takes numbers.
    pub fn range(&self) -> Option<(i64, i64)> {
        match self.set {
            Some(Set::Whole(min, max, _)) => Some((min, max)),
            _ => None,
        }
    }
}

impl Settings {
    /// Sets one of [`BROKER_SETTINGS`] from text. `Ok(false)`: there is none of this name that can be set. The error
    /// says why the value cannot be.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let setting = BROKER_SETTINGS.iter().find(|setting| setting.name == name);
        match setting.and_then(|setting| setting.set.as_ref()) {
            None => return Ok(false),
            Some(Set::Whole(min, max, set)) => match value.parse() {
                Ok(number) if (*min..=*max).contains(&number) => set(self, number),
                _ if *max == i64::MAX => return Err(format!("it is a whole number from {min}")),
                _ => return Err(format!("it is a whole number from {min} to {max}")),
            },
            Some(Set::Bool(set)) => {
                set(self, value.parse().map_err(|_| "it is true or false".to_owned())?);
            }
        }
        Ok(true)
    }
}

const I32: i64 = i32::MAX as i64;

macro_rules! whole {
    ($name:literal, $kind:ident $min:literal..=$max:expr, $($field:ident).+, $doc:literal) => {
        BrokerSetting {
            name: $name,
            kind: Kind::$kind,
            doc: $doc,
            value: |settings| settings.$($field).+.to_string(),
            set: Some(Set::Whole($min, $max, |settings, value| {
                settings.$($field).+ = value.try_into().expect("its type holds its range");
            })),
        }
    };
}

macro_rules! told {
    ($name:literal, $kind:ident, $value:expr, $doc:literal) => {
        BrokerSetting { name: $name, kind: Kind::$kind, doc: $doc, value: $value, set: None }
    };
}

/// Every one that is honoured, by name.
pub const BROKER_SETTINGS: &[BrokerSetting] = &[
    BrokerSetting {
        name: "auto.create.topics.enable",
        kind: Kind::Boolean,
        doc: "Whether asking for the metadata of a topic that is not there makes it.",
        value: |settings| settings.auto_create_topics.to_string(),
        set: Some(Set::Bool(|settings, value| settings.auto_create_topics = value)),
    },
    told!(
        "broker.id",
        Int,
        |settings| settings.node_id.to_string(),
        "The number of this broker in metadata."
    ),
    told!(
        "default.replication.factor",
        Int,
        |_| "1".to_owned(),
        "Replicas of topics whose creator names no number."
    ),
    told!("delete.topic.enable", Boolean, |_| "true".to_owned(), "Whether topics can be deleted."),
    whole!(
        "fetch.max.bytes",
        Int 1024..=I32,
        fetch_bytes_max,
        "Most bytes of records that one fetch is answered with."
    ),
    whole!(
        "group.initial.rebalance.delay.ms",
        Int 0..=I32,
        groups.initial_rebalance_delay_ms,
        "How long the first rebalance of an empty group waits for more members, in ms."
    ),
    whole!(
        "group.max.session.timeout.ms",
        Int 1..=I32,
        groups.session_timeout_max_ms,
        "Longest session timeout a consumer may ask for, in ms."
    ),
    whole!("group.max.size", Int 1..=I32, groups.members_max, "Most members of one group."),
    whole!(
        "group.min.session.timeout.ms",
        Int 1..=I32,
        groups.session_timeout_min_ms,
        "Shortest session timeout a consumer may ask for, in ms."
    ),
    told!("log.dirs", List, |settings| settings.log_dir.clone(), "The data directory."),
    whole!(
        "log.retention.check.interval.ms",
        Long 1..=i64::MAX,
        retention_check_interval_ms,
        "How often records that have expired are looked for, in ms."
    ),
    whole!(
        "max.incremental.fetch.session.cache.slots",
        Int 0..=I32,
        fetch_sessions_max,
        "Most incremental fetch sessions that are kept (KIP-227)."
    ),
    whole!("node.id", Int 0..=I32, node_id, "The number of this broker in metadata."),
    whole!(
        "num.partitions",
        Int 1..=I32,
        default_partitions,
        "Partitions of topics that are made without a count."
    ),
    whole!(
        "offset.metadata.max.bytes",
        Int 0..=I32,
        offset_metadata_bytes_max,
        "Most bytes of metadata that a committed offset may carry."
    ),
    whole!(
        "offsets.retention.check.interval.ms",
        Long 1..=i64::MAX,
        offsets_retention_check_interval_ms,
        "How often expired committed offsets are looked for, in ms."
    ),
    whole!(
        "offsets.retention.minutes",
        Int 1..=I32,
        offsets_retention_minutes,
        "How long committed offsets outlive the last member of their group, in minutes."
    ),
    whole!(
        "producer.id.expiration.ms",
        Int 1..=I32,
        producer_id_expiration_ms,
        "How long an idempotent producer is remembered after its last record, in ms."
    ),
    whole!("socket.request.max.bytes", Int 1..=I32, request_bytes_max, "Most bytes of one request."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_read_back_as_it_was_set_and_changes_no_other() {
        assert!(BROKER_SETTINGS.is_sorted_by_key(|setting| setting.name));
        for setting in BROKER_SETTINGS {
            let mut settings = Settings::default();
            let default = (setting.value)(&settings);
            let Some((min, max)) = setting.range() else {
                let other = if default == "true" { "false" } else { "true" };
                let set = settings.set(setting.name, other).expect("a value that it takes");
                assert_eq!(set, setting.can_be_set());
                assert_eq!((setting.value)(&settings), if set { other } else { &default });
                continue;
            };
            assert_eq!(settings.set(setting.name, &default), Ok(true), "{} takes its default", setting.name);
            for value in [min, max] {
                assert_eq!(settings.set(setting.name, &value.to_string()), Ok(true));
                assert_eq!((setting.value)(&settings), value.to_string());
            }
            assert!(settings.set(setting.name, &(min - 1).to_string()).is_err());
            assert!(settings.set(setting.name, "many").is_err());
            let alike =
                |other: &&BrokerSetting| (other.value)(&settings) != (other.value)(&Settings::default());
            let changed: Vec<_> = BROKER_SETTINGS.iter().filter(alike).map(|other| other.name).collect();
            let expected: &[&str] = match setting.name {
                "group.max.size" => &[],
                "node.id" => &["broker.id", "node.id"],
                name => &[name],
            };
            assert_eq!(changed, expected);
        }
        assert_eq!(Settings::default().set("log.retention.ms", "1"), Ok(false));
    }
}
