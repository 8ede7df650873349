//! The server's own log, between the events of the trace: from `info` on, or from the level in `KOLK_SIM_LOG`.

use std::io;

use kolk_engine::door::sim::Sim;
use tracing::Level;
use tracing::subscriber::DefaultGuard;

/// Until the guard is dropped, what this thread logs stands between the world's events.
pub(crate) fn notes_of(sim: &Sim) -> DefaultGuard {
    let sim = sim.clone();
    let level = std::env::var("KOLK_SIM_LOG").ok().and_then(|level| level.parse().ok());
    let lines = tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(Level::INFO))
        .without_time()
        .with_ansi(false)
        .with_writer(move || Notes(sim.clone()));
    tracing::subscriber::set_default(lines.finish())
}

struct Notes(Sim);

impl io::Write for Notes {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.note(String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
