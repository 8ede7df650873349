//! Error codes: [`ErrorCode`], Kafka's whole table up to 4.4.

macro_rules! codes {
    ($($name:ident = $code:literal, $kafka:literal, $kind:ident, $message:literal;)*) => {
        /// What went wrong, as a number that all clients know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode { $(#[doc = $message] $name = $code,)* }

        impl ErrorCode {
            /// All of them, ascending by code.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The error with this code.
            pub const fn from_code(code: i16) -> Option<ErrorCode> {
                match code {
                    $($code => Some(ErrorCode::$name),)*
                    _ => None,
                }
            }

            /// Kafka's name, such as `NOT_COORDINATOR`.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$name => $kafka,)* }
            }

            /// A sentence for the error message fields of answers.
            pub const fn message(self) -> &'static str {
                match self { $(ErrorCode::$name => $message,)* }
            }

            /// Whether Kafka's own clients try again when they see it.
            pub const fn is_retriable(self) -> bool {
                match self { $(ErrorCode::$name => codes!(@ $kind),)* }
            }
        }
    };
    (@ retriable) => { true };
    (@ final) => { false };
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether this is `NONE`.
    pub const fn is_none(self) -> bool {
        matches!(self, ErrorCode::None)
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name(), self.message())
    }
}

codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", final, "the broker failed in a way it has no code for";
    None = 0, "NONE", final, "no error";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", final, "the offset is outside the partition's log";
    CorruptMessage = 2, "CORRUPT_MESSAGE", retriable, "a batch is damaged: checksum, size or form";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", retriable, "no such topic or partition here, or not visible to this user";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", final, "the fetch size is not positive";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", retriable, "the partition has no leader at the moment";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", retriable, "this broker does not lead, or does not hold, the partition";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", retriable, "not done within the request's timeout";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", final, "the broker is not available";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", retriable, "the replica is not available";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", final, "a batch is over the topic's max.message.bytes";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", final, "the controller that asked is not the newest";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", final, "the metadata beside a committed offset is too long";
    NetworkException = 13, "NETWORK_EXCEPTION", retriable, "the connection went away before an answer";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", retriable, "the coordinator still loads its state";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", retriable, "no coordinator is available";
    NotCoordinator = 16, "NOT_COORDINATOR", retriable, "another broker coordinates this group or transaction";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", final, "not a legal topic name, or a topic closed to this operation";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", final, "the batches of one request are larger than a segment";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", retriable, "fewer replicas in sync than min.insync.replicas asks for";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", retriable, "written, but to fewer replicas than asked for";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", final, "acks is none of -1, 0, 1";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", final, "the generation is not the group's current one";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", final, "the member's protocols do not fit those of the group";
    InvalidGroupId = 24, "INVALID_GROUP_ID", final, "not a legal group id";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", final, "the group does not know this member";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", final, "the session timeout is outside the broker's bounds";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", final, "the group is rebalancing: join again";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", final, "the offset commit is too large";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", final, "topic: access denied";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", final, "group: access denied";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", final, "cluster: access denied";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", final, "a record's timestamp is outside the allowed range";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", final, "the SASL mechanism is not enabled";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", final, "not a request that may come at this point of SASL";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", final, "the broker does not serve this version";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", final, "the topic exists";
    InvalidPartitions = 37, "INVALID_PARTITIONS", final, "the number of partitions is not legal";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", final, "the replication factor is not legal";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", final, "the replica assignment is not legal";
    InvalidConfig = 40, "INVALID_CONFIG", final, "a configuration is not legal";
    NotController = 41, "NOT_CONTROLLER", retriable, "another broker is the controller";
    InvalidRequest = 42, "INVALID_REQUEST", final, "the request contradicts itself or breaks the protocol";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", final, "the stored message format cannot do this";
    PolicyViolation = 44, "POLICY_VIOLATION", final, "a policy of the broker forbids it";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", final, "the sequence number does not follow the last one";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", final, "the sequence number was used before";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", final, "the producer's epoch is an old one";
    InvalidTxnState = 48, "INVALID_TXN_STATE", final, "the transaction's state does not allow this";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", final, "the producer id does not belong to the transactional id";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", final, "the transaction timeout is over transaction.max.timeout.ms";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", retriable, "another step of the same transaction is still running";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", final, "a newer coordinator has taken over the transaction";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", final, "transactional id: access denied";
    SecurityDisabled = 54, "SECURITY_DISABLED", final, "security features are switched off";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", final, "not tried, because another part of the request failed";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", retriable, "the disk failed below the log";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", final, "no such log directory";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", final, "SASL authentication failed";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", final, "nothing is stored about this producer id any more";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", final, "the partition is already being reassigned";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", final, "delegation tokens are switched off";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", final, "no such delegation token";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", final, "the delegation token belongs to someone else";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", final, "delegation tokens may not be asked for over this kind of connection";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", final, "delegation token: access denied";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", final, "the delegation token has expired";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", final, "not a legal type of principal";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", final, "the group has members";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", final, "no such group";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", retriable, "no such fetch session";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", retriable, "not the fetch session's next epoch";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", retriable, "the leader has no listener with this name";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", final, "delete.topic.enable is false";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", retriable, "the client's leader epoch is old";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", retriable, "the client's leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", final, "the codec does not go with this version";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", final, "the broker's epoch is old";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", retriable, "the leader cannot tell its offsets yet";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", final, "join again with the member id in this answer";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", retriable, "the preferred leader is not available";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", final, "the group is full";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", final, "another member has taken over the static instance id";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", retriable, "no eligible leader is available";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", retriable, "the partition has the leader it should have";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", final, "no reassignment is running";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", final, "members of the group are subscribed to the topic";
    InvalidRecord = 87, "INVALID_RECORD", final, "a record breaks a rule of its topic: see the message per record";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", retriable, "open transactions hold offsets of this partition back";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", retriable, "the quota is used up: try later";
    ProducerFenced = 90, "PRODUCER_FENCED", final, "a newer producer with the same transactional id has taken over";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", final, "no such resource";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", final, "the resource is named twice";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", final, "the credential does not meet the rules";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", final, "the voter sets differ";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", final, "not a legal version for this update";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", final, "the features could not be updated";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", final, "the principal cannot be read";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", final, "no such snapshot";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", final, "the position is outside the snapshot";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", retriable, "no topic has this id";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", final, "the broker id is registered already";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", final, "the broker id is not registered";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", retriable, "the topic's id differs from the one asked for";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", final, "the cluster's id differs from the one asked for";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", final, "no such transactional id";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", retriable, "topic ids and fetch session do not go together";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", final, "the replica may not join the in-sync set";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", final, "a new leader was elected meanwhile";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", final, "the offset lies in tiered storage";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", final, "the member's epoch is old: leave and join again";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", final, "another member still holds the static instance id";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", final, "the broker has no such assignor";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", final, "the member's epoch is not the newest: heartbeat first";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", final, "not the kind of endpoint that was asked for";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", final, "this kind of endpoint does not serve this";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", final, "no such controller";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", final, "no such telemetry subscription";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", final, "the telemetry is too large";
    InvalidRegistration = 119, "INVALID_REGISTRATION", final, "the registration is not legal";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", final, "the transaction cannot go on: abort it";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", final, "the record's state does not allow this acknowledgement";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", retriable, "no such share session";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", retriable, "not the share session's next epoch";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", final, "a newer state epoch has taken over the share partition";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", final, "the voter's key is not right";
    DuplicateVoter = 126, "DUPLICATE_VOTER", final, "the voter is in the set already";
    VoterNotFound = 127, "VOTER_NOT_FOUND", final, "no such voter";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", final, "not a legal regular expression";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", final, "the client's view is too old: start again from the bootstrap servers";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", final, "the topology is not legal";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", final, "not a legal topology epoch";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", final, "the topology epoch is old";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", retriable, "too many share sessions";
    GroupDeletionFailed = 134, "GROUP_DELETION_FAILED", final, "the group could not be deleted";
    StreamsTopologyDescriptionUpdateFailed = 135, "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", final, "the topology description could not be stored";
    ControllerIdNotRegistered = 136, "CONTROLLER_ID_NOT_REGISTERED", final, "the controller id is not registered";
}
