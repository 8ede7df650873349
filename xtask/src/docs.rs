//! The commands of README and quick starts, run as a reader would run them.
//!
//! Convention (also in CONTRIBUTING.md): in `README.md`, `docs/quickstart-*.md`, `docs/operations.md` and `docs/repair.md`
//! every fenced block marked `sh`, `console` or `python` is run, in order, in one fresh folder per document, against a server that the harness has
//! started on an empty directory. Each line of a `sh` block is a case (lines that end in `\` and here-documents belong
//! together); of a `console` block the lines after `$ ` are; each `python` block is one. Shell lines share variables and
//! folder, Python blocks share names. A block marked `sh no-run` (or `console no-run`, `python no-run`) is not run.
//! The addresses `127.0.0.1:9092`, `127.0.0.1:4567` and `127.0.0.1:8080`, also as `localhost`, become the server's own, and those
//! with 10,000 more (19092, 14567, 18080) free ports for a second one that the document starts in the background;
//! `cargo run --release --` becomes the built binary; lines that do what the harness has done already (start the
//! server, clone, run the tests) are left out.

use crate::{compat, fetch, server, suite, tree};
use anyhow::{Context, Result, ensure};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// What the machine must have to run the documents' commands.
pub const NEEDS: &[fetch::Need] = &[fetch::Need::Python, fetch::Need::Kcat];

/// One thing to run out of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Sh(String),
    Python(String),
}

