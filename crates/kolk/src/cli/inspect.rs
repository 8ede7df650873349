//! `kolk verify` and `kolk dump`: a data directory that no server uses.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use kolk_engine::local::{self, Entry, Report};
use serde_json::{Map, Value, json};

use super::Failure;
use super::common::{Out, OutputArgs, row, run};
use super::produce::Progress;

/// Checks every checksum and index of a data directory; changes nothing.
///
/// Ends with exit code 1 when something does not check. A last frame that was being written when the process ended is
/// no damage: it was never acknowledged, and a start cuts it off.
///
/// JSON: wal_files, frames, segments, snapshots, batches, batch_bytes, torn [file, position] or null, damage [text].
#[derive(Args)]
#[command(after_long_help = "Example: kolk verify ./kolk-data")]
pub struct Verify {
    /// The data directory.
    dir: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints what a data directory holds: files, frames, decisions, batches; changes nothing.
///
/// One line an entry: its kind, then names and values. JSON: kind and the same names.
#[derive(Args)]
#[command(after_long_help = "Example: kolk dump ./kolk-data --json | jq -c 'select(.kind == \"batch\")'")]
pub struct Dump {
    /// The data directory.
    dir: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

impl Verify {
    pub fn run(self) -> Result<(), Failure> {
        run(|door| async move {
            let (mut progress, mut checked) = (Progress::new(true), 0);
            let mut show = |_: &Path, bytes: u64| {
                checked += bytes;
                progress.say(|| format!("{} MiB checked", checked >> 20));
            };
            let report = local::verify(&door, &self.dir, &mut show).await;
            progress.end();
            let report = report.with_context(|| format!("cannot verify {}", self.dir.display()))?;
            let printed = self.print(&report);
            match report.damage.len() {
                0 => printed,
                1 => Err(Failure::Failed(anyhow::anyhow!("{} is damaged in 1 place", self.dir.display()))),
                n => Err(Failure::Failed(anyhow::anyhow!("{} is damaged in {n} places", self.dir.display()))),
            }
        })
    }

    fn print(&self, report: &Report) -> Result<(), Failure> {
        let mut out = Out::new();
        if self.output.json {
            out.json(&json!({
                "wal_files": report.wal_files,
                "frames": report.frames,
                "segments": report.segments,
                "snapshots": report.snapshots,
                "batches": report.batches,
                "batch_bytes": report.batch_bytes,
                "torn": report.torn.as_ref().map(|(file, position)| {
                    json!({ "file": file.display().to_string(), "position": position })
                }),
                "damage": report.damage,
            }))?;
        } else {
            out.table(&[
                row!["write-ahead files", report.wal_files],
                row!["frames", report.frames],
                row!["segments", report.segments],
                row!["snapshots", report.snapshots],
                row!["batches", report.batches],
                row!["bytes of batches", report.batch_bytes],
            ])?;
            if let Some((file, position)) = &report.torn {
                let file = file.display();
                out.line(&format!("the last frame is torn: {file} at byte {position}; a start cuts it off"))?;
            }
            for damage in &report.damage {
                out.line(damage)?;
            }
            if report.damage.is_empty() {
                out.line("everything checks")?;
            }
        }
        out.flush()
    }
}

impl Dump {
    pub fn run(self) -> Result<(), Failure> {
        run(|door| async move {
            let mut out = Out::new();
            // The first failure of the output; what follows is not printed.
            let mut printed = Ok(());
            let mut print = |entry: Entry| {
                if printed.is_ok() {
                    printed = out.line(&self.line(entry));
                }
            };
            let dumped = local::dump(&door, &self.dir, &mut print).await;
            printed?;
            dumped.with_context(|| format!("cannot dump {}", self.dir.display()))?;
            out.flush()
        })
    }

    fn line(&self, entry: Entry) -> String {
        if self.output.json {
            let mut object = Map::new();
            object.insert("kind".to_owned(), entry.kind.into());
            let number = |text: &str| text.parse::<i64>().map(Value::from).ok();
            for (name, value) in entry.fields {
                let value = number(&value).unwrap_or(Value::String(value));
                object.insert(name.replace('-', "_"), value);
            }
            Value::Object(object).to_string()
        } else {
            entry
                .fields
                .iter()
                .fold(entry.kind.to_owned(), |line, (name, value)| format!("{line} {name}={value}"))
        }
    }
}
