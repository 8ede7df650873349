//! Hostile clients against the built binary, each beside a well-behaved one on both ports.
//!
//! Every attack runs on a server of its own. While it runs, an honest producer, consumer, group member and Kinesis writer do
//! their work, one operation after another. What must hold: the server lives, none of theirs fails, and its memory stays
//! under `--memory-max` + 64 MiB + what its state may take. How long theirs took is printed, not asserted. The same for loads of
//! clients that mean no harm and are too many.
//!
//! The short form is small enough for every run; `KOLK_HOSTILE_FULL=1` takes the sizes that the attacks are named for:
//! `cargo xtask full --part hostile` puts the printed rows into `docs/hostile.md`. `KOLK_HOSTILE_ONLY=NAME` runs those whose
//! names have that in them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "black-box tests touch files, sockets and clocks of the machine"
)]

mod batches;
mod honest;
mod http;
mod kafka;
mod loads;
mod server;
mod slow;

use std::time::{Duration, Instant};

use honest::Honest;
use server::Server;

/// What the server may take beside its budget: program, stacks, tail cache, what the allocator keeps.
const SLACK_MIB: u64 = 64;

/// How large an attack is.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// All of it, or a tenth.
    pub full: bool,
}

impl Scale {
    /// A number in its full or its short form.
    pub fn of(self, full: usize, short: usize) -> usize {
        if self.full { full } else { short }
    }

    /// Connections, as far as this process may have handles.
    pub fn connections(self, full: usize, short: usize) -> usize {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        self.of(full, short).min(limit.map_or(usize::MAX, |limit| limit as usize / 5 * 3))
    }
}

struct Attack {
    name: &'static str,
    /// Memory that the state may take in it, MiB.
    state_mib: u64,
    /// What the server is told beside.
    settings: &'static [&'static str],
    /// File handles that the server may have, if they are to be few.
    handles_max: Option<u64>,
    /// It lasts as long as the server's time-outs, however small it is.
    waits: bool,
    run: fn(&Server, Scale) -> String,
}

/// The honest member's group forms at once.
pub const AT_ONCE: &[&str] = &["--kafka-set", "group.initial.rebalance.delay.ms=0"];

const fn attack(name: &'static str, run: fn(&Server, Scale) -> String) -> Attack {
    Attack { name, state_mib: 0, settings: AT_ONCE, handles_max: None, waits: false, run }
}

impl Attack {
    const fn with_state(self, state_mib: u64) -> Attack {
        Attack { state_mib, ..self }
    }

    const fn with_handles(self, handles_max: u64) -> Attack {
        Attack { handles_max: Some(handles_max), ..self }
    }

    const fn that_waits(self) -> Attack {
        Attack { waits: true, ..self }
    }
}

const ATTACKS: &[Attack] = &[
    attack("nobody", |_, _| {
        std::thread::sleep(Duration::from_millis(500));
        "the honest clients alone".to_owned()
    }),
    attack("kafka-lengths", kafka::lengths),
    attack("kafka-slow-loris", slow::kafka_loris).that_waits(),
    attack("kafka-tiny-requests", kafka::tiny_requests),
    attack("kafka-half-requests", slow::half_requests).that_waits(),
    attack("kafka-slow-takers", slow::kafka_takers).that_waits(),
    attack("kafka-bad-batches", batches::attack),
    attack("kafka-bombs", kafka::bombs),
    attack("kafka-recompress", kafka::recompress),
    attack("kafka-lists", kafka::lists),
    attack("kafka-metadata", kafka::metadata_of_many),
    attack("kafka-metadata-unread", kafka::metadata_unread).with_state(40),
    attack("kafka-fetch-unread", kafka::fetch_unread),
    attack("kafka-synced-unread", kafka::synced_unread),
    attack("kafka-produce-unread", kafka::produce_unread),
    attack("kafka-fetch-errors-unread", kafka::fetch_errors_unread),
    attack("kafka-connections", kafka::connections),
    attack("kafka-silence", slow::kafka_silence).that_waits(),
    attack("kafka-long-polls", kafka::long_polls),
    // Its members find each other while their group waits for them.
    Attack { settings: &[], ..attack("kafka-parked", kafka::parked) },
    attack("kafka-answers", kafka::answers),
    attack("http-slow-loris", slow::http_loris).that_waits(),
    attack("http-half-bodies", slow::half_bodies).that_waits(),
    attack("http-slow-takers", slow::http_takers).that_waits(),
    attack("operator-connections", slow::operators),
    attack("few-handles", slow::few_handles).with_handles(slow::FEW_HANDLES),
    attack("http-giant-heads", http::giant_heads),
    attack("http-lengths", http::lengths),
    attack("http-deep-bodies", http::deep_bodies),
    attack("http-unread", http::unread).with_state(16),
    attack("http-connections", http::connections),
    attack("http-tiny-requests", http::tiny_requests),
    attack("http2-rapid-reset", http::rapid_reset),
    attack("http2-continuation", http::continuation),
    attack("http2-settings", http::settings),
    attack("http2-ping", http::ping),
    attack("http2-empty-data", http::empty_data),
    attack("http2-window-stall", http::window_stall),
    attack("http2-ahead", http::ahead),
    attack("http2-hpack-bomb", http::hpack_bomb),
    attack("http2-dribble", http::dribble),
    attack("http2-priority", http::priority),
    attack("http2-reset-by-us", http::reset_by_us),
    attack("http2-windows", http::windows),
    attack("http2-empty-headers", http::empty_headers),
];

