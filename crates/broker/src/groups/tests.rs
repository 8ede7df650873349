//! Groups in time: delays, sessions, lateness, votes, restarts. The clock is tokio's, paused: it jumps when all wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kolk_engine::door::{Door, real};
use kolk_engine::memory::{MemoryEngine, MemoryOptions};
use kolk_engine::state::{Command, Membership, Outcome, Refusal};
use kolk_engine::{PartitionId, TopicId, TopicName};
use kolk_wire_kafka::codec::Message;
use kolk_wire_kafka::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use tokio::time::{Instant, sleep};

use super::seats::{ID_BYTES_MAX, Seats};
use super::{GroupError, JoinRequest, Joined, Leaving, Phase, SyncRequest, Synced};
use crate::{Broker, Class, Permit, Settings};

fn door() -> Door {
    real::door(real::DiskOptions::default())
}

fn broker() -> Broker {
    let door = door();
    let engine = Arc::new(MemoryEngine::new(door.clone(), MemoryOptions::default()));
    Broker::new(engine, door, Settings::default())
}

/// What a request that is here holds.
fn held(broker: &Broker) -> Permit {
    broker.admission().try_admit(1024, Class::Control).expect("there is room")
}

fn request(member_id: &str, protocols: &[&str]) -> JoinRequest {
    JoinRequest {
        group: "g".to_owned(),
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "c".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: "consumer".to_owned(),
        protocols: protocols
            .iter()
            .map(|name| ((*name).to_owned(), Bytes::from(format!("{name}!"))))
            .collect(),
        requires_known_id: false,
        can_skip_assignment: true,
    }
}

type Answer<T> = tokio::task::JoinHandle<Result<T, GroupError>>;

fn join(broker: &Broker, request: JoinRequest) -> Answer<Joined> {
    let broker = broker.clone();
    #[allow(clippy::disallowed_methods, reason = "a test is its own client")]
    tokio::spawn(async move { broker.join_group(request, held(&broker)).await })
}

fn sync_request(joined: &Joined, assignments: &[(&str, &str)]) -> SyncRequest {
    let assignments = assignments.iter();
    SyncRequest {
        group: "g".to_owned(),
        member_id: joined.member_id.clone(),
        instance_id: None,
        generation: joined.generation,
        protocol_type: None,
        protocol: None,
        assignments: assignments
            .map(|(member, assignment)| ((*member).to_owned(), Bytes::copy_from_slice(assignment.as_bytes())))
            .collect(),
    }
}

async fn sync(broker: &Broker, joined: &Joined) -> Result<Synced, GroupError> {
    broker.sync_group(sync_request(joined, &[(&joined.member_id, "a")]), held(broker)).await
}

async fn phase(broker: &Broker) -> (Phase, usize) {
    let group = broker.describe_groups(&["g"]).await.unwrap().pop().unwrap();
    let group = group.unwrap().expect("the group is there");
    (group.phase, group.members.len())
}

/// One member, alone and stable.
async fn settled(broker: &Broker) -> Joined {
    let joined = broker.join_group(request("", &["range"]), held(broker)).await.unwrap();
    sync(broker, &joined).await.unwrap();
    joined
}

#[tokio::test(start_paused = true)]
async fn the_first_rebalance_waits_for_more_members() {
    let broker = broker();
    let start = Instant::now();
    let first = join(&broker, request("", &["range"]));
    sleep(Duration::from_millis(2900)).await;
    let second = join(&broker, request("", &["range"]));
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    // The second one came just before the end, so the wait began anew.
    assert_eq!(start.elapsed().as_secs(), 6);
    assert_eq!((first.generation, second.generation), (1, 1));
    assert_eq!(first.members.len() + second.members.len(), 2);
    assert_eq!(first.leader, second.leader);
}

