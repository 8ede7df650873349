//! Each anomaly, planted into a history that is sound without it.

use std::collections::BTreeMap;

use kolk_wire_kinesis::sequence::SequenceNumber;

use super::repaired::{self, Everything, Loss};
use super::{Anomaly, check};
use crate::history::*;

const TOPIC: &str = "flights";

fn topic() -> Name {
    TOPIC.into()
}

/// A Kafka write of one record.
fn write(value: &str, partition: i32, again: Again, told: Told<i64>) -> What {
    What::Write(Write {
        topic: topic(),
        partition: Some(partition),
        again,
        records: vec![Record { key: None, value: value.to_owned() }],
        told: told.map(|offset| vec![Place::Offset(offset)]),
    })
}

fn acked(value: &str, partition: i32, offset: i64) -> What {
    write(value, partition, Again::Idempotent, Told::Ok(offset))
}

/// A Kinesis put of one record.
fn put(value: &str, key: &str, place: Option<(u32, i64)>) -> What {
    let place = place.map(|(shard, offset)| Place::Shard { shard, sequence: sequence(shard, offset) });
    What::Write(Write {
        topic: topic(),
        partition: None,
        again: Again::Never,
        records: vec![Record { key: Some(key.to_owned()), value: value.to_owned() }],
        told: place.map_or(Told::Unknown("closed".to_owned()), |place| Told::Ok(vec![place])),
    })
}

fn sequence(shard: u32, offset: i64) -> SequenceNumber {
    SequenceNumber::record(100 + u64::from(shard), shard, offset, 200)
}

fn records(values: &[&str], first: i64) -> Vec<(i64, String)> {
    (first..).zip(values.iter().map(|value| (*value).to_owned())).collect()
}

fn log(partition: i32, start: i64, values: &[&str]) -> What {
    let end = start + values.len() as i64;
    What::Log {
        topic: topic(),
        partition,
        told: Told::Ok(Whole { start, end, records: records(values, start) }),
    }
}

fn read(partition: i32, from: i64, values: &[(i64, &str)], next: i64, group: Option<&str>) -> What {
    What::Read {
        topic: topic(),
        partition,
        from,
        group: group.map(Into::into),
        told: Told::Ok(Fetched {
            records: values.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect(),
            next,
            end: Some(next),
        }),
    }
}

fn page(shard: u32, values: &[(i64, &str, &str)], end: Option<Vec<u32>>) -> Page {
    let seen = values.iter().map(|(offset, key, value)| Seen {
        sequence: sequence(shard, *offset),
        arrived_ms: 1000 + offset,
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    });
    Page { records: seen.collect(), end }
}

fn get(shard: u32, session: u64, from: From, values: &[(i64, &str, &str)], end: Option<Vec<u32>>) -> What {
    What::Get { stream: topic(), shard, session, from, told: Told::Ok(page(shard, values, end)) }
}

fn slice(shard: u32, values: &[(i64, &str, &str)]) -> What {
    What::Slice { stream: topic(), shard, told: Told::Ok(page(shard, values, None)) }
}

fn shard(id: u32, partition: i32, parents: &[u32], range: (u128, u128), is_closed: bool) -> Shard {
    Shard { id, partition: Some(partition), parents: parents.to_vec(), range, is_closed }
}

const HALF: u128 = 1 << 127;

/// One shard, and later its two halves.
fn split() -> Vec<Shard> {
    vec![
        shard(0, 0, &[], (0, u128::MAX), true),
        shard(1, 0, &[0], (0, HALF - 1), false),
        shard(2, 1, &[0], (HALF, u128::MAX), false),
    ]
}

fn shards(shards: Vec<Shard>) -> What {
    What::Shards { stream: topic(), told: Told::Ok(shards) }
}

fn whole_shard() -> What {
    shards(vec![shard(0, 0, &[], (0, u128::MAX), false)])
}

fn commit(offset: i64) -> What {
    What::Commit { group: "g".into(), offsets: BTreeMap::from([((topic(), 0), offset)]), told: Told::Ok(()) }
}

