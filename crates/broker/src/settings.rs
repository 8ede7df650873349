//! What can be configured about a broker, with Kafka's defaults and Kafka's names.

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
    /// `offset.metadata.max.bytes` as it is shown; what holds stands in the state's limits.
    pub offset_metadata_bytes_max: usize,
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
        }
    }
}

impl Default for GroupSettings {
    fn default() -> Self {
        GroupSettings {
            initial_rebalance_delay_ms: 3000,
            session_timeout_min_ms: 6000,
            session_timeout_max_ms: 1_800_000,
            members_max: usize::MAX,
        }
    }
}
