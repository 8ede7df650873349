//! `kolk repair`: a damaged data directory that no server uses.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use kolk_engine::local::{self, LocalOptions, RepairHow, RepairReport};
use serde_json::json;

use super::Failure;
use super::common::{Out, OutputArgs, run};

/// Makes a damaged data directory one that starts, and says what is lost.
///
/// Without --yes nothing is changed: it says what does not check and what a repair would lose, and ends with exit code 1. What
/// checks is kept, at its offsets; where batches are lost there is a gap that readers pass. Files that something is lost of are
/// put aside in `damaged`. Copy the directory first.
///
/// JSON: damage [text], lost [{topic, partition, first, last}], notes [text], repaired.
#[derive(Args)]
#[command(after_long_help = "Example: kolk repair ./kolk-data")]
pub struct Repair {
    /// The data directory.
    dir: PathBuf,
    /// Repairs it.
    #[arg(long)]
    yes: bool,
    /// Counts what the disk does not read as lost, however often it is asked; without it, that is an error.
    #[arg(long)]
    drop_unreadable: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Repair {
    pub fn run(self) -> Result<(), Failure> {
        run(|door| async move {
            let how = RepairHow { apply: self.yes, drop_unreadable: self.drop_unreadable };
            let report = local::repair(&door, &self.dir, LocalOptions::default(), how).await;
            let report = report.with_context(|| format!("cannot repair {}", self.dir.display()))?;
            let printed = self.print(&report);
            if report.damage.is_empty() || report.repaired {
                return printed;
            }
            Err(Failure::Failed(anyhow::anyhow!("{} is damaged", self.dir.display())))
        })
    }

    fn print(&self, report: &RepairReport) -> Result<(), Failure> {
        let mut out = Out::new();
        if self.output.json {
            let lost = report.lost.iter().map(|lost| {
                json!({
                    "topic": lost.topic,
                    "partition": lost.partition,
                    "first": lost.first.0,
                    "last": lost.last.0,
                })
            });
            out.json(&json!({
                "damage": report.damage,
                "lost": lost.collect::<Vec<_>>(),
                "notes": report.notes,
                "repaired": report.repaired,
            }))?;
        } else {
            for damage in &report.damage {
                out.line(damage)?;
            }
            for lost in &report.lost {
                let (first, last) = (lost.first, lost.last);
                out.line(&format!(
                    "lost: topic {}, partition {}, offsets {first} to {last}",
                    lost.topic, lost.partition
                ))?;
            }
            for note in &report.notes {
                out.line(note)?;
            }
            match (report.damage.is_empty(), report.repaired) {
                (true, _) => out.line("everything that a start needs checks; nothing was changed")?,
                (_, true) => out.line("repaired")?,
                (_, false) => out.line("nothing was changed; --yes repairs it")?,
            }
        }
        out.flush()
    }
}
