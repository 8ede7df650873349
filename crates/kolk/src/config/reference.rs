//! `docs/configuration.md`, written from the settings themselves. A test compares the page with this.

use std::fmt::Write as _;

use kolk_engine::state::configs::Kind;

use super::kafka::kafka_settings;
use super::{command, file_key, joined, long, variable};

/// The reference page of all settings, in Markdown.
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Configuration\n\
         \n\
         <!-- Written from the settings in crates/kolk/src/config by `KOLK_BLESS=1 cargo test -p kolk`; do not edit. -->\n\
         \n\
         `kolk serve` runs without any setting. A value is taken from the first of: flag, `KOLK_*` variable, file\n\
         (`--config kolk.toml` or `KOLK_CONFIG`), default. A name that is no setting, or a value that a setting does\n\
         not take, stops the start with exit code 2 and names the nearest setting there is. `kolk config` prints every\n\
         effective value and where it came from, in the form of the file; `kolk config --json` prints one object a line.\n\
         \n\
         A flag that says yes or no can be overruled: `--ephemeral=false`. A setting that repeats is a list of strings\n\
         in the file; in a variable the entries have spaces in between. Variables that Kubernetes sets for a service\n\
         named `kolk` (`KOLK_SERVICE_HOST`, `KOLK_PORT_9092_TCP`, ...) are passed over.\n",
    );
    let command = command();
    let mut heading = "";
    for arg in command.get_arguments() {
        if arg.get_help_heading().unwrap_or_default() != heading {
            heading = arg.get_help_heading().unwrap_or_default();
            let _ = write!(page, "\n## {heading}\n");
        }
        let values = arg.get_value_names().unwrap_or_default().join(" ");
        let _ = write!(page, "\n### `--{} {values}`\n\n", long(arg));
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, "{}\n", help.trim_end().trim_end_matches('.').to_owned() + ".");
        let defaults: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
        let default =
            if defaults.is_empty() { "none".to_owned() } else { format!("`{}`", defaults.join(" ")) };
        let _ = write!(page, "Default: {default}.");
        if let Some(variable) = variable(arg) {
            let _ = write!(page, " Variable: `{variable}`.");
        }
        if let Some((table, key)) = file_key(arg) {
            let _ = write!(page, " File: `{}`.", joined(table, key));
        }
        page.push('\n');
    }
    page.push_str(
        "\n## Kafka's own settings\n\
         \n\
         By Kafka's names: in table `[kafka]` of the file (`num.partitions = 6`), as `--kafka-set num.partitions=6`, or\n\
         as a variable (`KOLK_KAFKA_NUM_PARTITIONS=6`). Only settings that Kolk honours are taken.\n\
         \n\
         | setting | takes | default | what it does |\n\
         |---|---|---|---|\n",
    );
    for setting in kafka_settings() {
        let takes = match (setting.kind, setting.range) {
            (Kind::Int | Kind::Long, Some((min, i64::MAX))) => format!("number from {min}"),
            (Kind::Int | Kind::Long, Some((min, max))) => format!("{min} to {max}"),
            (Kind::Int | Kind::Long, None) => "number".to_owned(),
            (Kind::Boolean, _) => "`true`, `false`".to_owned(),
            (Kind::Double, _) => "fraction".to_owned(),
            (Kind::String, _) => "text".to_owned(),
            (Kind::List, _) => "list".to_owned(),
        };
        let default =
            if setting.default.is_empty() { "none".to_owned() } else { format!("`{}`", setting.default) };
        let _ = writeln!(page, "| `{}` | {takes} | {default} | {} |", setting.name, setting.doc);
    }
    page
}
