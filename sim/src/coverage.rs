//! The places in the server where it calls the disk, found in its sources: what a simulation can reach at most.
//!
//! A place is a call of a method of `door::Disk` or `door::File`, by file and line. Looking at text is enough because the
//! server names what it calls them on `disk`, `file` or `copy`; a test holds that every place that a run has reached was found.

#![allow(clippy::disallowed_methods, reason = "reads the sources of this repository, not the server's files")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use kolk_engine::door::sim::FaultPoint;

/// The methods through which the disk is called.
const METHODS: [&str; 19] = [
    "allocate",
    "allocate_unwritten",
    "create_dir_all",
    "free_bytes",
    "link",
    "list",
    "lock",
    "open",
    "read_at",
    "remove",
    "remove_dir",
    "rename",
    "set_len",
    "size",
    "sync",
    "sync_and_evict",
    "sync_dir",
    "write_at",
    "write_durable",
];

/// Calls that no run can reach, as they stand in their file, and why.
const OUT_OF_REACH: [(&str, &str, &str); 3] = [
    (
        "local/backup.rs",
        "copy.sync().await.map_err(io_at(to))?;\n            }",
        "a file of 8 MiB; those of a run are smaller",
    ),
    (
        "local/space.rs",
        "file.allocate_unwritten(capacity).await?;",
        "frames of 256 KiB; those of a run are smaller",
    ),
    (
        "local/space.rs",
        "disk.remove(&directory.join(file_name(file.slot))).await?;\n        }\n    }",
        "a start with larger frames than before; the sizes of a run stay, tests of the engine change them",
    ),
];

/// A place in the server: source file below the repository, line.
pub type Place = (String, u32);

/// What befell each place, over many runs.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Calls, ends of the process and failures by place; all zero where it was never reached.
    pub places: BTreeMap<Place, (u64, u64, u64)>,
}

impl Coverage {
    /// Every place that the sources have, none of them reached. The repository must be where it was compiled.
    pub fn defined() -> io::Result<Coverage> {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
        let mut coverage = Coverage::default();
        for name in ["engine", "broker", "serve-kafka", "serve-kinesis", "kolk"] {
            let mut left = vec![crates.join(name).join("src")];
            while let Some(path) = left.pop() {
                if path.is_dir() {
                    for entry in fs::read_dir(&path)? {
                        left.push(entry?.path());
                    }
                } else if is_served(&path) {
                    let file = below_repository(&path.to_string_lossy());
                    let source = fs::read_to_string(&path)?;
                    let out_of_reach = out_of_reach(&file, &source);
                    for line in calls(&source).into_iter().filter(|line| !out_of_reach.contains(line)) {
                        coverage.places.insert((file.clone(), line), (0, 0, 0));
                    }
                }
            }
        }
        Ok(coverage)
    }

    /// Adds what a run has reached.
    pub fn add(&mut self, points: &[FaultPoint]) {
        for point in points {
            let place = (below_repository(point.file), point.line);
            if !is_served(Path::new(point.file)) {
                continue;
            }
            let (calls, ended, failed) = self.places.entry(place).or_default();
            *calls += point.calls;
            *ended += point.ended;
            *failed += point.failed;
        }
    }

    /// Adds another one's counts.
    pub fn merge(&mut self, other: &Coverage) {
        for (place, (calls, ended, failed)) in &other.places {
            let mine = self.places.entry(place.clone()).or_default();
            *mine = (mine.0 + calls, mine.1 + ended, mine.2 + failed);
        }
    }

    /// Places called, places at which the process ended or the call failed, all places.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |which: fn(&(u64, u64, u64)) -> bool| self.places.values().filter(|it| which(it)).count();
        (count(|it| it.0 > 0), count(|it| it.1 + it.2 > 0), self.places.len())
    }

    /// Places that were never called.
    pub fn never(&self) -> Vec<&Place> {
        self.places.iter().filter(|(_, counts)| counts.0 == 0).map(|(place, _)| place).collect()
    }
}

/// `crates/...` of a path that the compiler was given.
fn below_repository(path: &str) -> String {
    let path = path.replace('\\', "/");
    match path.rfind("crates/") {
        Some(at) => path[at..].to_owned(),
        None => path,
    }
}

/// Sources of the server, without what is only for tests or for other programs, and without the door itself.
fn is_served(path: &Path) -> bool {
    let text = below_repository(&path.to_string_lossy());
    let elsewhere =
        ["/door/", "/conformance/", "/tests/", "/tests.rs", "/cli/", "/src/serve.rs", "/src/main.rs"];
    text.starts_with("crates/") && text.ends_with(".rs") && !elsewhere.iter().any(|part| text.contains(part))
}

/// Lines of a source that stand in [`OUT_OF_REACH`].
fn out_of_reach(file: &str, source: &str) -> Vec<u32> {
    let of_file = OUT_OF_REACH.iter().filter(|(of, _, _)| file.ends_with(of));
    let lines = of_file.filter_map(|(_, call, _)| {
        let at = source.find(call)?;
        Some(source[..at].matches('\n').count() as u32 + 1)
    });
    lines.collect()
}

/// Lines of a source at which the disk is called, as the compiler counts them: where the method's name is.
fn calls(source: &str) -> Vec<u32> {
    let served = source.find("#[cfg(test)]\nmod tests {").map_or(source, |tests| &source[..tests]);
    let mut lines = Vec::new();
    for method in METHODS {
        let call = format!(".{method}(");
        for (at, _) in served.match_indices(&call) {
            let receiver = served[..at].trim_end();
            let name = receiver.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            let is_comment =
                served[..at].rsplit('\n').next().is_some_and(|line| line.trim_start().starts_with("//"));
            // A range of a reply goes to the disk through the file that it is of.
            let is_range = receiver.ends_with("range.file");
            if !is_comment && !is_range && matches!(name, "disk" | "file" | "copy") {
                lines.push(served[..at].matches('\n').count() as u32 + 1);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that is left out is there once; that none of them is reached is held by the test of seeded plans.
    #[test]
    fn calls_that_are_out_of_reach_are_there() {
        let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/engine/src");
        for (file, call, why) in OUT_OF_REACH {
            let source = fs::read_to_string(engine.join(file)).expect("a source of the engine");
            assert_eq!(source.matches(call).count(), 1, "{file}: {call} ({why})");
            let lines = out_of_reach(file, &source);
            assert!(lines.iter().all(|line| calls(&source).contains(line)), "{file}: {call} calls the disk");
        }
    }

    #[test]
    fn calls_of_the_disk_are_found_where_they_are() {
        let source = "fn f() {\n    self.disk.open(x);\n    let a = file\n        .read_at(0, 1);\n    list.size();\n\
                      // disk.open(\n}\n#[cfg(test)]\nmod tests { disk.open() }\n";
        assert_eq!(calls(source), [2, 4]);
        assert_eq!(below_repository("/a/b/crates/engine/src/x.rs"), "crates/engine/src/x.rs");
        assert!(is_served(Path::new("crates/engine/src/local/wal.rs")));
        assert!(!is_served(Path::new("crates/engine/src/local/tests/crash.rs")));
        assert!(!is_served(Path::new("sim/src/world.rs")));
    }
}
