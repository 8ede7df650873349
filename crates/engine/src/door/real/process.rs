//! What the operating system says of this process: memory, processor time, file handles.
//!
//! Names are Prometheus's own for every process. Memory and handles are Linux's to tell; elsewhere they are left out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::metrics::{Family, Page, Source};

static RESIDENT: Family =
    Family::gauge("process_resident_memory_bytes", &[], "Memory of the process that is in RAM.");
static CPU: Family =
    Family::counter("process_cpu_seconds_total", &[], "Processor time of the process, user and system.");
static OPEN_FILES: Family =
    Family::gauge("process_open_fds", &[], "File handles of the process: files, connections.");
static MAX_FILES: Family = Family::gauge("process_max_fds", &[], "File handles that the process may have.");

/// This process.
#[derive(Clone, Copy, Debug)]
pub struct Process;

impl Source for Process {
    fn report(&self, page: &mut Page) {
        // None of this waits for a device.
        if let Some(bytes) = resident_bytes() {
            page.count(&RESIDENT, &[], bytes);
        }
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        page.number(&CPU, &[], cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
        if let Ok(handles) = std::fs::read_dir("/proc/self/fd") {
            page.count(&OPEN_FILES, &[], handles.count() as u64);
        }
        if let Some(max) = handles_max() {
            page.count(&MAX_FILES, &[], max);
        }
    }
}

/// File handles that this process may have; `None`: there is no limit.
pub fn handles_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Lets this process have as many file handles as it may let itself have. The limit that it is started with is often 1024, for
/// the sake of programs that know no higher numbers. It stays where the system does not want that.
pub fn raise_handles_max() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of file handles stays");
    }
}

fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Format;

    #[test]
    fn the_system_tells_what_this_process_has() {
        let mut page = Page::default();
        Process.report(&mut page);
        let text = page.text(Format::Prometheus);
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|value| value.parse::<f64>().ok())
        };
        assert!(value("process_cpu_seconds_total").is_some_and(|seconds| seconds > 0.0));
        if cfg!(target_os = "linux") {
            assert!(value("process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6), "{text}");
            assert!(value("process_open_fds") < value("process_max_fds"), "{text}");
        }
    }
}
