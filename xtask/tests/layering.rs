//! Dependencies between the crates of this repository are those that ARCHITECTURE.md allows, and no others.
//!
//! The page carries one table `| crate | may depend on |` (names without `kolk-`); a missing table or a crate that
//! stands not in it fails, so that the page cannot fall behind.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of the repository, not part of the simulated server"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

type Edges = BTreeMap<String, BTreeSet<String>>;

#[test]
fn crates_depend_only_on_what_architecture_md_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md can be read");
    let allowed = allowed(&page).expect("ARCHITECTURE.md has the table `| crate | may depend on |`");
    let actual = actual(root);
    let mut wrong = Vec::new();
    for (name, dependencies) in &actual {
        let Some(allowed) = allowed.get(name) else {
            wrong.push(format!("crate {name} stands not in the table"));
            continue;
        };
        for dependency in dependencies.difference(allowed) {
            wrong.push(format!("{name} depends on {dependency}, which the table does not allow"));
        }
        for dependency in allowed.difference(dependencies) {
            wrong.push(format!("the table allows {name} to depend on {dependency}, which it does not"));
        }
    }
    for name in allowed.keys().filter(|name| !actual.contains_key(*name)) {
        wrong.push(format!("the table names crate {name}, which does not exist"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table of the page: first column the crate, second the crates it may use, apart by commas; `-` for none.
fn allowed(page: &str) -> Option<Edges> {
    let mut lines = page.lines().skip_while(|line| cells(line) != ["crate", "may depend on"]);
    lines.next()?;
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    Some(
        rows.map(|row| {
            let cells = cells(row);
            let names = cells[1].split(',').map(|name| name.trim().to_owned());
            (
                cells[0].clone(),
                names.filter(|name| !name.is_empty() && name != "-" && name != "nothing").collect(),
            )
        })
        .collect(),
    )
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|');
    row.split('|').map(|cell| cell.trim().replace('`', "")).collect()
}

/// What cargo says: every dependency between members. Those that only tests have are free to point elsewhere.
fn actual(root: &Path) -> Edges {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .expect("cargo metadata runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).expect("cargo prints JSON");
    let short = |name: &serde_json::Value| name.as_str().unwrap().trim_start_matches("kolk-").to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let own = package["dependencies"].as_array().unwrap().iter();
            // A path means: a member of this workspace.
            let own = own.filter(|dependency| dependency["path"].is_string() && dependency["kind"] != "dev");
            (short(&package["name"]), own.map(|dependency| short(&dependency["name"])).collect())
        })
        .collect()
}

#[test]
fn the_table_is_read_as_markdown() {
    let page = "# A\n\n| crate | may depend on |\n|---|---|\n| `a` | - |\n| b | `a`, c |\n\nmore\n";
    let edges = allowed(page).unwrap();
    assert_eq!(edges["a"], BTreeSet::new());
    assert_eq!(edges["b"], BTreeSet::from(["a".to_owned(), "c".to_owned()]));
    assert_eq!(edges.len(), 2);
    assert!(allowed("no table").is_none());
}