/// Each answer to a leader had a list of all members of its own, in no budget while it waited for room: half a MiB on every
/// connection that asked again.
#[tokio::test(start_paused = true)]
async fn all_that_are_told_of_a_generation_share_one_list() {
    let broker = broker();
    let leader = broker.join_group(request("", &["range"]), held(&broker)).await.unwrap();
    let asks_again = || request(&leader.member_id, &["range"]);
    let again = broker.join_group(asks_again(), held(&broker)).await.unwrap();
    assert_eq!(again, leader);
    assert!(Arc::ptr_eq(&again.members, &leader.members));
    let told = broker.joined_members("g", &leader.member_id, 1).unwrap();
    assert!(Arc::ptr_eq(&told, &leader.members));

    let other = join(&broker, request("", &["range"]));
    sleep(Duration::from_millis(1)).await;
    let (again, other) = (broker.join_group(asks_again(), held(&broker)).await.unwrap(), other.await);
    assert_eq!((again.generation, again.members.len(), leader.members.len()), (2, 2, 1));
    let told = |member: &str, generation| broker.joined_members("g", member, generation);
    assert!(Arc::ptr_eq(&told(&leader.member_id, 2).unwrap(), &again.members));
    assert_eq!(told(&leader.member_id, 1), Err(GroupError::NotAvailable), "that one is over");
    assert_eq!(
        told(&other.unwrap().unwrap().member_id, 2),
        Err(GroupError::NotAvailable),
        "it does not lead"
    );
}