const LOADS: &[Attack] = &[
    attack("produce", loads::produce),
    attack("fetch", loads::fetch),
    attack("put-records", loads::put_records),
    attack("what-must-fit", loads::what_must_fit),
    attack("everything", loads::everything),
];

fn scale() -> Scale {
    Scale { full: std::env::var("KOLK_HOSTILE_FULL").is_ok_and(|value| value == "1") }
}

/// Runs one, prints its row of docs/hostile.md; what was wrong.
fn run(attack: &Attack, is_load: bool, scale: Scale) -> Vec<String> {
    let memory_max_mib = if scale.full || attack.waits { 256 } else { 64 };
    let start = Instant::now();
    let server = Server::start_with(memory_max_mib, attack.settings, attack.handles_max);
    // Many seconds of them, beside others.
    let pause = Duration::from_millis(if attack.waits && !scale.full { 50 } else { 5 });
    let honest = Honest::start(&server, pause);
    honest.wait_for(20);
    let before = honest.count();
    let what = (attack.run)(&server, scale);
    let during = honest.count();
    // It goes on when the attack is over.
    honest.wait_for(during + 20);
    let figures = honest.stop();
    let peak_mib = server.peak_memory_mib();
    let bound_mib = memory_max_mib + SLACK_MIB + attack.state_mib;
    let name = attack.name;
    if is_load {
        let (waited, cells) = (loads::waited(&server), figures.heartbeat_cells());
        println!("row loads | {name} | {what} | {peak_mib} | {bound_mib} | {waited} | {cells} |");
    } else {
        println!("row attacks | {name} | {what} | {peak_mib} | {bound_mib} | {} |", figures.cells());
    }
    println!("    {name} took {:.1} s", start.elapsed().as_secs_f64());
    let mut wrong = figures.failures;
    if attack.waits && during < before + 100 {
        wrong.push(format!("{} honest operations beside it", during - before));
    }
    if peak_mib > bound_mib {
        wrong.push(format!("{peak_mib} MiB, over {bound_mib}"));
    }
    wrong.extend(server.stop());
    wrong.into_iter().map(|wrong| format!("{name}: {wrong}")).collect()
}

/// Those that were chosen.
fn chosen(attacks: &'static [Attack]) -> impl Iterator<Item = &'static Attack> {
    let only = std::env::var("KOLK_HOSTILE_ONLY").ok();
    attacks.iter().filter(move |attack| only.as_ref().is_none_or(|only| attack.name.contains(only)))
}

/// One after the other.
fn run_all(attacks: impl Iterator<Item = &'static Attack>, is_load: bool, scale: Scale) {
    let wrong: Vec<String> = attacks.flat_map(|attack| run(attack, is_load, scale)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_clients_cost_bounded_memory_and_hurt_nobody() {
    let full = scale().full;
    run_all(chosen(ATTACKS).filter(|attack| full || !attack.waits), false, scale());
    if full {
        // Each alone on the machine.
        run_all(chosen(LOADS), true, scale());
    }
}

#[test]
fn clients_that_are_slow_or_silent_are_cut_off_in_time() {
    if !scale().full {
        let waiting = chosen(ATTACKS).filter(|attack| attack.waits);
        let runs: Vec<_> = waiting.map(|attack| std::thread::spawn(|| run(attack, false, scale()))).collect();
        let wrong: Vec<String> =
            runs.into_iter().flat_map(|run| run.join().expect("an attack does not panic")).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn at_the_memory_limit_clients_are_slowed_and_heartbeats_pass() {
    if !scale().full {
        run_all(chosen(LOADS), true, scale());
    }
}
