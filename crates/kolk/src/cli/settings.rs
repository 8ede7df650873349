//! `kolk serve` and `kolk config`: what both do with the settings.

use clap::ArgMatches;
use kolk::config;
use serde_json::json;

use super::{Failure, write_out};

fn load(given: &ArgMatches) -> Result<config::Loaded, Failure> {
    config::load(given, std::env::vars_os()).map_err(|error| Failure::Usage(error.to_string()))
}

/// Starts the server and runs it to its end.
pub fn serve(given: &ArgMatches) -> Result<(), Failure> {
    let loaded = load(given)?;
    kolk::serve::start_log(&loaded.config.settings);
    let format = loaded.config.settings.log_format;
    kolk::serve::run(loaded.config).map_err(|error| match format {
        config::LogFormat::Text => Failure::Failed(anyhow::Error::new(error)),
        // Who reads objects finds the reason among them.
        config::LogFormat::Json => {
            tracing::error!(reason = %error, "the server does not start, or ends");
            Failure::Logged
        }
    })
}

/// Prints every effective value and where it came from.
pub fn print(given: &ArgMatches, json: bool) -> Result<(), Failure> {
    let loaded = load(given)?;
    let mut out = String::new();
    let mut table = "";
    for setting in &loaded.effective {
        if json {
            let value = match &setting.value {
                None => json!(null),
                Some(value) => {
                    serde_json::to_value(value).expect("a TOML value without dates is a JSON value")
                }
            };
            let line = json!({
                "table": setting.table,
                "key": setting.key,
                "value": value,
                "origin": setting.origin.to_string(),
            });
            out.push_str(&format!("{line}\n"));
            continue;
        }
        if setting.table != table {
            table = setting.table;
            out.push_str(&format!("\n[{table}]\n"));
        }
        match &setting.value {
            Some(value) => out.push_str(&format!("{} = {value}  # {}\n", setting.key, setting.origin)),
            None => out.push_str(&format!("# {} is not set\n", setting.key)),
        }
    }
    write_out(out.as_bytes())
}
