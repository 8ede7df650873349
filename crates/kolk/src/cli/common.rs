//! What the commands against a running server share: how to reach it, how output looks, how a command is run.

use std::future::Future;
use std::io::{BufWriter, Stdout, Write};
use std::time::Duration;

use clap::Args;
use kolk_client::kafka::{Kafka, Options};
use kolk_client::kinesis::{self, Kinesis};
use kolk_engine::door::Door;
use serde_json::Value;

use super::{Failure, output_failed};

/// How to reach the server by Kafka's protocol.
#[derive(Args, Clone)]
pub struct ServerArgs {
    /// The server: HOST:PORT, more with commas in between [env: KOLK_SERVER] [default: 127.0.0.1:9092].
    #[arg(long, value_name = "ADDR")]
    server: Option<String>,
    /// How long a request may take, retries included, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

impl ServerArgs {
    /// A client of the server.
    pub fn kafka(&self, door: &Door) -> Result<Kafka, Failure> {
        let server = given(&self.server, "KOLK_SERVER", "127.0.0.1:9092");
        let options = Options {
            client_id: "kolk-cli".to_owned(),
            timeout: Duration::from_secs(self.timeout),
            ..Default::default()
        };
        Kafka::new(door.clone(), &server, options)
            .map_err(|error| Failure::Usage(format!("--server: {error}")))
    }
}

/// How to reach the server by Kinesis's protocol.
#[derive(Args, Clone)]
pub struct KinesisArgs {
    /// The Kinesis endpoint [env: KOLK_KINESIS_ENDPOINT] [default: http://127.0.0.1:4567].
    #[arg(long, value_name = "URL")]
    kinesis_endpoint: Option<String>,
    /// The region to sign for [env: AWS_REGION] [default: us-east-1].
    #[arg(long, value_name = "REGION")]
    aws_region: Option<String>,
}

impl KinesisArgs {
    /// A client of the endpoint; signs with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` where they are set.
    pub fn kinesis(&self, door: &Door) -> Result<Kinesis, Failure> {
        let endpoint = given(&self.kinesis_endpoint, "KOLK_KINESIS_ENDPOINT", "http://127.0.0.1:4567");
        let endpoint =
            endpoint.parse().map_err(|error| Failure::Usage(format!("--kinesis-endpoint: {error}")))?;
        let mut options = kinesis::Options {
            region: given(&self.aws_region, "AWS_REGION", "us-east-1"),
            ..Default::default()
        };
        if let (Ok(id), Ok(secret)) =
            (std::env::var("AWS_ACCESS_KEY_ID"), std::env::var("AWS_SECRET_ACCESS_KEY"))
        {
            options.credentials = Some(kinesis::Credentials { access_key_id: id, secret_access_key: secret });
        }
        Ok(Kinesis::new(door.clone(), endpoint, options))
    }
}

pub(super) fn given(flag: &Option<String>, variable: &str, default: &str) -> String {
    let from_variable = || std::env::var(variable).ok().filter(|value| !value.is_empty());
    flag.clone().or_else(from_variable).unwrap_or_else(|| default.to_owned())
}

/// How data is printed.
#[derive(Args, Clone, Copy)]
pub struct OutputArgs {
    /// Prints one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Runs a command of the client side to its end, in one thread.
pub fn run<F: Future<Output = Result<(), Failure>>>(command: impl FnOnce(Door) -> F) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(anyhow::Error::new(error).context("cannot start")))?;
    runtime.block_on(async {
        let door = kolk_engine::door::real::door(Default::default());
        command(door).await
    })
}

/// Standard output, collected into large writes.
pub struct Out {
    to: BufWriter<Stdout>,
    /// Nobody reads it any more.
    closed: bool,
}

impl Out {
    /// Takes standard output.
    pub fn new() -> Out {
        Out { to: BufWriter::with_capacity(64 * 1024, std::io::stdout()), closed: false }
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.to.write_all(bytes).map_err(output_failed)
    }

    /// Writes a line.
    pub fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes an object as a line.
    pub fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(&value.to_string())
    }

    /// [`Out::json`] as long as somebody reads: for a command whose work is not the printing, and goes on without it.
    pub fn json_if_read(&mut self, value: &Value) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        match self.json(value) {
            Err(Failure::OutputClosed) => {
                self.closed = true;
                Ok(())
            }
            printed => printed,
        }
    }

    /// Hands everything on.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.to.flush().map_err(output_failed)
    }

    /// Writes rows in columns; the first one is the heading.
    pub fn table(&mut self, rows: &[Vec<String>]) -> Result<(), Failure> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            self.line(line.trim_end())?;
        }
        self.flush()
    }
}

/// What a command lists: a table, or an object a line.
pub struct Listing {
    out: Out,
    json: bool,
    rows: Vec<Vec<String>>,
}

impl Listing {
    /// A list of nothing yet; the table has this heading.
    pub fn new(output: OutputArgs, heading: Vec<String>) -> Listing {
        Listing { out: Out::new(), json: output.json, rows: vec![heading] }
    }

    /// Lists something.
    pub fn put(&mut self, object: &Value, row: Vec<String>) -> Result<(), Failure> {
        if self.json {
            return self.out.json(object);
        }
        self.rows.push(row);
        Ok(())
    }

    /// Ends the list.
    pub fn end(mut self) -> Result<(), Failure> {
        if self.json { self.out.flush() } else { self.out.table(&self.rows) }
    }
}

/// A row of a table.
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$($cell.to_string()),*] };
}
pub(super) use row;

/// A number in a row, or that there is none.
pub fn or_dash(number: Option<i64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

impl From<kolk_client::Error> for Failure {
    fn from(error: kolk_client::Error) -> Self {
        Failure::Failed(anyhow::Error::new(error))
    }
}
