//! The `kolk` binary: the tree of commands and their exit codes, 0 done, 1 failed, 2 wrong usage or settings.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