fn committed(offset: Option<i64>) -> What {
    let offsets = offset.map(|offset| ((topic(), 0), offset)).into_iter().collect();
    What::Committed { group: "g".into(), told: Told::Ok(offsets) }
}

fn create(name: &str, configs: &[(&str, &str)]) -> What {
    let configs = configs.iter().map(|(config, value)| ((*config).to_owned(), (*value).to_owned())).collect();
    What::Create { topic: name.into(), partitions: 1, configs, told: Told::Ok(()) }
}

fn alter(config: &str, value: Option<&str>, told: Told<()>) -> What {
    let changes = BTreeMap::from([(config.to_owned(), value.map(str::to_owned))]);
    What::Alter { topic: topic(), changes, told }
}

fn configs(configs: &[(&str, &str)]) -> What {
    let configs = configs.iter().map(|(config, value)| ((*config).to_owned(), (*value).to_owned())).collect();
    What::Configs { topic: topic(), told: Told::Ok(configs) }
}

fn topics(names: &[(&str, i32)]) -> What {
    let there = names.iter().map(|(name, partitions)| ((*name).to_owned(), *partitions)).collect();
    What::Topics { told: Told::Ok(there) }
}

fn starts(start: i64) -> What {
    What::Starts { topic: topic(), told: Told::Ok(BTreeMap::from([(0, start)])) }
}

fn ends(end: i64) -> What {
    What::Ends { topic: topic(), told: Told::Ok(BTreeMap::from([(0, end)])) }
}

fn trim(before: i64) -> What {
    What::Trim { topic: topic(), partition: 0, before, told: Told::Ok(before) }
}

fn of(operations: Vec<What>) -> History {
    let mut history = History::default();
    for what in operations {
        history.push("client", what);
    }
    history
}

fn names(history: &History) -> Vec<String> {
    check(history).iter().map(Anomaly::name).collect()
}

#[track_caller]
fn finds(operations: Vec<What>, expected: &[&str]) {
    let history = of(operations);
    assert_eq!(names(&history), expected, "{:#?}", check(&history));
}

#[test]
fn nothing_is_wrong_with_what_holds() {
    finds(
        vec![
            create(TOPIC, &[("retention.ms", "1000000")]),
            whole_shard(),
            acked("k0-0", 0, 0),
            write("k0-1", 0, Again::Idempotent, Told::Ok(1)),
            write("p0-0", 0, Again::Blindly, Told::Unknown("closed".to_owned())),
            read(0, 0, &[(0, "k0-0"), (1, "k0-1")], 2, Some("g")),
            commit(2),
            committed(Some(2)),
            put("n0-0", "a", Some((0, 2))),
            get(0, 1, From::Horizon, &[(0, "", "k0-0")], None),
            get(0, 1, From::On, &[(1, "", "k0-1"), (2, "a", "n0-0")], Some(vec![1, 2])),
            shards(split()),
            put("n0-1", "a", Some((1, 3))),
            alter("retention.ms", Some("2000000"), Told::Ok(())),
            configs(&[("retention.ms", "2000000")]),
            topics(&[(TOPIC, 2)]),
            starts(0),
            ends(4),
            log(0, 0, &["k0-0", "k0-1", "n0-0", "n0-1"]),
            log(1, 0, &[]),
            slice(0, &[(0, "", "k0-0"), (1, "", "k0-1"), (2, "a", "n0-0")]),
            slice(1, &[(3, "a", "n0-1")]),
            slice(2, &[]),
        ],
        &[],
    );
}

