//! Ceilings of what requests cost at the door and in memory.
#![allow(clippy::unwrap_used, reason = "a test")]

use kolk_counts::calls::Counted;
use kolk_counts::script::Script;
use kolk_counts::{Counter, runtime};

/// What a round of the script may take at most. Calls are those that were counted when this was written, but for reads of
/// large requests, which come in as many pieces as the system likes; memory has a tenth more.
fn ceiling(script: Script) -> Counted {
    let of =
        |[durable_writes, file_reads, socket_reads, socket_writes]: [u64; 4], allocations, fresh_bytes| {
            Counted {
                durable_writes,
                syncs: 0,
                file_reads,
                socket_reads,
                socket_writes,
                allocations,
                fresh_bytes,
            }
        };
    match script {
        Script::ProduceOne => of([1, 0, 3, 1], 18, 2_500),
        // One durable write, and one answer, for all that came together.
        Script::ProduceWindow => of([1, 0, 3, 1], 32 * 8, 48_000),
        Script::ProduceWindowSpread => of([1, 0, 3, 1], 32 * 8, 56_000),
        // Nothing of the batch is copied into fresh memory.
        Script::ProduceBatch => of([1, 0, 8, 1], 20, 2_200),
        // An answer is counted before it is encoded: what it is made of stands until then.
        Script::FetchMemory => of([0, 0, 2, 1], 35, 7_500),
        // What lies in a file goes to the socket by itself where the system can do that.
        Script::FetchFile => of([0, 0, 2, 2], 35, 7_500),
        // Small batches of files are read and written together.
        Script::FetchSmall => of([0, 2, 2, 1], 480, 82_000),
        Script::FetchSpread => of([0, 70, 2, 5], 1_050, 1_630_000),
        Script::PutRecord => of([1, 0, 4, 1], 52, 16_500),
        Script::PutRecords => of([1, 0, 40, 1], 11 * 500, 2_400_000),
        // A page of the newest records is copied out of the frame that they are slices of, which its reader would keep whole.
        Script::GetRecords => of([0, 0, 4, 7], 7 * 1000, 4_000_000),
    }
}

#[test]
fn requests_cost_no_more_than_they_did() {
    let runtime = runtime();
    runtime.block_on(async {
        let mut counter = Counter::start().await;
        let mut over = Vec::new();
        for script in Script::ALL {
            let (counted, ceiling, rounds) =
                (counter.count(script).await, ceiling(script), script.rounds() as u64);
            eprintln!("{script:?}, {rounds} rounds: {counted:?}");
            if script.is_write() {
                assert!(
                    counted.durable_writes >= rounds,
                    "{script:?}: every answer was made durable: {counted:?}"
                );
            }
            for ((name, counted), (_, at_most)) in counted.named().into_iter().zip(ceiling.named()) {
                // On a busy machine what was sent together may come in two pieces, now and then: half a call a round is
                // room for that, and a call more in each round is not.
                let room = match name {
                    "allocations" => 40,
                    "fresh bytes" => 16 << 10,
                    _ => rounds / 2,
                };
                if counted > rounds * at_most + room {
                    over.push(format!(
                        "{script:?}: {counted} {name} in {rounds} rounds, {at_most} each are allowed"
                    ));
                }
            }
        }
        counter.stop().await;
        assert!(over.is_empty(), "{}", over.join("\n"));
    });
}
