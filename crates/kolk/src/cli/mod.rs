//! The tree of commands.
//!
//! Data goes to standard output, everything else to standard error. `--json` prints one object a line.
//! A reader that closes the pipe ends quietly a command that only prints; what a command did or found is told by its exit
//! code all the same.

mod backup;
mod common;
mod consume;
mod format;
mod group;
mod inspect;
mod place;
mod produce;
mod repair;
mod settings;
mod shard;
mod time;
mod topic;

use std::process::ExitCode;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use kolk::config;

/// One durable log for Kafka clients and Kinesis SDKs.
#[derive(Parser)]
#[command(name = "kolk", version = kolk::version::VERSION, long_version = kolk::version::long(),
          propagate_version = false, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the server.
    #[command(after_long_help = "Example: kolk serve --data-dir ./kolk-data --create orders:6")]
    Serve(Given),
    /// Makes, lists, describes, alters, trims and deletes topics.
    #[command(subcommand)]
    Topic(topic::Topic),
    /// Lists, splits and merges shards, and takes sequence numbers apart.
    #[command(subcommand)]
    Shard(shard::Shard),
    /// Lists, describes, moves and deletes consumer groups.
    #[command(subcommand)]
    Group(group::Group),
    Produce(produce::Produce),
    Consume(consume::Consume),
    Backup(backup::Backup),
    Verify(inspect::Verify),
    Dump(inspect::Dump),
    Repair(repair::Repair),
    /// Prints every effective setting of the server and where it came from.
    ///
    /// Takes the flags of `kolk serve`. The output is a configuration file.
    #[command(after_long_help = "Example: kolk config --memory-max 1GiB > kolk.toml")]
    Config {
        #[command(flatten)]
        given: Given,
        /// Prints one JSON object a setting: table, key, value, origin.
        #[arg(long)]
        json: bool,
    },
    /// Prints the completion script of a shell.
    #[command(
        after_long_help = "Example: kolk completions bash > ~/.local/share/bash-completion/completions/kolk"
    )]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// The flags of the server's settings as they were given, before variables and file join them.
#[derive(Clone)]
struct Given(ArgMatches);

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Given(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

impl Args for Given {
    fn augment_args(command: clap::Command) -> clap::Command {
        config::augment(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        config::augment(command)
    }
}

/// Why a command did not do what it was asked.
pub enum Failure {
    /// It was asked in a wrong way: exit code 2.
    Usage(String),
    /// It went wrong: exit code 1.
    Failed(anyhow::Error),
    /// It went wrong, and that was logged: exit code 1.
    Logged,
    /// Nobody reads the output any more, and there was nothing left but to print: exit code 0.
    OutputClosed,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Failed(error)
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // Errors of usage end the process with exit code 2, --help and --version with 0.
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match cli.command {
        Command::Serve(given) => settings::serve(&given.0),
        Command::Topic(topic) => topic.run(),
        Command::Shard(shard) => shard.run(),
        Command::Group(group) => group.run(),
        Command::Produce(produce) => produce.run(),
        Command::Consume(consume) => consume.run(),
        Command::Backup(backup) => backup.run(),
        Command::Verify(verify) => verify.run(),
        Command::Dump(dump) => dump.run(),
        Command::Repair(repair) => repair.run(),
        Command::Config { given, json } => settings::print(&given.0, json),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "kolk", &mut script);
            write_out(&script)
        }
    };
    match result {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("kolk: {message}");
            ExitCode::from(2)
        }
        Err(Failure::Logged) => ExitCode::FAILURE,
        Err(Failure::Failed(error)) => {
            eprintln!("kolk: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, leaving out what was said already: some name their cause, some leave it to the chain.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Writes data to standard output.
fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(output_failed)
}

/// What an error of standard output means for the command.
fn output_failed(error: std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        Failure::OutputClosed
    } else {
        Failure::Failed(anyhow::Error::new(error).context("cannot write to standard output"))
    }
}
