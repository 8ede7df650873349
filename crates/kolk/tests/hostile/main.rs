//! Hostile clients against the built binary, each beside a well-behaved one on both ports.
//!
//! Every attack runs on a server of its own. While it runs, an honest producer, consumer and Kinesis writer do their
//! work, one operation after another. What must hold: the server lives, none of theirs fails, and its memory stays
//! under `--memory-max` + 64 MiB + what its state may take. How long theirs took is printed, not asserted.
//!
//! The short form is small enough for every run; `KOLK_HOSTILE_FULL=1` takes the sizes that the attacks are named for:
//! `cargo xtask full --part hostile` puts the printed rows into `docs/hostile.md`. `KOLK_HOSTILE_ONLY=NAME` runs those whose
//! names have that in them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "black-box tests touch files, sockets and clocks of the machine"
)]

mod honest;
mod http;
mod kafka;
mod server;

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
        self.of(full, short).min(limit.map_or(usize::MAX, |limit| limit as usize / 2))
    }
}

struct Attack {
    name: &'static str,
    /// Memory that the state may take in it, MiB.
    state_mib: u64,
    run: fn(&Server, Scale) -> String,
}

const fn attack(name: &'static str, run: fn(&Server, Scale) -> String) -> Attack {
    Attack { name, state_mib: 0, run }
}

const ATTACKS: &[Attack] = &[
    attack("nobody", |_, _| {
        std::thread::sleep(Duration::from_millis(500));
        "the honest clients alone".to_owned()
    }),
    attack("kafka-lengths", kafka::lengths),
    attack("kafka-slow-loris", kafka::slow_loris),
    attack("kafka-tiny-requests", kafka::tiny_requests),
    attack("kafka-half-requests", kafka::half_requests),
    attack("kafka-bad-batches", kafka::bad_batches),
    attack("kafka-bombs", kafka::bombs),
    attack("kafka-recompress", kafka::recompress),
    attack("kafka-lists", kafka::lists),
    attack("kafka-metadata", kafka::metadata_of_many),
    Attack { name: "kafka-metadata-unread", state_mib: 40, run: kafka::metadata_unread },
    attack("kafka-fetch-unread", kafka::fetch_unread),
    attack("kafka-synced-unread", kafka::synced_unread),
    attack("kafka-produce-unread", kafka::produce_unread),
    attack("kafka-fetch-errors-unread", kafka::fetch_errors_unread),
    attack("kafka-fits", kafka::what_must_fit),
    attack("kafka-connections", kafka::connections),
    attack("kafka-long-polls", kafka::long_polls),
    attack("kafka-parked", kafka::parked),
    attack("kafka-answers", kafka::answers),
    attack("http-slow-loris", http::slow_loris),
    attack("http-half-bodies", http::half_bodies),
    attack("http-giant-heads", http::giant_heads),
    attack("http-lengths", http::lengths),
    attack("http-deep-bodies", http::deep_bodies),
    Attack { name: "http-unread", state_mib: 16, run: http::unread },
    attack("http-connections", http::connections),
    attack("http2-rapid-reset", http::rapid_reset),
    attack("http2-continuation", http::continuation),
    attack("http2-settings", http::settings),
    attack("http2-ping", http::ping),
    attack("http2-empty-data", http::empty_data),
    attack("http2-window-stall", http::window_stall),
    attack("http2-ahead", http::ahead),
];

#[test]
fn hostile_clients_cost_bounded_memory_and_hurt_nobody() {
    let scale = Scale { full: std::env::var("KOLK_HOSTILE_FULL").is_ok_and(|value| value == "1") };
    let only = std::env::var("KOLK_HOSTILE_ONLY").ok();
    let memory_max_mib = if scale.full { 256 } else { 64 };
    let mut wrong = Vec::new();
    for attack in ATTACKS.iter().filter(|attack| only.as_ref().is_none_or(|only| attack.name.contains(only)))
    {
        let start = Instant::now();
        let server = Server::start(memory_max_mib);
        let honest = Honest::start(&server);
        honest.wait_for(20);
        let what = (attack.run)(&server, scale);
        let during = honest.count();
        // It goes on when the attack is over.
        honest.wait_for(during + 20);
        let figures = honest.stop();
        let peak_mib = server.peak_memory_mib();
        let bound_mib = memory_max_mib + SLACK_MIB + attack.state_mib;
        let line = format!(
            "| {} | {what} | {peak_mib} | {bound_mib} | {} | {:.1} | {:.1} | {:.0} |",
            attack.name, figures.count, figures.p50_ms, figures.p99_ms, figures.most_ms
        );
        println!("row attacks {line}");
        println!("    {} took {:.1} s", attack.name, start.elapsed().as_secs_f64());
        if peak_mib > bound_mib {
            wrong.push(format!("{}: {peak_mib} MiB, over {bound_mib}", attack.name));
        }
        wrong.extend(figures.failures.iter().map(|failure| format!("{}: {failure}", attack.name)));
        wrong.extend(server.stop().map(|trouble| format!("{}: {trouble}", attack.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
