//! Toolchains and packages of the foreign clients: looked for, fetched into `.work/`, built, remembered.
//!
//! Each `prepare` step is idempotent: a stamp file holds what it was made from, and the step runs again when that
//! changed. Nothing here needs root; what only the system's package manager has (kcat) is `.ci/run`'s part.

use crate::{run, tree};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A toolchain that the machine must have; fetching one would need root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Python with venv and pip.
    Python,
    /// A JDK and Maven.
    Java,
    /// Node.js and npm.
    Node,
    /// The Go toolchain.
    Go,
    /// kcat.
    Kcat,
    /// A C compiler.
    C,
}

impl Need {
    /// What to tell who lacks it.
    pub fn text(self) -> &'static str {
        match self {
            Need::Python => "python >= 3.9 with venv",
            Need::Java => "java >= 17 and mvn >= 3.8",
            Need::Node => "node >= 20 and npm",
            Need::Go => "go >= 1.26",
            Need::Kcat => "kcat",
            Need::C => "cc",
        }
    }

    /// True if this machine has it, new enough.
    pub fn is_met(self) -> bool {
        let at_least = |text: Option<String>, wanted: (u32, u32)| {
            text.and_then(|text| first_version(&text)).is_some_and(|found| found >= wanted)
        };
        match self {
            Need::Python => {
                at_least(run::answers("python3", &["--version"]), (3, 9))
                    && run::answers("python3", &["-c", "import venv, ensurepip"]).is_some()
            }
            Need::Java => {
                at_least(run::answers("javac", &["-version"]), (17, 0))
                    && at_least(run::answers("mvn", &["-B", "--version"]), (3, 8))
            }
            Need::Node => {
                at_least(run::answers("node", &["--version"]), (20, 0))
                    && run::answers("npm", &["--version"]).is_some()
            }
            Need::Go => at_least(run::answers("go", &["version"]), (1, 26)),
            Need::Kcat => run::answers("kcat", &["-V"]).is_some(),
            Need::C => run::answers("cc", &["--version"]).is_some(),
        }
    }
}

/// The first `MAJOR.MINOR` in a program's own words about its version. (Maven resets the terminal's colours first,
/// even where there is no terminal.)
fn first_version(text: &str) -> Option<(u32, u32)> {
    let text = text.trim_start_matches("\u{1b}[0m");
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text[start..].split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next().and_then(Result::ok).unwrap_or(0)))
}

