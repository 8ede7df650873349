//! Every target over its seeds, its kept inputs, and what deterministic damage makes of both.
#![allow(clippy::disallowed_methods, reason = "a test reads the repository's own files")]

use std::path::PathBuf;

use bytes::Bytes;
use kolk_fuzz_targets::TARGETS;

fn corpus(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "corpus", target].iter().collect()
}

/// Kept inputs by name, in order.
fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(corpus(target)) else { return Vec::new() };
    let mut kept: Vec<_> = entries
        .map(|entry| entry.expect("a folder can be read").path())
        .map(|path| {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a kept input can be read"))
        })
        .collect();
    kept.sort();
    kept
}

#[test]
fn kept_inputs_and_seeds_hold() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{target:?} has something to start from");
        let kept = kept(target.name);
        assert!(!kept.is_empty(), "fuzz/corpus/{target:?} holds something");
        for seed in seeds {
            (target.run)(Bytes::from(seed));
        }
        for (name, input) in kept {
            println!("{target:?} {name}");
            (target.run)(Bytes::from(input));
        }
    }
}

/// Each input cut short, and with bytes set to values that lengths and flags are sensitive to.
#[test]
fn damaged_inputs_hold() {
    const DAMAGED_PER_TARGET: usize = 4000;
    for target in TARGETS {
        let mut inputs = (target.seeds)();
        inputs.extend(kept(target.name).into_iter().map(|(_, input)| input));
        let mut left = DAMAGED_PER_TARGET;
        // A fixed stream of choices: the same inputs in every run.
        let mut state = 1u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below.max(1)
        };
        while left > 0 {
            for input in &inputs {
                left = left.saturating_sub(1);
                let mut damaged = input.clone();
                for _ in 0..=next(3) {
                    if damaged.is_empty() {
                        break;
                    }
                    let at = next(damaged.len());
                    match next(4) {
                        0 => damaged.truncate(at),
                        1 => damaged[at] = [0, 1, 0x7f, 0x80, 0xff][next(5)],
                        2 => damaged[at] ^= 1 << next(8),
                        _ => damaged.insert(at, next(256) as u8),
                    }
                }
                (target.run)(Bytes::from(damaged));
            }
        }
    }
}

#[test]
fn the_fuzzer_has_a_binary_for_each_target() {
    let manifest: String = [env!("CARGO_MANIFEST_DIR"), "..", "Cargo.toml"].join("/");
    let manifest = std::fs::read_to_string(manifest).expect("the fuzzer's manifest can be read");
    let binaries: Vec<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[[bin]]")
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .collect();
    let targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(binaries, targets);
}