#[test]
fn an_acknowledged_write_that_is_gone() {
    finds(vec![acked("k0-0", 0, 0), acked("k0-1", 0, 1), log(0, 0, &["k0-0"])], &["LostWrite"]);
    // What was deleted on request is not lost.
    finds(vec![acked("k0-0", 0, 0), acked("k0-1", 0, 1), trim(1), log(0, 1, &["k0-1"])], &[]);
    // Nor is a write that nobody was told of.
    finds(vec![write("k0-0", 0, Again::Never, Told::Unknown(String::new())), log(0, 0, &[])], &[]);
    let somewhere = |value: &str| {
        let What::Write(mut write) = acked(value, 0, 0) else { unreachable!() };
        write.told = Told::Ok(vec![Place::Somewhere]);
        What::Write(write)
    };
    finds(vec![somewhere("k0-0"), log(0, 0, &[])], &["LostDuplicate"]);
    finds(vec![somewhere("k0-0"), log(0, 0, &["k0-0"])], &[]);
    finds(vec![whole_shard(), put("n0-0", "a", Some((0, 0))), log(0, 0, &[]), slice(0, &[])], &["LostWrite"]);
}

#[test]
fn a_record_that_was_read_and_is_gone() {
    finds(
        vec![
            write("k0-0", 0, Again::Idempotent, Told::Unknown(String::new())),
            read(0, 0, &[(0, "k0-0")], 1, None),
            log(0, 0, &[]),
        ],
        &["LostRead", "EndWentBack"],
    );
}

#[test]
fn a_record_that_is_there_twice() {
    finds(vec![acked("k0-0", 0, 0), log(0, 0, &["k0-0", "k0-0"])], &["Duplicate"]);
    finds(vec![write("p0-0", 0, Again::Blindly, Told::Ok(0)), log(0, 0, &["p0-0", "p0-0"])], &[]);
}

#[test]
fn two_values_at_one_offset() {
    finds(
        vec![
            acked("k0-0", 0, 0),
            write("k1-0", 0, Again::Idempotent, Told::Unknown(String::new())),
            read(0, 0, &[(0, "k1-0")], 1, None),
        ],
        &["TwoValues"],
    );
}

#[test]
fn values_that_nobody_wrote_or_that_were_refused() {
    finds(vec![log(0, 0, &["k9-9"])], &["NobodyWrote"]);
    let refused = write("k0-0", 0, Again::Idempotent, Told::Refused("INVALID_RECORD".to_owned()));
    finds(vec![refused, log(0, 0, &["k0-0"])], &["RefusedButThere"]);
    let refused = Told::Refused("OUT_OF_ORDER_SEQUENCE_NUMBER".to_owned());
    finds(vec![write("k0-0", 0, Again::Idempotent, refused), log(0, 0, &[])], &["SequenceRefused"]);
}

#[test]
fn a_writers_records_out_of_order() {
    finds(vec![acked("k0-0", 0, 1), acked("k0-1", 0, 0), log(0, 0, &["k0-1", "k0-0"])], &["OrderInverted"]);
    finds(
        vec![
            whole_shard(),
            put("n0-0", "a", Some((0, 1))),
            put("n0-1", "a", Some((0, 0))),
            log(0, 0, &["n0-1", "n0-0"]),
            slice(0, &[(0, "a", "n0-1"), (1, "a", "n0-0")]),
        ],
        &["OrderInverted"],
    );
    // A producer that gave up on a batch goes on as another one: what it left under way may come late.
    let given_up = || write("k0-0", 0, Again::Idempotent, Told::Unknown("closed".to_owned()));
    let late = || log(0, 0, &["k0-1", "k0-0"]);
    finds(vec![given_up(), acked("k0-1", 0, 0), late()], &[]);
    let mut same_time = of(vec![given_up(), acked("k0-1", 0, 0), late()]);
    same_time.operations[0].ended = u64::MAX;
    assert_eq!(names(&same_time), ["OrderInverted"]);
}

#[test]
fn an_offset_without_a_record() {
    let whole = Whole { start: 0, end: 2, records: vec![(1, "k0-0".to_owned())] };
    let holed = What::Log { topic: topic(), partition: 0, told: Told::Ok(whole) };
    finds(vec![acked("k0-0", 0, 1), holed], &["Gap"]);
}