/// A Python virtual environment with the packages of `requirements` (a file in `compat/python/`); answers its
/// `bin` folder.
pub fn python(requirements: &str) -> Result<PathBuf> {
    let name = requirements.trim_end_matches(".txt");
    let list = tree::root().join("compat/python").join(requirements);
    let dir = tree::work("python")?.join(name);
    let wanted = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    once(&dir.join(".made-from"), &wanted, || {
        let log = tree::work("logs")?.join(format!("fetch-python-{name}.log"));
        let _ = std::fs::remove_dir_all(&dir);
        run::with_retries(&format!("Python packages of {requirements}"), &log, || {
            let mut command = Command::new("sh");
            command
                .arg("-c")
                .arg(r#"test -x "$0/bin/pip" || python3 -m venv "$0"; "$0/bin/pip" install --disable-pip-version-check --retries 5 --timeout 60 -r "$1""#)
                .arg(&dir)
                .arg(&list);
            command
        })
    })?;
    Ok(dir.join("bin"))
}

/// The programs of `compat/js` copied beside their packages; answers the folder.
pub fn js() -> Result<PathBuf> {
    let dir = tree::work("js")?;
    let source = tree::root().join("compat/js");
    let wanted = std::fs::read_to_string(source.join("package.json"))?;
    once(&dir.join(".made-from"), &wanted, || {
        std::fs::copy(source.join("package.json"), dir.join("package.json"))?;
        let log = tree::work("logs")?.join("fetch-js.log");
        run::with_retries("npm packages", &log, || {
            let mut command = Command::new("npm");
            command
                .args([
                    "install",
                    "--no-audit",
                    "--no-fund",
                    "--no-package-lock",
                    "--fetch-retries=5",
                    "--loglevel=error",
                ])
                .current_dir(&dir);
            command
        })
    })?;
    for file in sources(&source, &["mjs"])? {
        std::fs::copy(&file, dir.join(file.file_name().expect("a file has a name")))?;
    }
    Ok(dir)
}

/// The Maven project `compat/java`, compiled beside its dependencies; answers the class path.
pub fn java() -> Result<String> {
    let source = tree::root().join("compat/java");
    let dir = tree::work("java")?;
    maven(&dir, &source.join("pom.xml"), "Maven packages of compat/java")?;
    let class_path = format!("{0}/classes:{0}/libs/*", dir.display());
    let files = sources(&source.join("src"), &["java"])?;
    once(&dir.join(".compiled-from"), &stamp(&files)?, || {
        let classes = dir.join("classes");
        let _ = std::fs::remove_dir_all(&classes);
        let mut command = Command::new("javac");
        command.args(["-Xlint:all,-processing,-classfile,-try", "-proc:none", "-d"]).arg(&classes);
        command.arg("-cp").arg(format!("{}/libs/*", dir.display())).args(&files);
        let log = tree::work("logs")?.join("compile-java.log");
        let outcome = run::logged(&mut command, &log, Duration::from_secs(300), |_| true)?;
        ensure!(outcome.success(), "compat/java does not compile");
        Ok(())
    })?;
    Ok(class_path)
}

/// The jars of the real Apache Kafka that the bench runs beside Kolk; answers the class path.
pub fn peer_kafka() -> Result<String> {
    let dir = tree::work("peer-kafka")?;
    maven(&dir, &tree::root().join("benches/peer-kafka/pom.xml"), "Apache Kafka")?;
    Ok(format!("{}/libs/*", dir.display()))
}

/// `rdkafka_performance`, built from the librdkafka source that crate `rdkafka-sys` carries; answers the binary.
pub fn rdkafka_performance() -> Result<PathBuf> {
    const MANIFEST: &str = "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
                            [dependencies]\nrdkafka-sys = \"=4.10.0\"\n";
    let dir = tree::work("rdkafka")?;
    let built = dir.join("librdkafka/examples/rdkafka_performance");
    once(&dir.join(".made-from"), MANIFEST, || {
        std::fs::create_dir_all(dir.join("src"))?;
        std::fs::write(dir.join("Cargo.toml"), MANIFEST)?;
        std::fs::write(dir.join("src/lib.rs"), "")?;
        let log = tree::work("logs")?.join("fetch-rdkafka.log");
        run::with_retries("the librdkafka source", &log, || {
            let mut command = Command::new(env!("CARGO"));
            command.args(["vendor", "--quiet", "vendor"]).current_dir(&dir);
            command
        })?;
        let _ = std::fs::remove_dir_all(dir.join("librdkafka"));
        let script = "cp -r vendor/rdkafka-sys/librdkafka librdkafka && cd librdkafka && \
                      ./configure --disable-gssapi --disable-curl --disable-ssl --enable-static && make -j2 libs && \
                      make -C examples rdkafka_performance";
        println!("  building rdkafka_performance");
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(&dir);
        let outcome = run::logged(&mut command, &log, Duration::from_secs(900), |_| false)?;
        ensure!(outcome.success(), "librdkafka does not build; the log is {}", log.display());
        Ok(())
    })?;
    Ok(built)
}

/// ferrokinesis, which the bench runs beside Kolk; answers the binary.
pub fn ferrokinesis() -> Result<PathBuf> {
    const VERSION: &str = "0.7.0";
    let dir = tree::work("ferrokinesis")?;
    once(&dir.join(".made-from"), VERSION, || {
        let log = tree::work("logs")?.join("fetch-ferrokinesis.log");
        run::with_retries("ferrokinesis", &log, || {
            let mut command = Command::new(env!("CARGO"));
            command.args(["install", "--quiet", "--locked", "--version", VERSION, "ferrokinesis", "--root"]);
            command.arg(&dir).arg("--target-dir").arg(dir.join("target"));
            command
        })
    })?;
    Ok(dir.join("bin/ferrokinesis"))
}

/// Copies every dependency of `pom` into `dir/libs`.
fn maven(dir: &Path, pom: &Path, what: &str) -> Result<()> {
    let wanted = std::fs::read_to_string(pom)?;
    once(&dir.join(".made-from"), &wanted, || {
        let _ = std::fs::remove_dir_all(dir.join("libs"));
        std::fs::copy(pom, dir.join("pom.xml"))?;
        let log = tree::work("logs")?.join("fetch-maven.log");
        run::with_retries(what, &log, || {
            let mut command = Command::new("mvn");
            command
                .args(["-q", "-B", "-U", "dependency:copy-dependencies", "-DoutputDirectory=libs"])
                .current_dir(dir);
            command
        })
    })
}

/// The program of `compat/codec`, built in a target directory of its own; answers the binary.
pub fn codec() -> Result<PathBuf> {
    let target = tree::work("codec")?;
    let log = tree::work("logs")?.join("fetch-codec.log");
    run::with_retries("crates of compat/codec (and building it)", &log, || {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--manifest-path"]).arg(tree::root().join("compat/codec/Cargo.toml"));
        command.arg("--target-dir").arg(&target);
        command
    })?;
    Ok(target.join("debug/codec-oracle"))
}

/// The Go program of `compat/go`, built; answers the binary.
pub fn go() -> Result<PathBuf> {
    let source = tree::root().join("compat/go");
    let binary = tree::work("go")?.join("round");
    let mut files = sources(&source, &["go", "mod", "sum"])?;
    files.sort();
    once(&tree::work("go")?.join(".made-from"), &stamp(&files)?, || {
        let log = tree::work("logs")?.join("fetch-go.log");
        run::with_retries("Go modules (and building compat/go)", &log, || {
            let mut command = Command::new("go");
            command.args(["build", "-mod=readonly", "-o"]).arg(&binary).arg(".").current_dir(&source);
            command
        })
    })?;
    Ok(binary)
}

/// Runs `make` unless `stamp` already says that it was done for `wanted`.
fn once(stamp: &Path, wanted: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    if std::fs::read_to_string(stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    make()?;
    std::fs::write(stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// All files below `dir` with one of these extensions, sorted.
fn sources(dir: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The contents of all files: sources are small, so the stamp may as well hold them.
fn stamp(files: &[PathBuf]) -> Result<String> {
    let mut text = String::new();
    for file in files {
        text.push_str(&std::fs::read_to_string(file)?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_tools_print() {
        assert_eq!(first_version("Python 3.11.7"), Some((3, 11)));
        assert_eq!(first_version("v20.20.2"), Some((20, 20)));
        assert_eq!(first_version("javac 17.0.15"), Some((17, 0)));
        assert_eq!(first_version("javac 21"), Some((21, 0)));
        assert_eq!(first_version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(first_version("Apache Maven 3.8.7"), Some((3, 8)));
        assert_eq!(first_version("\u{1b}[0mApache Maven 3.8.7"), Some((3, 8)));
        assert_eq!(first_version("no number"), None);
    }

    #[test]
    fn a_step_runs_once_for_what_it_was_made_from() {
        let dir = tempfile::tempdir().unwrap();
        let stamp = dir.path().join("stamp");
        let mut runs = 0;
        for wanted in ["a", "a", "b", "b"] {
            once(&stamp, wanted, || {
                runs += 1;
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(runs, 2);
        assert!(once(&stamp, "c", || anyhow::bail!("no network")).is_err());
        assert_eq!(std::fs::read_to_string(&stamp).unwrap(), "b", "a failed step leaves no stamp");
    }
}
