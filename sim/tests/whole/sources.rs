//! What no lint can say: code behind the door polls in an order that the seed decides.
#![allow(clippy::disallowed_methods, reason = "reads the sources of this repository, not the server's files")]

use std::fs;
use std::path::Path;

#[test]
fn nothing_selects_at_random() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut left = vec![crates];
    let mut wrong = Vec::new();
    let mut found = 0;
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if is_served(&path) {
            let text = fs::read_to_string(&path).expect("a source file");
            for (at, _) in text.match_indices("select! {") {
                found += 1;
                if !text[at..].trim_start_matches("select! {").trim_start().starts_with("biased;") {
                    wrong.push(format!("{}:{}", path.display(), text[..at].lines().count()));
                }
            }
        }
    }
    assert!(found > 5, "the sources are there");
    assert!(wrong.is_empty(), "select! polls in random order unless it begins with `biased;`: {wrong:#?}");
}

/// Sources that run in a simulation: not the command line's, not tests.
fn is_served(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.ends_with(".rs")
        && !["/kolk/src/cli/", "/kolk/src/serve.rs", "/tests/", "/tests.rs", "/sim.rs"]
            .iter()
            .any(|elsewhere| text.contains(elsewhere))
}