#[test]
fn polls_that_go_back_or_skip() {
    let three = || vec![acked("k0-0", 0, 0), acked("k0-1", 0, 1), acked("k0-2", 0, 2)];
    let with = |what: What| three().into_iter().chain([what]).collect::<Vec<_>>();
    finds(with(read(0, 1, &[(0, "k0-0")], 1, None)), &["PollWentBack"]);
    finds(with(read(0, 0, &[(0, "k0-0"), (2, "k0-2")], 3, None)), &["PollSkipped"]);
    finds(with(read(0, 0, &[(0, "k0-0"), (1, "k0-1")], 3, None)), &["PollSkipped"]);
    finds(with(read(0, 2, &[(2, "k0-2")], 3, None)), &[]);
    // Over what was deleted a reader may skip.
    let mut trimmed = with(trim(2));
    trimmed.push(read(0, 0, &[(2, "k0-2")], 3, None));
    finds(trimmed, &[]);
    // Not over what was deleted only later.
    let mut too_early = with(read(0, 0, &[(2, "k0-2")], 3, None));
    too_early.extend([trim(2), log(0, 2, &["k0-2"])]);
    finds(too_early, &["PollSkipped"]);
    let refused = Told::Refused("CORRUPT_MESSAGE".to_owned());
    let unreadable = What::Read { topic: topic(), partition: 0, from: 0, group: None, told: refused };
    finds(with(unreadable), &["Unreadable"]);
}

/// A group that read the trimmed topic could skip whatever the log had lost by the end of the run: its polls were written
/// down as if each had begun where it happened to find records, and everything before the last start was let pass.
#[test]
fn a_group_that_skips_on_a_topic_with_retention() {
    // The stamps of these operations are 0 to 11 ms: the first two records are written at 2 and 4 ms, the read ends at 9.
    let history = |retention: &str, from, values: &[(i64, &str)]| {
        of(vec![
            create(TOPIC, &[("retention.ms", retention)]),
            acked("k0-0", 0, 0),
            acked("k0-1", 0, 1),
            acked("k0-2", 0, 2),
            read(0, from, values, 3, Some("g")),
            log(0, 2, &["k0-2"]),
        ])
    };
    let skips = || -> Vec<(i64, &str)> { vec![(2, "k0-2")] };
    // Expired by then, both of them, one of them, none.
    assert_eq!(names(&history("5", 0, &skips())), [""; 0]);
    assert_eq!(names(&history("6", 0, &skips())), ["PollSkipped"]);
    assert_eq!(names(&history("9", 0, &skips())), ["PollSkipped", "TrimmedTooFar"]);
    // What is there in the end was never gone.
    assert_eq!(names(&history("1", 2, &[])), ["PollSkipped"]);
    assert_eq!(names(&history("1", 3, &skips())), ["PollWentBack"]);
    let mut jumped = history("9", 0, &skips());
    jumped.clock_slack_ms = 2000;
    assert_eq!(names(&jumped), [""; 0]);
}