/// Runs every document against its own server.
pub fn run(binary: &Path) -> Result<suite::Count> {
    let mut documents = vec![tree::root().join("README.md")];
    let mut quick_starts: Vec<_> = std::fs::read_dir(tree::root().join("docs"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("quickstart-")))
        .collect();
    quick_starts.sort();
    documents.extend(quick_starts);
    documents.extend(["docs/operations.md", "docs/repair.md"].map(|page| tree::root().join(page)));
    let mut count = suite::Count::default();
    for document in documents {
        let name = document.file_name().expect("a document has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&document).with_context(|| format!("cannot read {name}"))?;
        count.add(run_document(&name, &text, binary).with_context(|| format!("running {name}"))?);
    }
    Ok(count)
}

fn run_document(name: &str, text: &str, binary: &Path) -> Result<suite::Count> {
    let logs = tree::work("logs")?;
    let server = server::Server::start(binary, &logs.join(format!("docs-{name}-server.log")), &[])?;
    let addresses = addresses(&server)?;
    let steps: Vec<_> = steps(text)
        .into_iter()
        .map(|step| match step {
            Step::Sh(line) => ["sh".to_owned(), rewritten(&line, &addresses)],
            Step::Python(block) => ["python".to_owned(), rewritten(&block, &addresses)],
        })
        .collect();
    ensure!(!steps.is_empty(), "there is no command to run");
    let file = server.home.path().join("steps.json");
    std::fs::write(&file, serde_json::to_vec(&steps)?)?;
    let folder = server.home.path().join("reader");
    std::fs::create_dir(&folder)?;
    let python = fetch::python("main.txt")?;
    let path = format!(
        "{}:{}:{}",
        python.display(),
        binary.parent().expect("a binary is in a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut command = Command::new(python.join("python"));
    command
        .arg(tree::root().join("compat/python/docs_steps.py"))
        .args([name.as_ref(), file.as_os_str()])
        .current_dir(&folder)
        .env("PATH", &path)
        .env("KOLK_SERVER", &server.kafka)
        .env("KOLK_KINESIS_ENDPOINT", format!("http://{}", server.kinesis))
        .env("KOLK_HTTP_ENDPOINT", format!("http://{}", server.http))
        // What stands in a developer's home must not decide whether a document works.
        .env("AWS_CONFIG_FILE", folder.join("no-aws-config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", folder.join("no-aws-credentials"));
    let count =
        compat::run_cases(&format!("docs/{name}"), &mut command, &logs.join(format!("docs-{name}.log")))?;
    server.stop()?;
    Ok(count)
}

/// The runnable steps of a document.
fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        match language.trim() {
            "sh" => steps.extend(sh_lines(&block).into_iter().map(Step::Sh)),
            "console" => {
                let typed: Vec<_> = block.iter().filter_map(|line| line.strip_prefix("$ ")).collect();
                steps.extend(sh_lines(&typed).into_iter().map(Step::Sh));
            }
            "python" => steps.push(Step::Python(block.join("\n"))),
            _ => {}
        }
    }
    steps
}

/// The commands of a shell block: continued lines and here-documents joined, comments and what the harness has
/// done already left out.
fn sh_lines(block: &[&str]) -> Vec<String> {
    let mut commands = Vec::new();
    let mut lines = block.iter();
    while let Some(first) = lines.next() {
        let mut command = (*first).to_owned();
        while command.ends_with('\\') {
            let Some(next) = lines.next() else { break };
            command.push('\n');
            command.push_str(next);
        }
        if let Some((_, word)) = command.split_once("<<") {
            let end = word.trim_start_matches(['-', ' ']).split_whitespace().next().unwrap_or_default();
            let end = end.trim_matches(['\'', '"']).to_owned();
            for next in lines.by_ref() {
                command.push('\n');
                command.push_str(next);
                if *next == end {
                    break;
                }
            }
        }
        let start = command.trim_start();
        let done_by_harness =
            ["cargo run --release -- serve", "kolk serve", "git clone", "cd ", "cargo xtask"];
        let is_second_server = start.starts_with("kolk serve") && start.contains(" & ");
        if !start.is_empty()
            && !start.starts_with('#')
            && (is_second_server || !done_by_harness.iter().any(|done| start.starts_with(done)))
        {
            commands.push(command);
        }
    }
    commands
}

/// The ports of the documents, and the addresses that stand for them in a run.
fn addresses(server: &server::Server) -> Result<[(u16, String); 6]> {
    // Held until all are chosen, so that they differ.
    let free = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0"));
    let free = |at: usize| -> Result<String> {
        let listener = free[at].as_ref().map_err(|error| anyhow::anyhow!("no free port: {error}"))?;
        Ok(listener.local_addr()?.to_string())
    };
    Ok([
        (9092, server.kafka.clone()),
        (4567, server.kinesis.clone()),
        (8080, server.http.clone()),
        (19092, free(0)?),
        (14567, free(1)?),
        (18080, free(2)?),
    ])
}

/// The command as it must be to meet the harness's server.
fn rewritten(text: &str, addresses: &[(u16, String)]) -> String {
    let mut text =
        text.replace("cargo run --release --quiet -- ", "kolk ").replace("cargo run --release -- ", "kolk ");
    for (port, own) in addresses {
        for host in ["127.0.0.1", "localhost"] {
            text = text.replace(&format!("{host}:{port}"), own);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_what_a_reader_would_type() {
        let text = "\
# x
```sh
cargo run --release -- serve
kolk serve --data-dir ./data
kolk serve --data-dir ./copy > log 2>&1 & second=$!
# a comment
kcat -b 127.0.0.1:9092 \\
  -L
cat <<'END' > f
a
END
echo done
```
```sh no-run
rm -rf /
```
```console
$ kolk topic list
orders
```
```text
not run
```
```python
print(1)
print(2)
```
";
        let sh = |text: &str| Step::Sh(text.to_owned());
        assert_eq!(
            steps(text),
            [
                sh("kolk serve --data-dir ./copy > log 2>&1 & second=$!"),
                sh("kcat -b 127.0.0.1:9092 \\\n  -L"),
                sh("cat <<'END' > f\na\nEND"),
                sh("echo done"),
                sh("kolk topic list"),
                Step::Python("print(1)\nprint(2)".to_owned()),
            ]
        );
    }

    #[test]
    fn addresses_and_the_cargo_command_are_rewritten() {
        assert_eq!(
            rewritten(
                "cargo run --release -- topic list --server localhost:9092 http://127.0.0.1:4567 localhost:19092",
                &[(9092, "h:1".to_owned()), (4567, "h:2".to_owned()), (19092, "h:3".to_owned())]
            ),
            "kolk topic list --server h:1 http://h:2 h:3"
        );
    }
}