#[tokio::test(start_paused = true)]
async fn joiners_without_end_do_not_hold_the_first_rebalance_for_ever() {
    let broker = broker();
    let start = Instant::now();
    let hasty = |_| JoinRequest { rebalance_timeout: Duration::from_secs(10), ..request("", &["range"]) };
    let mut answers = Vec::new();
    for round in 0..30 {
        answers.push(join(&broker, hasty(round)));
        sleep(Duration::from_secs(1)).await;
        if answers[0].is_finished() {
            break;
        }
    }
    let waited = start.elapsed().as_secs();
    assert!((9..=12).contains(&waited), "about the rebalance timeout, not {waited} s");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_falls_silent_is_taken_out() {
    let broker = broker();
    let joined = settled(&broker).await;
    sleep(Duration::from_secs(9)).await;
    assert_eq!(broker.heartbeat("g", &joined.member_id, None, 1), Ok(()));
    sleep(Duration::from_secs(9)).await;
    assert_eq!(phase(&broker).await, (Phase::Stable, 1));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(phase(&broker).await, (Phase::Empty, 0));
    assert_eq!(broker.heartbeat("g", &joined.member_id, None, 1), Err(GroupError::UnknownMember));
    // It is out of memory now; its generation is stored and goes on from there.
    assert!(broker.groups().phases().is_empty());
    assert_eq!(settled(&broker).await.generation, 3);
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_waits_so_long_and_no_longer_for_a_member() {
    let broker = broker();
    let late = settled(&broker).await;
    let start = Instant::now();
    let new = join(&broker, request("", &["range"]));
    for _ in 0..7 {
        sleep(Duration::from_secs(8)).await;
        // It lives, it only does not join.
        assert_eq!(broker.heartbeat("g", &late.member_id, None, 1), Err(GroupError::RebalanceInProgress));
    }
    let joined = new.await.unwrap().unwrap();
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!((joined.generation, joined.members.len()), (2, 1));
    assert_eq!(joined.leader, joined.member_id);
    assert_eq!(broker.heartbeat("g", &late.member_id, None, 1), Err(GroupError::UnknownMember));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_gives_no_assignment_is_taken_out() {
    let broker = broker();
    let first = join(&broker, request("", &["range"]));
    let second = join(&broker, request("", &["range"]));
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    let (leader, follower) = if first.leader == first.member_id { (first, second) } else { (second, first) };
    let waiting = {
        let broker = broker.clone();
        let request = sync_request(&follower, &[]);
        #[allow(clippy::disallowed_methods, reason = "a test is its own client")]
        tokio::spawn(async move { broker.sync_group(request, held(&broker)).await })
    };
    let start = Instant::now();
    while !waiting.is_finished() {
        let beat = broker.heartbeat("g", &leader.member_id, None, 1);
        assert!(beat.is_ok() || waiting.is_finished() || start.elapsed().as_secs() >= 60, "{beat:?}");
        sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(waiting.await.unwrap(), Err(GroupError::RebalanceInProgress));
    assert_eq!(broker.heartbeat("g", &leader.member_id, None, 1), Err(GroupError::UnknownMember));
    let again = broker.join_group(request(&follower.member_id, &["range"]), held(&broker)).await.unwrap();
    assert_eq!((again.generation, again.leader), (2, follower.member_id));
}

/// Members live outside the log's state: joining again and again must not fill the memory. Who finds no room is told to come
/// again, and not that the group is full, at which Java's consumers end.
#[tokio::test(start_paused = true)]
async fn members_without_end_are_put_off_until_others_are_gone() {
    let broker = broker();
    let large = |group: &str| JoinRequest {
        group: group.to_owned(),
        instance_id: Some("i".into()),
        protocols: vec![("range".to_owned(), Bytes::from(vec![0; 40 << 20]))],
        ..request("", &["range"])
    };
    let first = join(&broker, large("g"));
    sleep(Duration::from_millis(1)).await;
    let second = broker.join_group(large("other"), held(&broker)).await;
    assert_eq!(second, Err(GroupError::NotAvailable));
    let small = join(&broker, JoinRequest { group: "small".to_owned(), ..request("", &["range"]) });
    let third = join(&broker, large("g"));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(
        first.await.unwrap(),
        Err(GroupError::FencedInstance),
        "it took the place, and no second seat"
    );
    let leaving = Leaving { member_id: String::new(), instance_id: Some("i".to_owned()) };
    assert_eq!(broker.leave_group("g", &[leaving]).await.unwrap(), [Ok(())]);
    assert_eq!(third.await.unwrap(), Err(GroupError::UnknownMember));
    let later = join(&broker, large("other"));
    sleep(Duration::from_secs(1)).await;
    assert!(!later.is_finished(), "there is room again");
    later.abort();
    assert!(small.await.unwrap().is_ok(), "others go on");
}

/// A rejoin took a second seat before it gave the first one back: members with long subscriptions found the memory full at
/// half of what it holds.
#[test]
fn a_member_that_joins_again_pays_the_difference() {
    let seats = Seats::default();
    let large = |mib: usize| JoinRequest {
        protocols: vec![("range".to_owned(), Bytes::from(vec![0; mib << 20]))],
        ..request("m", &["range"])
    };
    let mut seat = seats.take(&large(40));
    assert!(seats.change(&mut seat, &large(50)));
    assert!(seats.take(&large(20)).is_none());
    assert!(!seats.change(&mut seat, &large(70)));
    assert!(seats.change(&mut seat, &large(1)), "what did not fit has changed nothing");
    let other = seats.take(&large(60));
    assert!(other.is_some());
    // A member that was there before the last start has none.
    let mut none = None;
    assert!(!seats.change(&mut none, &large(10)));
    drop(other);
    assert!(seats.change(&mut none, &large(10)));
    drop((seat, none));
    assert!(seats.take(&large(63)).is_some(), "all was given back");
}

/// 31,000 ids given out for half an hour each took the memory of all members: whoever joined, or was in and joined again,
/// was told that its group was full.
#[tokio::test(start_paused = true)]
async fn ids_that_nobody_uses_are_forgotten_before_anybody_is_refused() {
    let broker = broker();
    let member = settled(&broker).await.member_id;
    let ask = async |group: String| {
        let session_timeout = Duration::from_secs(1800);
        let request =
            JoinRequest { group, session_timeout, requires_known_id: true, ..request("", &["range"]) };
        match broker.join_group(request.clone(), held(&broker)).await {
            Err(GroupError::MemberIdRequired { member }) => JoinRequest { member_id: member, ..request },
            other => panic!("a dynamic member joins in two steps, not {other:?}"),
        }
    };
    let first = ask("n0".to_owned()).await;
    let mut given = Vec::new();
    for n in 0..20_000 {
        let last = ask(format!("n{}", n % 100)).await;
        given.push((broker.groups().seats().given(), last));
    }
    let most = ID_BYTES_MAX / 512;
    assert!(given.iter().all(|(count, _)| *count <= most), "the ids have a bound");
    assert_eq!(broker.join_group(first, held(&broker)).await, Err(GroupError::UnknownMember), "joins anew");
    let (_, last) = given.pop().unwrap();
    let waiting = join(&broker, last);
    // A rebalance waits for ids of its own group only as long as they are expected.
    let second = ask("g".to_owned()).await;
    let second = join(&broker, second);
    sleep(Duration::from_millis(10)).await;
    let again = broker.join_group(request(&member, &["range"]), held(&broker)).await.unwrap();
    assert_eq!((again.generation, second.await.unwrap().unwrap().generation), (2, 2));
    assert!(!waiting.is_finished());
    waiting.abort();
}

/// Its session began with its second request, though it can send no heartbeat before the first answer: in a rebalance longer
/// than its session it was thrown out while it waited.
#[tokio::test(start_paused = true)]
async fn a_new_member_that_asks_again_is_waited_for_as_long() {
    let broker = broker();
    let old = settled(&broker).await.member_id;
    let asked = JoinRequest { requires_known_id: true, ..request("", &["range"]) };
    let Err(GroupError::MemberIdRequired { member }) = broker.join_group(asked, held(&broker)).await else {
        panic!("a dynamic member joins in two steps")
    };
    let first = join(&broker, request(&member, &["range"]));
    sleep(Duration::from_secs(1)).await;
    let second = join(&broker, request(&member, &["range"]));
    assert_eq!(
        first.await.unwrap(),
        Err(GroupError::UnknownMember),
        "the client asked on another connection"
    );
    for _ in 0..6 {
        sleep(Duration::from_secs(5)).await;
        assert_eq!(broker.heartbeat("g", &old, None, 1), Err(GroupError::RebalanceInProgress));
    }
    broker.join_group(request(&old, &["range"]), held(&broker)).await.unwrap();
    assert_eq!(second.await.unwrap().unwrap().generation, 2);
}

/// One leader's assignments could take the memory of all groups. Now its own group hears of it, in Kafka's words, and others
/// go on; so does the group itself with less.
#[tokio::test(start_paused = true)]
async fn a_group_whose_assignments_are_too_large_fails_alone() {
    let broker = broker();
    let joined = broker.join_group(request("", &["range"]), held(&broker)).await.unwrap();
    let large = "a".repeat(2 << 20);
    let assigned = sync_request(&joined, &[(&joined.member_id, &large)]);
    let refused = broker.sync_group(assigned, held(&broker)).await;
    let too_large =
        |refusal: &Refusal| matches!(refusal, Refusal::MembershipTooLarge { limit: 1_048_588, .. });
    assert!(matches!(&refused, Err(GroupError::Refused(refusal)) if too_large(refusal)), "{refused:?}");

    let other = || JoinRequest { group: "other".to_owned(), ..request("", &["range"]) };
    let first = broker.join_group(other(), held(&broker)).await.unwrap();
    let as_other = |joined: &Joined| SyncRequest {
        group: "other".to_owned(),
        ..sync_request(joined, &[(&joined.member_id, "a")])
    };
    broker.sync_group(as_other(&first), held(&broker)).await.unwrap();
    let second = join(&broker, other());
    sleep(Duration::from_millis(1)).await;
    let again = JoinRequest { member_id: first.member_id, ..other() };
    assert_eq!(broker.join_group(again, held(&broker)).await.unwrap().generation, 2);
    assert_eq!(second.await.unwrap().unwrap().generation, 2);

    let again =
        broker.join_group(request(&joined.member_id, &["other", "range"]), held(&broker)).await.unwrap();
    assert_eq!(sync(&broker, &again).await.unwrap().assignment, "a");
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_given_out_lapses() {
    let broker = broker();
    let two_step = JoinRequest { requires_known_id: true, ..request("", &["range"]) };
    let Err(GroupError::MemberIdRequired { member }) =
        broker.join_group(two_step.clone(), held(&broker)).await
    else {
        panic!("a dynamic member joins in two steps")
    };
    assert!(member.starts_with("c-"));
    sleep(Duration::from_secs(11)).await;
    assert!(broker.groups().phases().is_empty(), "nobody is expected any more");
    let late = JoinRequest { member_id: member, ..two_step };
    assert_eq!(broker.join_group(late, held(&broker)).await, Err(GroupError::UnknownMember));
}

/// Whoever knew a group's name could keep it rebalancing: by asking for a member id and never coming back.
#[tokio::test(start_paused = true)]
async fn an_id_that_lapses_or_leaves_does_not_disturb_a_stable_group() {
    let broker = broker();
    let member = settled(&broker).await.member_id;
    let two_step = JoinRequest { requires_known_id: true, ..request("", &["range"]) };
    let ask = || async {
        match broker.join_group(two_step.clone(), held(&broker)).await {
            Err(GroupError::MemberIdRequired { member }) => member,
            other => panic!("a dynamic member joins in two steps, not {other:?}"),
        }
    };
    ask().await;
    for _ in 0..3 {
        sleep(Duration::from_secs(4)).await;
        assert_eq!(broker.heartbeat("g", &member, None, 1), Ok(()));
    }
    let late = JoinRequest { member_id: ask().await, ..two_step.clone() };
    let leaving = Leaving { member_id: late.member_id.clone(), instance_id: None };
    assert_eq!(broker.leave_group("g", &[leaving]).await.unwrap(), [Ok(())]);
    assert_eq!(broker.join_group(late, held(&broker)).await, Err(GroupError::UnknownMember));
    assert_eq!(broker.heartbeat("g", &member, None, 1), Ok(()));
    assert_eq!(phase(&broker).await, (Phase::Stable, 1));
}

/// A rebalance waits for ids that were given out, and goes on when they lapse.
#[tokio::test(start_paused = true)]
async fn a_rebalance_goes_on_when_the_id_it_waits_for_lapses() {
    let broker = broker();
    let member = settled(&broker).await.member_id;
    let two_step = JoinRequest { requires_known_id: true, ..request("", &["range"]) };
    let asked = broker.join_group(two_step, held(&broker)).await;
    assert!(matches!(asked, Err(GroupError::MemberIdRequired { .. })), "{asked:?}");
    let start = Instant::now();
    let again = broker.join_group(request(&member, &["other", "range"]), held(&broker)).await.unwrap();
    assert_eq!(
        (again.generation, start.elapsed().as_secs()),
        (2, 10),
        "the id lives for its session timeout"
    );
}

/// What all support is kept as a count for each protocol: gathered anew from all members at each JoinGroup it took 0.1 s
/// under the group's lock.
#[tokio::test(start_paused = true)]
async fn supporters_are_counted_as_members_come_change_and_go() {
    let broker = broker();
    let check = |expected: &[(&str, usize)]| {
        broker.with_group("g", false, |group, _| {
            let counts = group.members().supporters().iter().map(|(name, members)| (name.as_str(), *members));
            assert_eq!(counts.collect::<Vec<_>>(), expected);
        })
    };
    let joining =
        [join(&broker, request("", &["range", "sticky"])), join(&broker, request("", &["sticky", "own"]))];
    let mut members = Vec::new();
    for joined in joining {
        members.push(joined.await.unwrap().unwrap().member_id);
    }
    check(&[("own", 1), ("range", 1), ("sticky", 2)]).unwrap().unwrap();
    for protocols in [&["range", "own"][..], &["else"]] {
        let refused = broker.join_group(request("", protocols), held(&broker)).await;
        assert_eq!(refused, Err(GroupError::InconsistentProtocol), "not all support one of {protocols:?}");
    }
    let rejoined = [
        join(&broker, request(&members[0], &["new", "sticky"])),
        join(&broker, request(&members[1], &["sticky", "own"])),
    ];
    for joined in rejoined {
        assert_eq!(joined.await.unwrap().unwrap().protocol, "sticky");
    }
    check(&[("new", 1), ("own", 1), ("sticky", 2)]).unwrap().unwrap();
    let leaving = Leaving { member_id: members[0].clone(), instance_id: None };
    broker.leave_group("g", &[leaving]).await.unwrap();
    check(&[("own", 1), ("sticky", 1)]).unwrap().unwrap();
    // The one that is left does not come, so the new one is alone, and all it supports is common.
    let alone = broker.join_group(request("", &["own", "more"]), held(&broker)).await.unwrap();
    assert_eq!((alone.members.len(), alone.protocol.as_str()), (1, "own"));
    check(&[("more", 1), ("own", 1)]).unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_once_and_by_name_as_they_stand_now() {
    let broker = broker();
    let two_step = JoinRequest { requires_known_id: true, ..request("", &["range"]) };
    for n in (0..500).rev() {
        let pending = JoinRequest { group: format!("p{n:03}"), ..two_step.clone() };
        let asked = broker.join_group(pending, held(&broker)).await;
        assert!(matches!(asked, Err(GroupError::MemberIdRequired { .. })), "{asked:?}");
    }
    // Stored alone, more than are looked at without letting go of the state.
    for n in 0..2500 {
        let group = format!("s{n:04}").into();
        let membership = Membership::default();
        let stored =
            broker.propose(Command::StoreGroup { group, expected_generation: None, membership }).await;
        assert_eq!(stored.unwrap(), Ok(Outcome::Done));
    }
    // Stored, and in memory in another phase.
    let joined = settled(&broker).await;
    let waiting = join(&broker, request("", &["range"]));
    while broker.heartbeat("g", &joined.member_id, None, 1).is_ok() {
        sleep(Duration::from_millis(1)).await;
    }
    let listed = broker.list_groups().await.unwrap();
    let ids: Vec<&str> = listed.iter().map(|group| &*group.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
    assert_eq!((ids.len(), ids[0], ids[500], ids[501], ids[3000]), (3001, "g", "p499", "s0000", "s2499"));
    assert_eq!((listed[0].phase, listed[0].protocol_type.as_str()), (Phase::PreparingRebalance, "consumer"));
    assert_eq!((listed[1].phase, listed[1].protocol_type.as_str()), (Phase::Empty, ""));
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn the_protocol_that_most_prefer_and_all_support_is_taken() {
    let broker = broker();
    let answers = [
        join(&broker, request("", &["sticky", "range"])),
        join(&broker, request("", &["range", "sticky"])),
        join(&broker, request("", &["own", "range", "sticky"])),
    ];
    for answer in answers {
        let joined = answer.await.unwrap().unwrap();
        assert_eq!(joined.protocol, "range");
        assert!(joined.members.iter().all(|member| member.metadata == "range!"));
    }
    let stranger = broker.join_group(request("", &["own"]), held(&broker)).await;
    assert_eq!(stranger, Err(GroupError::InconsistentProtocol));
}

#[tokio::test(start_paused = true)]
async fn a_group_survives_a_restart_and_its_dead_members_do_not() {
    let door = door();
    let engine = Arc::new(MemoryEngine::new(door.clone(), MemoryOptions::default()));
    let before = Broker::new(engine.clone(), door.clone(), Settings::default());
    let joined = settled(&before).await;
    drop(before);
    let after = Broker::new(engine, door, Settings::default());
    after.start();
    assert_eq!(after.heartbeat("g", &joined.member_id, None, 1), Ok(()));
    let synced = after.sync_group(sync_request(&joined, &[]), held(&after)).await.unwrap();
    assert_eq!(synced.assignment, "a", "the assignment was stored");
    sleep(Duration::from_secs(12)).await;
    assert_eq!(phase(&after).await, (Phase::Empty, 0));
}

/// All that members said of protocols that were not chosen was stored and counted with them: groups of Java's consumers,
/// which name two, met Kafka's limit at half of Kafka's size, and never formed. What is left after a restart is what Kafka
/// has left: a member that joins again as before has more to say than is known of it, so the others join again too.
#[tokio::test(start_paused = true)]
async fn a_group_is_stored_with_what_the_chosen_protocol_needs() {
    let door = door();
    let engine = Arc::new(MemoryEngine::new(door.clone(), MemoryOptions::default()));
    let before = Broker::new(engine.clone(), door.clone(), Settings::default());
    let metadata = |protocol: &str| Bytes::from(protocol[..1].repeat(300 << 10));
    let ask = |member_id: &str, protocols: &[&str]| JoinRequest {
        protocols: protocols.iter().map(|name| ((*name).to_owned(), metadata(name))).collect(),
        ..request(member_id, &[])
    };
    let both = ["range", "sticky"];
    let joining = [join(&before, ask("", &both)), join(&before, ask("", &both))];
    let mut joined = Vec::new();
    for answer in joining {
        joined.push(answer.await.unwrap().expect("1.2 MB were sent, and 600 KB are kept"));
    }
    joined.sort_by_key(|member| member.leader != member.member_id);
    let [leader, follower] = &joined[..] else { panic!("{joined:?}") };
    let assigned = sync_request(leader, &[(&leader.member_id, "l"), (&follower.member_id, "f")]);
    before.sync_group(assigned, held(&before)).await.unwrap();
    drop(before);

    let after = Broker::new(engine, door, Settings::default());
    after.start();
    let described = after.describe_groups(&["g"]).await.unwrap().pop().unwrap();
    let described = described.unwrap().expect("it is there");
    assert_eq!((described.phase, described.protocol.as_str()), (Phase::Stable, "range"));
    assert!(described.members.iter().all(|member| member.metadata == metadata("range")));
    for member in &joined {
        assert_eq!(after.heartbeat("g", &member.member_id, None, 1), Ok(()));
    }
    let other = after.join_group(ask("", &["sticky"]), held(&after)).await;
    assert_eq!(other, Err(GroupError::InconsistentProtocol), "nobody is known to support it");
    let again = join(&after, ask(&follower.member_id, &both));
    while after.heartbeat("g", &leader.member_id, None, 1).is_ok() {
        sleep(Duration::from_millis(1)).await;
    }
    let leads = after.join_group(ask(&leader.member_id, &both), held(&after)).await.unwrap();
    assert_eq!((leads.generation, leads.protocol.as_str(), leads.members.len()), (2, "range", 2));
    assert_eq!(again.await.unwrap().unwrap().generation, 2);
    let third = join(&after, ask("", &["sticky"]));
    sleep(Duration::from_secs(1)).await;
    assert!(!third.is_finished(), "all are known to support it now");
    third.abort();
}

#[tokio::test(start_paused = true)]
async fn a_static_member_may_be_away_for_its_session() {
    let broker = broker();
    let as_static =
        |instance: &str| JoinRequest { instance_id: Some(instance.into()), ..request("", &["range"]) };
    let first = join(&broker, as_static("one"));
    let second = join(&broker, as_static("two"));
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    let (leader, follower) = if first.leader == first.member_id { (first, second) } else { (second, first) };
    sync(&broker, &leader).await.unwrap();
    broker.sync_group(sync_request(&follower, &[]), held(&broker)).await.unwrap();
    let instance = if follower.member_id.starts_with("one") { "one" } else { "two" };
    sleep(Duration::from_secs(5)).await;
    assert_eq!(broker.heartbeat("g", &leader.member_id, None, 1), Ok(()));
    let back = broker.join_group(as_static(instance), held(&broker)).await.unwrap();
    assert_eq!((back.generation, back.skip_assignment), (1, false), "a follower: nobody rebalances");
    assert_ne!(back.member_id, follower.member_id);
    let gone = Leaving { member_id: String::new(), instance_id: Some("three".to_owned()) };
    let answers = broker.leave_group("g", &[gone]).await.unwrap();
    assert_eq!(answers, [Err(GroupError::UnknownMember)]);
}

/// Members that the group has looked at so far.
fn looks(broker: &Broker) -> usize {
    broker.with_group("g", false, |group, _| group.members().looks()).unwrap().unwrap()
}

/// Joins, syncs, heartbeats and a second rebalance of a group; members looked at a member, in each of these.
async fn life_of(members: usize) -> [f64; 4] {
    let settings = Settings { memory_bytes_max: 512 << 20, ..Settings::default() };
    let door = door();
    let engine = Arc::new(MemoryEngine::new(door.clone(), MemoryOptions::default()));
    let broker = Broker::new(engine, door, settings);
    let mut seen = 0;
    let mut since = || {
        let now = looks(&broker);
        (now - std::mem::replace(&mut seen, now)) as f64 / members as f64
    };
    let wait = async |answers: Vec<Answer<Joined>>| {
        let mut joined = Vec::new();
        for answer in answers {
            joined.push(answer.await.unwrap().unwrap());
        }
        joined
    };
    let joined = wait((0..members).map(|_| join(&broker, request("", &["range"]))).collect()).await;
    let joining = since();
    let mut syncing = Vec::new();
    for member in &joined {
        let (broker, request) = (broker.clone(), sync_request(member, &[(&member.member_id, "a")]));
        #[allow(clippy::disallowed_methods, reason = "a test is its own client")]
        syncing.push(tokio::spawn(async move { broker.sync_group(request, held(&broker)).await }));
    }
    for synced in syncing {
        synced.await.unwrap().unwrap();
    }
    let syncing = since();
    for member in &joined {
        assert_eq!(broker.heartbeat("g", &member.member_id, None, 1), Ok(()));
    }
    let beating = since();
    assert_eq!(phase(&broker).await, (Phase::Stable, members));
    since();
    let again = |member: &Joined| join(&broker, request(&member.member_id, &["range", "sticky"]));
    let rejoined = wait(joined.iter().map(again).collect()).await;
    assert!(rejoined.iter().all(|member| member.generation == 2));
    [joining, syncing, beating, since()]
}

/// Each request looked at all members, some of them several times: a rebalance of 625 took 0.1 s, one of 5,000 eight.
#[tokio::test(start_paused = true)]
async fn a_request_looks_at_one_member_however_many_there_are() {
    for members in [10, 100, 1000, 5000] {
        let looks = life_of(members).await;
        let [joining, syncing, beating, rejoining] = looks;
        assert!(joining <= 15.0 && syncing <= 15.0 && rejoining <= 15.0, "{members}: {looks:?}");
        assert!(beating <= 2.0, "{members}: {looks:?}");
    }
}

/// A rebalance that only such a member is left for was looked at again and again without a pause, by a task that let
/// nothing else run. In Kafka its timer does the same, until the member's session ends.
#[tokio::test(start_paused = true)]
async fn a_static_member_that_wants_no_time_for_a_rebalance_does_not_keep_the_timer_awake() {
    let broker = broker();
    let hasty = JoinRequest {
        instance_id: Some("one".into()),
        rebalance_timeout: Duration::ZERO,
        ..request("", &["range"])
    };
    let patient = JoinRequest { rebalance_timeout: Duration::from_secs(60), ..hasty.clone() };
    let (first, other) = (join(&broker, patient), join(&broker, request("", &["range"])));
    let (first, other) = (first.await.unwrap().unwrap(), other.await.unwrap().unwrap());
    let (leader, follower) =
        if first.leader == first.member_id { (&first, &other) } else { (&other, &first) };
    sync(&broker, leader).await.unwrap();
    broker.sync_group(sync_request(follower, &[]), held(&broker)).await.unwrap();
    let back = broker.join_group(hasty.clone(), held(&broker)).await.unwrap();
    assert_eq!(phase(&broker).await, (Phase::Stable, 2));
    let leaving = Leaving { member_id: other.member_id.clone(), instance_id: None };
    broker.leave_group("g", &[leaving]).await.unwrap();
    let before = looks(&broker);
    for _ in 0..6 {
        sleep(Duration::from_secs(5)).await;
        let beat = broker.heartbeat("g", &back.member_id, Some("one"), 1);
        assert_eq!(beat, Err(GroupError::RebalanceInProgress));
    }
    let looked = looks(&broker) - before;
    assert!((30..300).contains(&looked), "some a second, not {looked} in half a minute");
    let again = JoinRequest { member_id: back.member_id, ..hasty };
    let again = broker.join_group(again, held(&broker)).await.unwrap();
    assert_eq!((again.generation, again.members.len()), (2, 1));
}

/// Each partition that was named was compared with every topic of every member, under the group's lock: one request of 100 KB
/// took a worker and the group's heartbeats ten seconds, one of 4 MB ten minutes.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "what would take minutes ends the test, not the other way round"
)]
fn a_topic_is_looked_up_among_subscriptions_however_long_they_are() {
    let (done, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let broker = broker();
            let topics = (0..50_000).map(|n| format!("t{n:06}").into()).collect();
            let subscription = ConsumerProtocolSubscription { topics, ..Default::default() };
            let metadata = [&[0, 0][..], &subscription.to_bytes(0).unwrap()].concat();
            let protocols = vec![("range".to_owned(), Bytes::from(metadata))];
            let joined =
                broker.join_group(JoinRequest { protocols, ..request("", &[]) }, held(&broker)).await;
            sync(&broker, &joined.unwrap()).await.unwrap();
            let delete = async |topic: &str, count: usize| {
                let partition = PartitionId { topic: TopicId(1), index: 0 };
                let partitions = vec![(partition, TopicName::from(topic)); count];
                broker.delete_offsets("g", partitions).await.unwrap()
            };
            let unknown = Err(GroupError::Refused(Refusal::UnknownTopic));
            assert!(delete("other-t", 200_000).await.iter().all(|answer| *answer == unknown));
            assert_eq!(delete("t049999", 2).await, vec![Err(GroupError::SubscribedToTopic); 2]);
        });
        done.send(()).expect("the test waits");
    });
    told.recv_timeout(Duration::from_secs(60)).expect("it ends");
}