#[test]
fn pages_that_go_back_or_skip() {
    let key = "a";
    let all = [(0, key, "n0-0"), (1, key, "n0-1"), (2, key, "n0-2")];
    let with = |gets: Vec<What>| {
        let mut history = vec![whole_shard()];
        history.extend(all.iter().map(|(offset, key, value)| put(value, key, Some((0, *offset)))));
        history.extend(gets);
        history.extend([log(0, 0, &["n0-0", "n0-1", "n0-2"]), slice(0, &all)]);
        history
    };
    let one = |from| with(vec![get(0, 1, from, &all[1..], None)]);
    finds(one(From::Horizon), &["PollSkipped"]);
    finds(one(From::At(sequence(0, 1))), &[]);
    finds(one(From::At(sequence(0, 0))), &["PollSkipped"]);
    finds(one(From::At(sequence(0, 2))), &["PollWentBack"]);
    finds(one(From::After(sequence(0, 0))), &[]);
    finds(one(From::After(sequence(0, 1))), &["PollWentBack"]);
    finds(one(From::Since(1001)), &[]);
    finds(one(From::Since(1000)), &["PollSkipped"]);
    finds(one(From::Since(1002)), &["PollWentBack"]);
    finds(
        with(vec![get(0, 1, From::Horizon, &all[..1], None), get(0, 1, From::On, &all[2..], None)]),
        &["PollSkipped"],
    );
    finds(
        with(vec![get(0, 1, From::Horizon, &all[..2], None), get(0, 1, From::On, &all[1..], None)]),
        &["PollWentBack"],
    );
    // Behind the latest record: what was put after that page must come.
    let latest = |first: usize| {
        vec![
            whole_shard(),
            put("n0-0", key, Some((0, 0))),
            get(0, 1, From::Latest, &[], None),
            put("n0-1", key, Some((0, 1))),
            put("n0-2", key, Some((0, 2))),
            get(0, 1, From::On, &all[first..], None),
            log(0, 0, &["n0-0", "n0-1", "n0-2"]),
            slice(0, &all),
        ]
    };
    finds(latest(1), &[]);
    finds(latest(2), &["PollSkipped"]);
}

#[test]
fn edges_that_go_back() {
    finds(vec![ends(3), ends(2)], &["EndWentBack"]);
    finds(vec![trim(3), starts(3), starts(2)], &["StartWentBack", "TrimForgotten"]);
    // Answers that overlapped may come in any order.
    let mut history = of(vec![ends(3), ends(2)]);
    history.operations[0].ended = 10;
    assert_eq!(check(&history), []);
}

#[test]
fn committed_offsets_that_go_back_or_lead_over_unread_records() {
    finds(vec![read(0, 0, &[], 0, None), commit(3), committed(Some(2))], &["CommittedWentBack"]);
    finds(vec![commit(3), committed(None)], &["CommittedWentBack"]);
    finds(vec![committed(Some(3)), committed(Some(2))], &["CommittedWentBack"]);
    let written = || vec![acked("k0-0", 0, 0), acked("k0-1", 0, 1)];
    let with = |what: What| written().into_iter().chain([what, commit(2)]).collect::<Vec<_>>();
    finds(with(read(0, 0, &[(0, "k0-0"), (1, "k0-1")], 2, Some("g"))), &[]);
    finds(with(read(0, 1, &[(1, "k0-1")], 2, Some("g"))), &["CommittedUnread"]);
    finds(with(read(0, 0, &[(0, "k0-0"), (1, "k0-1")], 2, Some("other"))), &["CommittedUnread"]);
}

#[test]
fn sequence_numbers_that_do_not_grow_or_change() {
    let swapped = vec![
        whole_shard(),
        put("n0-0", "a", Some((0, 0))),
        put("n1-0", "a", Some((0, 1))),
        log(0, 0, &["n0-0", "n1-0"]),
        slice(0, &[(1, "a", "n1-0"), (0, "a", "n0-0")]),
    ];
    finds(swapped, &["SequenceNotIncreasing"]);
    // The first child's numbers begin below its parent's last one.
    let mut seen = page(1, &[(1, "", "k1-0")], None);
    seen.records[0].sequence = SequenceNumber::record(99, 1, 1, 200);
    let child = vec![
        shards(split()),
        acked("k0-0", 0, 0),
        acked("k1-0", 0, 1),
        log(0, 0, &["k0-0", "k1-0"]),
        slice(0, &[(0, "a", "k0-0")]),
        What::Slice { stream: topic(), shard: 1, told: Told::Ok(seen) },
        slice(2, &[]),
    ];
    finds(child, &["SequenceNotIncreasing"]);
    let mut seen = page(0, &[(0, "a", "n0-0")], None);
    seen.records[0].sequence = SequenceNumber::record(100, 0, 0, 201);
    let renamed = vec![
        whole_shard(),
        put("n0-0", "a", Some((0, 0))),
        log(0, 0, &["n0-0"]),
        What::Slice { stream: topic(), shard: 0, told: Told::Ok(seen) },
    ];
    finds(renamed, &["SequenceChanged"]);
}

