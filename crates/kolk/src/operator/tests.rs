//! `docs/metrics.md` is written from the metrics themselves; the dashboard and the operator's page name no others.
#![allow(clippy::disallowed_methods, reason = "reads and writes documents of the repository")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use kolk_engine::metrics::Kind;

use super::*;
use crate::Server;

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// All families of a server that keeps its log on disk.
async fn page() -> Page {
    let home = tempfile::tempdir().expect("a temporary directory");
    let any = "127.0.0.1:0".parse().expect("an address");
    let server = Server::builder().data_dir(home.path().join("data")).kafka(any).kinesis(any).http(any);
    let server = server.start().await.expect("a server starts");
    let mut page = Page::default();
    server.status.report(&mut page);
    server.http.metrics().report(&mut page);
    server.stop().await.expect("a healthy log closes");
    page
}

fn reference(page: &Page) -> String {
    let mut text = String::from(
        "# Metrics\n\
         \n\
         <!-- Written from the metrics by `KOLK_BLESS=1 cargo test -p kolk --lib metrics`; do not edit. -->\n\
         \n\
         `GET /metrics` on the HTTP address (`--http`, 8080) answers all of these, in Prometheus's text format or, for\n\
         those who accept it, OpenMetrics. An API appears once somebody has asked for it, an error once it has happened.\n\
         Times are seconds, sizes bytes; `_total` only grows and begins at 0 with the process. Of a server in memory\n\
         (`--ephemeral`) the families `kolk_log_*`, `kolk_disk_*` and `kolk_backups_total` are missing; `process_*` but\n\
         the start time and the processor time are Linux's to tell.\n\
         \n\
         [operations.md](operations.md#what-to-watch) says which of them to be woken by, [grafana/kolk.json](grafana/kolk.json)\n\
         draws them.\n\
         \n\
         | metric | type | labels | what |\n\
         |---|---|---|---|\n",
    );
    for family in page.families() {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (family.kind.name(), labels.join(" "));
        let _ = writeln!(text, "| `{}` | {kind} | {labels} | {} |", family.name, family.help);
    }
    text
}

#[tokio::test]
async fn the_page_of_metrics_is_current() {
    let text = reference(&page().await);
    if std::env::var_os("KOLK_BLESS").is_some() {
        std::fs::write(docs("metrics.md"), &text).expect("docs/metrics.md can be written");
    }
    let found = std::fs::read_to_string(docs("metrics.md")).expect("docs/metrics.md");
    assert_eq!(found, text, "run `KOLK_BLESS=1 cargo test -p kolk --lib metrics`");
}

/// Words of a text that are names of metrics, or were meant to be. (`kolk_engine` is a module that logs.)
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| {
        (word.starts_with("kolk_") && *word != "kolk_engine")
            || (word.starts_with("process_") && word.len() > "process_".len())
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_dashboard_and_the_operators_page_name_metrics_that_there_are() {
    let page = page().await;
    let mut there = BTreeSet::new();
    for family in page.families() {
        if family.kind == Kind::Histogram {
            there.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", family.name)));
        }
        there.insert(family.name.to_owned());
    }
    let dashboard = std::fs::read_to_string(docs("grafana/kolk.json")).expect("docs/grafana/kolk.json");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let mut expressions = String::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().filter(|targets| !targets.is_empty());
        for target in targets.unwrap_or_else(|| panic!("{} shows something", panel["title"])) {
            expressions.push_str(target["expr"].as_str().expect("an expression"));
            expressions.push('\n');
        }
    }
    let operations = std::fs::read_to_string(docs("operations.md")).expect("docs/operations.md");
    for (text, at_least) in [(expressions, 20), (operations, 5)] {
        let named = named(&text);
        assert!(named.len() >= at_least, "{named:?}");
        let unknown: Vec<_> = named.difference(&there).collect();
        assert!(unknown.is_empty(), "there is no {unknown:?}");
    }
}
