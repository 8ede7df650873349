//! `kolk backup`: a consistent copy of a running server's log.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use kolk_client::http;
use serde_json::json;

use super::Failure;
use super::common::{Out, OutputArgs, given, run};

/// Copies the log of a running server into a new directory, on the server's machine.
///
/// The server writes the copy; it takes writes meanwhile. Everything that was acknowledged before the command is in it.
/// It is under DIR.partial until it is whole. To restore, start a server on the copy: kolk serve --data-dir DIR.
///
/// JSON: directory, files, bytes.
#[derive(Args)]
#[command(
    after_long_help = "Example: kolk backup /backups/kolk-2026-11-23 && kolk verify /backups/kolk-2026-11-23"
)]
pub struct Backup {
    /// The directory to make; its parents are made too.
    dir: PathBuf,
    /// The server's HTTP address [env: KOLK_HTTP_ENDPOINT] [default: http://127.0.0.1:8080].
    #[arg(long, value_name = "URL")]
    http_endpoint: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Backup {
    pub fn run(self) -> Result<(), Failure> {
        let endpoint = given(&self.http_endpoint, "KOLK_HTTP_ENDPOINT", "http://127.0.0.1:8080");
        let endpoint: http::Endpoint =
            endpoint.parse().map_err(|error| Failure::Usage(format!("--http-endpoint: {error}")))?;
        let directory =
            std::path::absolute(&self.dir).with_context(|| format!("{} is no path", self.dir.display()))?;
        run(|door| async move {
            let asked = json!({ "directory": directory });
            let answer = http::post(&door, &endpoint, "/admin/backup", &asked).await?;
            let mut out = Out::new();
            if self.output.json {
                out.json(&json!({
                    "directory": directory,
                    "files": answer["files"],
                    "bytes": answer["bytes"],
                }))?;
            } else {
                let (files, bytes) = (&answer["files"], &answer["bytes"]);
                out.line(&format!("{}: {files} files, {bytes} bytes", directory.display()))?;
            }
            out.flush()
        })
    }
}