#[test]
fn records_lost_or_doubled_over_a_split() {
    let with = |slices: Vec<What>| {
        let mut history = vec![
            shards(split()),
            acked("k0-0", 0, 0),
            acked("k0-1", 0, 1),
            log(0, 0, &["k0-0", "k0-1"]),
            log(1, 0, &[]),
        ];
        history.extend(slices);
        history
    };
    let (first, second) = ((0, "", "k0-0"), (1, "", "k0-1"));
    finds(with(vec![slice(0, &[first]), slice(1, &[second]), slice(2, &[])]), &[]);
    finds(with(vec![slice(0, &[first]), slice(1, &[]), slice(2, &[])]), &["InNoShard"]);
    finds(with(vec![slice(0, &[first, second]), slice(1, &[second]), slice(2, &[])]), &["InManyShards"]);
}

#[test]
fn a_record_in_the_shard_of_another_key() {
    // MD5("a") begins with 0c: the lower half.
    let with = |shard: u32| {
        let partition = i32::try_from(shard).expect("a small number") - 1;
        vec![
            shards(split()),
            put("n0-0", "a", Some((shard, 0))),
            log(partition, 0, &["n0-0"]),
            slice(0, &[]),
            slice(shard, &[(0, "a", "n0-0")]),
        ]
    };
    finds(with(1), &[]);
    finds(with(2), &["WrongShard"]);
}

#[test]
fn a_parent_whose_end_came_too_early() {
    let with = |given: &[(i64, &str, &str)]| {
        vec![
            shards(split()),
            put("n0-0", "a", Some((0, 0))),
            put("n0-1", "a", Some((0, 1))),
            get(0, 1, From::Horizon, given, Some(vec![1, 2])),
            log(0, 0, &["n0-0", "n0-1"]),
            slice(0, &[(0, "a", "n0-0"), (1, "a", "n0-1")]),
            slice(1, &[]),
        ]
    };
    finds(with(&[(0, "a", "n0-0"), (1, "a", "n0-1")]), &[]);
    finds(with(&[(0, "a", "n0-0")]), &["ParentNotDrained"]);
    finds(with(&[]), &["ParentNotDrained"]);
}

#[test]
fn shards_that_are_forgotten_reopened_or_leave_holes() {
    finds(vec![shards(split()), whole_shard()], &["ShardChanged", "ShardForgotten", "ShardForgotten"]);
    finds(vec![whole_shard(), shards(split())], &[]);
    let moved = split().into_iter().map(|shard| Shard { partition: Some(5), ..shard }).collect();
    finds(vec![shards(split()), shards(moved)], &["ShardChanged"; 3]);
    finds(vec![shards(split()[..2].to_vec())], &["HashSpaceNotTiled"]);
}

#[test]
fn topics_that_are_forgotten_or_return() {
    let delete = |name: &str| What::Delete { topic: name.into(), told: Told::Ok(()) };
    finds(vec![create("t", &[]), topics(&[])], &["TopicForgotten"]);
    finds(vec![create("t", &[]), delete("t"), topics(&[])], &[]);
    finds(vec![create("t", &[]), delete("t"), topics(&[("t", 1)])], &["TopicReturned"]);
    finds(vec![create("t", &[]), delete("t"), create("t#2", &[]), topics(&[("t", 1)])], &[]);
    finds(vec![create("t", &[]), delete("t"), create("t#2", &[]), topics(&[])], &["TopicForgotten"]);
    let maybe = What::Delete { topic: "t".into(), told: Told::Unknown(String::new()) };
    finds(vec![create("t", &[]), maybe.clone(), topics(&[])], &[]);
    finds(vec![create("t", &[]), maybe, topics(&[("t", 1)])], &[]);
    finds(vec![topics(&[("t", 3)]), topics(&[("t", 2)])], &["PartitionsForgotten"]);
}

