use super::*;

fn check(name: &str, value: &str) -> Result<(), String> {
    lookup(name).unwrap().check(value)
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_table_is_sorted_and_keeps_its_own_rules() {
    assert!(all().windows(2).all(|pair| pair[0].name < pair[1].name));
    for def in all() {
        assert_eq!(def.check(def.default), Ok(()), "{}", def.name);
        assert!(!def.doc.is_empty());
        assert!(std::ptr::eq(lookup(def.name).unwrap(), def));
    }
    assert!(lookup("nope").is_none());
}

/// Every pair was tried on Kafka 4.4.0.
#[test]
fn values_are_judged_as_kafka_judges_them() {
    for (name, value) in [
        ("cleanup.policy", ""),
        ("cleanup.policy", " compact , delete "),
        ("cleanup.policy", "delete,delete"),
        ("compression.gzip.level", "-1"),
        ("delete.retention.ms", " 5 "),
        ("follower.replication.throttled.replicas", "*"),
        ("follower.replication.throttled.replicas", "0:1,2:3"),
        ("follower.replication.throttled.replicas", ""),
        ("min.cleanable.dirty.ratio", "1e-1"),
        ("preallocate", "TRUE"),
        ("retention.bytes", "-5"),
        ("segment.bytes", "+2000000"),
    ] {
        assert_eq!(check(name, value), Ok(()), "{name}={value}");
    }
    for (name, value, why) in [
        (
            "cleanup.policy",
            "delete,foo",
            "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        ("cleanup.policy", "delete,", "Configuration 'cleanup.policy' values must not be empty."),
        (
            "compression.gzip.level",
            "0",
            "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
        (
            "compression.lz4.level",
            "18",
            "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17",
        ),
        (
            "compression.type",
            "Gzip",
            "Invalid value Gzip for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        (
            "delete.retention.ms",
            "-1",
            "Invalid value -1 for configuration delete.retention.ms: Value must be at least 0",
        ),
        (
            "delete.retention.ms",
            "",
            "Invalid value  for configuration delete.retention.ms: Not a number of type LONG",
        ),
        (
            "delete.retention.ms",
            "9223372036854775808",
            "Invalid value 9223372036854775808 for configuration delete.retention.ms: Not a number of type LONG",
        ),
        (
            "leader.replication.throttled.replicas",
            "*,1:2",
            "Invalid value [*, 1:2] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
        ),
        (
            "max.message.bytes",
            "2147483648",
            "Invalid value 2147483648 for configuration max.message.bytes: Not a number of type INT",
        ),
        (
            "min.cleanable.dirty.ratio",
            "1.5",
            "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        ),
        (
            "min.cleanable.dirty.ratio",
            "x",
            "Invalid value x for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE",
        ),
        (
            "preallocate",
            "yes",
            "Invalid value yes for configuration preallocate: Expected value to be either true or false",
        ),
        ("retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1"),
        (
            "retention.ms",
            "1.5",
            "Invalid value 1.5 for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "segment.bytes",
            "100",
            "Invalid value 100 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            "segment.bytes",
            "0x10",
            "Invalid value 0x10 for configuration segment.bytes: Not a number of type INT",
        ),
    ] {
        assert_eq!(check(name, value), Err(why.to_owned()));
    }
    let long = "x".repeat(VALUE_MAX + 1);
    assert!(check("message.format.version", &long).unwrap_err().contains("32767"));
}

#[test]
fn overrides_are_judged_together_names_first() {
    let reason = |pairs| match validate_all(&map(pairs), &ConfigDefaults::default()) {
        Err(Refusal::InvalidConfig { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(&[("cleanup.policy", "x"), ("nope", "1")]), "Unknown topic config name: nope");
    assert_eq!(
        reason(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]),
        "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
    );
    let old = map(&[("message.format.version", "2.0"), ("message.downconversion.enable", "true")]);
    assert_eq!(validate_all(&old, &ConfigDefaults::default()), Ok(()));
}

#[test]
fn lists_grow_from_what_holds_and_nothing_else_can_be_appended_to() {
    let defaults = ConfigDefaults::default();
    let change = |name: &str, op| ConfigChange { name: name.to_owned(), op };
    let after = |configs: &[(&str, &str)], changes: &[ConfigChange]| alter(map(configs), changes, &defaults);
    let append = |items: &str| change("cleanup.policy", ConfigOp::Append(items.to_owned()));
    let subtract = |items: &str| change("cleanup.policy", ConfigOp::Subtract(items.to_owned()));
    assert_eq!(after(&[], &[append("compact,delete")]), Ok(map(&[("cleanup.policy", "delete,compact")])));
    assert_eq!(after(&[], &[subtract("delete")]), Ok(map(&[("cleanup.policy", "")])));
    assert_eq!(
        after(&[("cleanup.policy", "compact")], &[append("delete"), subtract("compact")]),
        Ok(map(&[("cleanup.policy", "delete")]))
    );
    assert_eq!(
        after(&[], &[change("retention.ms", ConfigOp::Append("1".to_owned()))]),
        Err(Refusal::InvalidConfig {
            reason: "Can't APPEND to key retention.ms because its type is not LIST.".to_owned()
        })
    );
    let set = change("retention.ms", ConfigOp::Set(" 5 ".to_owned()));
    assert_eq!(after(&[], std::slice::from_ref(&set)), Ok(map(&[("retention.ms", "5")])));
    assert_eq!(after(&[("retention.ms", "7")], &[change("retention.ms", ConfigOp::Delete)]), Ok(map(&[])));
    assert!(after(&[], &[set, change("nope", ConfigOp::Set("1".to_owned()))]).is_err(), "all or nothing");
}

#[test]
fn broker_settings_give_defaults_and_finer_units_win() {
    let mut defaults = ConfigDefaults::default();
    let retention = lookup(RETENTION_MS).unwrap();
    let none = BTreeMap::new();
    assert_eq!(resolve(&none, &defaults, retention), ("604800000", ConfigSource::Default));
    assert_eq!(defaults.set("log.retention.minutes", "2"), Ok(true));
    assert_eq!(defaults.set("log.retention.hours", "1"), Ok(true));
    let source = ConfigSource::Broker("log.retention.minutes");
    assert_eq!(resolve(&none, &defaults, retention), ("120000", source));
    let own = map(&[("retention.ms", "9")]);
    assert_eq!(resolve(&own, &defaults, retention), ("9", ConfigSource::Topic));

    assert_eq!(defaults.set("log.retention.ms", "-1"), Ok(true));
    assert_eq!(resolve(&none, &defaults, retention).0, "-1");
    assert_eq!(defaults.set("message.max.bytes", "500"), Ok(true));
    assert_eq!(defaults.append().max_message_bytes, 500);
    assert_eq!(defaults.set("num.partitions", "3"), Ok(false));
    assert_eq!(
        defaults.set("log.segment.bytes", "1").unwrap_err(),
        "Invalid value 1 for configuration log.segment.bytes: Value must be at least 1048576"
    );
}

#[test]
fn partitions_learn_only_of_overrides() {
    assert_eq!(append_rules(&BTreeMap::new()), AppendRules::default());
    let rules = append_rules(&map(&[
        ("cleanup.policy", "delete, compact"),
        ("max.message.bytes", "7"),
        ("message.timestamp.type", "LogAppendTime"),
        ("message.timestamp.after.max.ms", "8"),
        ("message.timestamp.before.max.ms", "9"),
        ("retention.ms", "5"),
    ]));
    let expected = AppendRules {
        max_message_bytes: Some(7),
        log_append_time: Some(true),
        timestamp_before_max_ms: Some(9),
        timestamp_after_max_ms: Some(8),
        compacted: Some(true),
        ..AppendRules::default()
    };
    assert_eq!(rules, expected);
}

/// Each item was compared with all of the list: with 32 KB of them and as many there already nothing else was decided for
/// 0.2 s, whether or not the value was taken in the end.
#[test]
fn long_lists_are_edited_with_few_comparisons() {
    use std::cell::Cell;
    use std::cmp::Ordering;

    thread_local!(static COMPARED: Cell<usize> = const { Cell::new(0) });

    #[derive(Clone, Copy, Debug, Eq)]
    struct Item(u32);
    impl Ord for Item {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARED.set(COMPARED.get() + 1);
            self.0.cmp(&other.0)
        }
    }
    impl PartialOrd for Item {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl PartialEq for Item {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }

    let items = |numbers: std::ops::Range<u32>| numbers.map(|number| Item(number * 7919 % 16_384));
    let numbers = |items: &[Item]| items.iter().map(|item| item.0).collect::<Vec<_>>();
    let (all, first) = (items(0..8192).collect::<Vec<_>>(), items(0..4096).collect::<Vec<_>>());
    COMPARED.set(0);
    let more = edited(items(0..4096), items(0..8192).chain(items(0..8192)), true);
    let fewer = edited(items(0..8192), items(4096..8192), false);
    let compared = COMPARED.get();
    assert_eq!((numbers(&more), numbers(&fewer)), (numbers(&all), numbers(&first)), "and in order");
    assert!(compared < 200 * 8192, "{compared}");
}
