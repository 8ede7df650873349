//! Runs one script for a profiler: `kolk-counts SCRIPT`. What is to be counted happens inside `the_counted_part`, so that a
//! tool can leave out the start of the server and the warming up:
//!
//! ```text
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*the_counted_part*' kolk-counts ProduceOne
//! ```
#![allow(clippy::unwrap_used, reason = "a tool, not part of the server")]

use kolk_counts::script::{Exchange, Script};
use kolk_counts::{Counter, runtime};

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(script) = Script::named(&name) else {
        eprintln!("usage: kolk-counts SCRIPT, one of {:?}", Script::ALL);
        std::process::exit(2);
    };
    let runtime = runtime();
    let mut counter = runtime.block_on(Counter::start());
    let exchange = runtime.block_on(counter.prepare(script));
    the_counted_part(&runtime, &mut counter, &exchange, script.rounds());
    runtime.block_on(counter.stop());
}

/// The rounds, and nothing else.
#[inline(never)]
fn the_counted_part(
    runtime: &tokio::runtime::Runtime,
    counter: &mut Counter,
    exchange: &Exchange,
    rounds: usize,
) {
    runtime.block_on(counter.rounds(exchange, rounds));
}