#[test]
fn configs_that_are_forgotten() {
    let unknown = || Told::Unknown(String::new());
    let set = |value| alter("retention.ms", Some(value), Told::Ok(()));
    let there = |value| configs(&[("retention.ms", value)]);
    finds(vec![create(TOPIC, &[("retention.ms", "1")]), configs(&[])], &["ConfigForgotten"]);
    finds(vec![set("1"), set("2"), there("2")], &[]);
    finds(vec![set("1"), set("2"), there("1")], &["ConfigForgotten"]);
    finds(vec![set("1"), alter("retention.ms", Some("2"), unknown()), there("1")], &[]);
    finds(vec![set("1"), alter("retention.ms", Some("2"), unknown()), there("2")], &[]);
    finds(vec![set("1"), alter("retention.ms", None, Told::Ok(())), configs(&[])], &[]);
    finds(vec![set("1"), alter("retention.ms", None, Told::Ok(())), there("1")], &["ConfigForgotten"]);
}

#[test]
fn logs_that_begin_too_late_or_too_early() {
    let two = || vec![acked("k0-0", 0, 0), acked("k0-1", 0, 1)];
    let with = |more: Vec<What>| two().into_iter().chain(more).collect::<Vec<_>>();
    finds(with(vec![starts(1)]), &["TrimmedTooFar"]);
    finds(with(vec![trim(1), starts(1)]), &[]);
    finds(with(vec![trim(1), starts(2)]), &["TrimmedTooFar"]);
    finds(with(vec![trim(1), starts(0)]), &["TrimForgotten"]);
    // By time: the stamps of these operations are 0 to 5 ms.
    let retention = |ms: &str| {
        let mut history = vec![create(TOPIC, &[("retention.ms", ms)])];
        history.extend(with(vec![starts(1)]));
        of(history)
    };
    assert_eq!(names(&retention("1000")), ["TrimmedTooFar"]);
    assert_eq!(names(&retention("1")), [""; 0]);
    let mut jumped = retention("1000");
    jumped.clock_slack_ms = 2000;
    assert_eq!(names(&jumped), [""; 0]);
}

#[test]
fn producer_ids_and_replays() {
    let id = |id| What::ProducerId { told: Told::Ok(id) };
    finds(vec![id(1), id(2)], &[]);
    finds(vec![id(1), id(1)], &["ProducerIdTwice"]);
    finds(vec![What::Replay { frame: 7, differs: None }], &[]);
    finds(vec![What::Replay { frame: 7, differs: Some("lane 3".to_owned()) }], &["ReplayDiffers"]);
}

/// What a server on a copy shows against what was done while the copy was made.
#[track_caller]
fn copied(during: Vec<What>, after: Vec<What>, expected: &[&str]) {
    let mut history = of(vec![create(TOPIC, &[]), acked("k0-0", 0, 0), read(0, 0, &[(0, "k0-0")], 1, None)]);
    let mut copy =
        history.push("operator", What::BackUp { directory: "copy".into(), told: Told::Ok(()) }).clone();
    for what in during {
        history.push("client", what);
    }
    copy.ended = history.operations.last().expect("the copy itself").ended + 1;
    history.push("client", acked("k0-9", 0, 9)).began = copy.ended + 1;
    let mut shown = history.as_copied(&copy);
    let first = copy.ended + 1;
    for (at, what) in (0..).zip(after) {
        let event = first + 2 * at;
        let read = shown.push("copy", what);
        (read.began, read.ended) = (event, event + 1);
    }
    assert_eq!(names(&shown), expected, "{:#?}", check(&shown));
}

#[test]
fn copies_have_what_was_acknowledged_before_them() {
    let one = || vec![topics(&[(TOPIC, 1)]), log(0, 0, &["k0-0"])];
    copied(vec![], one(), &[]);
    copied(vec![], vec![topics(&[(TOPIC, 1)]), log(0, 0, &[])], &["LostWrite", "LostRead", "EndWentBack"]);
    copied(vec![], vec![topics(&[]), log(0, 0, &["k0-0"])], &["TopicForgotten"]);
    // What went on meanwhile is there or not; what came later is not.
    let meanwhile = || vec![acked("k0-1", 0, 1), read(0, 1, &[(1, "k0-1")], 2, Some("g")), commit(2)];
    copied(meanwhile(), one(), &[]);
    copied(meanwhile(), vec![topics(&[(TOPIC, 1)]), log(0, 0, &["k0-0", "k0-1"])], &[]);
    copied(meanwhile(), vec![log(0, 0, &["k0-0", "k0-9"])], &["NobodyWrote"]);
    copied(vec![What::Delete { topic: topic(), told: Told::Ok(()) }], vec![topics(&[])], &[]);
}

/// What is there after a repair against what was there before the damage.
#[track_caller]
fn repaired(after: Vec<What>, loss: Loss, expected: &[&str]) {
    let before = of(sound_log());
    let after = of(after);
    let (before, after) = (Everything::read_by("client", &before), Everything::read_by("client", &after));
    let found = repaired::check(&before, &after, &loss, "trimmed");
    assert_eq!(found.iter().map(Anomaly::name).collect::<Vec<_>>(), expected, "{found:#?}");
}

fn sound_log() -> Vec<What> {
    vec![
        topics(&[(TOPIC, 1)]),
        configs(&[("retention.ms", "1")]),
        log(0, 0, &["k0-0", "k0-1", "k0-2"]),
        whole_shard(),
        slice(0, &[(0, "", "k0-0"), (1, "", "k0-1"), (2, "", "k0-2")]),
        committed(Some(2)),
    ]
}

/// The sound log with other answers in the place of some.
fn but(others: Vec<What>) -> Vec<What> {
    sound_log().into_iter().chain(others).collect()
}

#[test]
fn repairs_lose_what_they_tell() {
    let lost = |first, last| Loss { records: vec![(topic(), 0, first, last)], ..Loss::default() };
    repaired(sound_log(), Loss::default(), &[]);
    let hole = || {
        let records = vec![(0, "k0-0".to_owned()), (2, "k0-2".to_owned())];
        let log =
            What::Log { topic: topic(), partition: 0, told: Told::Ok(Whole { start: 0, end: 3, records }) };
        but(vec![log, slice(0, &[(0, "", "k0-0"), (2, "", "k0-2")])])
    };
    repaired(hole(), lost(1, 1), &[]);
    repaired(hole(), Loss::default(), &["LostByRepair", "ChangedByRepair"]);
    repaired(sound_log(), lost(1, 1), &["NotLost"]);
    repaired(but(vec![log(0, 0, &["k0-0", "k0-9", "k0-2"])]), Loss::default(), &["ChangedByRepair"]);
    // The last records without a word, and with one.
    let short = || but(vec![log(0, 0, &["k0-0"]), slice(0, &[(0, "", "k0-0")])]);
    repaired(short(), Loss::default(), &["ChangedByRepair", "ChangedByRepair"]);
    repaired(short(), Loss { decisions: true, ..Loss::default() }, &[]);
    // What was decided, without a word and with one.
    for other in [topics(&[]), configs(&[]), committed(None), shards(split())] {
        repaired(but(vec![other.clone()]), Loss::default(), &["ChangedByRepair"]);
        repaired(but(vec![other]), Loss { decisions: true, ..Loss::default() }, &[]);
    }
    // Whatever is lost, nothing is there that was not.
    let more = but(vec![log(0, 0, &["k0-0", "k0-1", "k0-2", "k0-3"])]);
    repaired(more, Loss { decisions: true, ..Loss::default() }, &["ChangedByRepair", "ChangedByRepair"]);
}

#[test]
fn an_anomaly_is_named_and_told() {
    let found = check(&of(vec![acked("k0-0", 0, 0), log(0, 0, &[])]));
    let told = super::listed(&found);
    assert!(told.starts_with("LostWrite: flights partition 0: k0-0 was acknowledged at offset 0"), "{told}");
}
