//! The server's settings: one struct, documented per field, from which flags, `KOLK_*` variables, the keys of
//! `kolk.toml`, `kolk config` and `docs/configuration.md` all come.
//!
//! A value is taken from the first of: flag, variable, file, default. Everything that was given is checked, also
//! what a stronger source overrules; an unknown name or a value of the wrong type stops the start and names the
//! nearest name there is. Kafka's own broker settings are in [`kafka`]. What values look like is in [`values`].

pub mod kafka;
mod reference;
pub mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

pub use kafka::KafkaSettings;
pub use reference::reference_page;
use values::{ByteSize, HostPort, KafkaAssignment, KafkaListener, TopicSpec};

/// The settings of `kolk serve`, one field each; the doc comments are the help texts.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where the log is kept; made if it is not there.
    ///
    /// One process owns a data directory at a time.
    #[arg(long, value_name = "DIR", default_value = "./kolk-data", help_heading = "Log")]
    pub data_dir: PathBuf,

    /// Keeps the log in memory: nothing is written to disk, everything is gone when the server stops.
    ///
    /// Batches may take 1 GiB beside `--memory-max`; beyond that writes are refused until retention makes room.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true", hide_possible_values = true, help_heading = "Log")]
    pub ephemeral: bool,

    /// When a write is acknowledged: once it is on the disk, or once the operating system has it.
    ///
    /// With `os` a power cut loses acknowledged records; it exists for comparison.
    #[arg(
        long,
        value_enum,
        value_name = "disk|os",
        default_value = "disk",
        hide_possible_values = true,
        help_heading = "Log"
    )]
    pub durability: Durability,

    /// Most memory that requests and replies hold at one time.
    ///
    /// A size such as 256MiB. A request larger than a quarter of it is admitted alone.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", help_heading = "Log")]
    pub memory_max: ByteSize,

    /// Most bytes on disk that the write-ahead log takes before records move on into segments.
    ///
    /// A size from 32MiB. Writers are slowed down where it is reached. A small disk wants less, at the price of more
    /// rewriting.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = wal_max, help_heading = "Log")]
    pub wal_max: ByteSize,

    /// Makes a topic at the start unless it is there. Repeats.
    #[arg(long, value_name = "NAME:PARTITIONS", help_heading = "Log")]
    pub create: Vec<TopicSpec>,

    /// Most partitions (= shards) that one topic may have.
    #[arg(long, value_name = "N", default_value = "10000", help_heading = "Log",
          value_parser = clap::value_parser!(i32).range(1..))]
    pub topic_partitions_max: i32,

    /// Most partitions that all topics together may have.
    #[arg(long, value_name = "N", default_value = "100000", help_heading = "Log",
          value_parser = clap::value_parser!(i64).range(1..))]
    pub partitions_max: i64,

    /// Most consumer groups that are stored, those included that have committed offsets and no members.
    #[arg(long, value_name = "N", default_value = "100000", help_heading = "Log")]
    pub groups_max: usize,

    /// Most memory that the members of all consumer groups, their assignments and committed offsets may take.
    ///
    /// A size such as 128MiB, beside what --memory-max allows. One group may take message.max.bytes of it for its members.
    #[arg(long, value_name = "SIZE", default_value = "128MiB", help_heading = "Log")]
    pub group_state_max: ByteSize,

    /// Where Kafka clients come in, and the address they are told to come back to. Repeats.
    ///
    /// Port 0 takes a free port; `localhost` is 127.0.0.1 and [::1]. Metadata answers a client with the
    /// address of the listener it came in by: the one after `advertise=`, else for a wildcard such as 0.0.0.0
    /// the local address of that connection.
    #[arg(
        long,
        value_name = "ADDR[,advertise=HOST:PORT]",
        default_value = "localhost:9092",
        help_heading = "Listeners"
    )]
    pub kafka: Vec<KafkaListener>,

    /// Where Kinesis SDKs come in. Repeats.
    ///
    /// Port 0 takes a free port; `localhost` is 127.0.0.1 and [::1].
    #[arg(long, value_name = "ADDR", default_value = "localhost:4567", help_heading = "Listeners")]
    pub kinesis: Vec<HostPort>,

    /// Where operators and their programs come in: health, metrics, backup. Repeats.
    ///
    /// Not given: `localhost:8080`, or a free port with a warning when that one is taken. Port 0 takes a free port;
    /// `localhost` is 127.0.0.1 and [::1].
    #[arg(long, value_name = "ADDR", help_heading = "Listeners")]
    pub http: Vec<HostPort>,

    /// A file that is written, by rename, once the server takes requests.
    ///
    /// It holds one JSON object: `{"kafka":"HOST:PORT","kinesis":"HOST:PORT","http":"HOST:PORT","pid":N}`.
    #[arg(long, value_name = "FILE", help_heading = "Listeners")]
    pub ready_file: Option<PathBuf>,

    /// One of Kafka's own broker settings, by Kafka's name, such as num.partitions=6. Repeats.
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Kafka")]
    pub kafka_set: Vec<KafkaAssignment>,

    /// Answers as one Kafka broker does to a replication factor above 1 and to replicas on other brokers.
    ///
    /// Otherwise any is accepted, and metadata shows one replica. Any min.insync.replicas is accepted in either case.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true", hide_possible_values = true, help_heading = "Kafka")]
    pub strict_replication: bool,

    /// The region in ARNs.
    #[arg(long, value_name = "REGION", default_value = "us-east-1", value_parser = aws_region,
          help_heading = "Kinesis")]
    pub aws_region: String,

    /// The account in ARNs: 12 digits.
    #[arg(long, value_name = "ACCOUNT", default_value = "000000000000", value_parser = aws_account,
          help_heading = "Kinesis")]
    pub aws_account: String,

    /// Takes Kinesis requests without a signature too, such as those of curl.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true", hide_possible_values = true, help_heading = "Kinesis")]
    pub kinesis_unsigned: bool,

    /// Takes Kinesis requests of web pages from here too, such as https://app.example.com. Repeats.
    ///
    /// Pages that this machine serves itself (localhost, 127.0.0.1, [::1]) are always taken, others refused: no
    /// signature is checked, so any page in a browser could use the streams of a server that its machine can reach. `*`
    /// takes all.
    #[arg(long, value_name = "ORIGIN", value_parser = web_origin, help_heading = "Kinesis")]
    pub kinesis_cors: Vec<String>,

    /// What is logged to standard error: error, warn, info, debug or trace, also per module.
    ///
    /// Such as `warn` or `info,kolk_engine=debug`.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_filter, help_heading = "Logging")]
    pub log: String,

    /// How it is logged: for people, or one JSON object a line.
    #[arg(
        long,
        value_enum,
        value_name = "text|json",
        default_value = "text",
        hide_possible_values = true,
        help_heading = "Logging"
    )]
    pub log_format: LogFormat,
}

/// When a write is acknowledged.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on the disk.
    Disk,
    /// Once the operating system has it.
    Os,
}

/// How log lines look.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        let matches = command().get_matches_from([""]);
        Settings::from_arg_matches(&matches).expect("every setting has a legal default")
    }
}

fn wal_max(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse()?;
    if size.0 < 32 << 20 {
        return Err("the write-ahead log takes 32MiB at least".to_owned());
    }
    Ok(size)
}

fn aws_region(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=64).contains(&text.len()) && text.chars().all(legal) {
        Ok(text.to_owned())
    } else {
        Err("a region is lower-case letters, digits and `-`, such as us-east-1".to_owned())
    }
}

fn aws_account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("an account is 12 digits".to_owned())
    }
}

fn web_origin(text: &str) -> Result<String, String> {
    let is_origin = text.split_once("://").is_some_and(|(scheme, place)| {
        !scheme.is_empty() && !place.is_empty() && !place.contains(['/', '?', '#', '@', ' '])
    });
    if text == "*" || is_origin {
        Ok(text.to_owned())
    } else {
        Err("an origin is a scheme, a host and maybe a port, such as https://app.example.com, or `*`"
            .to_owned())
    }
}

fn log_filter(text: &str) -> Result<String, String> {
    match text.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("a level is error, warn, info, debug or trace, also as module=level".to_owned()),
    }
}

/// Where an effective value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag,
    /// A variable of this name.
    Variable(String),
    /// The configuration file.
    File(PathBuf),
    /// Nobody gave one.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Variable(name) => f.write_str(name),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// An effective value, for `kolk config`.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// The table of the file that it is in; empty for the top.
    pub table: &'static str,
    /// Its key in that table.
    pub key: String,
    /// The value; `None` if there is none and that is the default.
    pub value: Option<toml::Value>,
    /// Where it came from.
    pub origin: Origin,
}

/// Why the settings given cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not TOML: {error}")]
    NotToml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: String,
    },
    /// A name that is no setting.
    #[error("{place}: there is no setting `{name}`{}", did_you_mean(.nearest))]
    Unknown {
        /// The file, table, or flag that names it.
        place: String,
        /// The name.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// A value that the setting does not take.
    #[error("{place}: `{name}` cannot be {value}: {reason}")]
    Invalid {
        /// Where it was given.
        place: String,
        /// The setting as that place names it.
        name: String,
        /// The value.
        value: String,
        /// What it takes.
        reason: String,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// The name in `known` that `name` was most likely meant to be.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// What the server runs with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Kolk's own settings.
    pub settings: Settings,
    /// Kafka's broker settings.
    pub kafka: KafkaSettings,
}

/// [`Config`] with where each value came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The same with their origins, in the order of the reference page.
    pub effective: Vec<Effective>,
}

/// Adds `--config` and the settings' flags, with their variables in the help texts, to a command.
pub fn augment(command: Command) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(ValueParser::path_buf())
        .help(format!("Reads settings from a TOML file [env: {CONFIG_VARIABLE}]"));
    let ids: Vec<_> = self::command().get_arguments().map(|arg| arg.get_id().clone()).collect();
    Settings::augment_args(command.arg(config)).mut_args(|arg| {
        match ids.contains(arg.get_id()).then(|| variable(&arg)).flatten() {
            Some(variable) => {
                let short = arg.get_help().map(|h| format!("{h} [env: {variable}]")).unwrap_or_default();
                let long = arg.get_long_help().map(|h| format!("{h}\n\n[env: {variable}]"));
                let arg = arg.help(short);
                if let Some(long) = long { arg.long_help(long) } else { arg }
            }
            None => arg,
        }
    })
}

const CONFIG_VARIABLE: &str = "KOLK_CONFIG";

/// Variables of the client commands, which a server's environment may hold too.
const CLIENT_VARIABLES: [&str; 3] = ["KOLK_SERVER", "KOLK_KINESIS_ENDPOINT", "KOLK_HTTP_ENDPOINT"];

/// The settings' flags alone.
fn command() -> Command {
    Settings::augment_args(Command::new("settings").no_binary_name(false).disable_help_flag(true))
}

fn long(arg: &Arg) -> &str {
    arg.get_long().expect("every setting has a long flag")
}

/// The variable of a setting; those that the table `[kafka]` holds have their own.
fn variable(arg: &Arg) -> Option<String> {
    (long(arg) != "kafka-set").then(|| format!("KOLK_{}", long(arg).replace('-', "_").to_ascii_uppercase()))
}

/// Table and key in the file: everything is at the top under its flag's name, but Kafka's listeners.
fn file_key(arg: &Arg) -> Option<(&'static str, &str)> {
    match long(arg) {
        "kafka" => Some(("kafka", "listeners")),
        "kafka-set" => None,
        name => Some(("", name)),
    }
}

fn takes_many(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Append)
}

fn is_bool(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == ValueParser::bool().type_id()
}

/// Checks text for a setting by itself, so that the error can say where it was given.
fn check(arg: &Arg, value: &str, place: String, name: &str) -> Result<(), ConfigError> {
    let alone = command().try_get_matches_from(["", &format!("--{}={value}", long(arg))]);
    alone.map(drop).map_err(|error| {
        let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_else(|| {
            let choices: Vec<_> = arg.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
            if choices.is_empty() {
                error.kind().to_string()
            } else {
                format!("it is one of {}", choices.join(", "))
            }
        });
        ConfigError::Invalid { place, name: name.to_owned(), value: format!("`{value}`"), reason }
    })
}

/// Settles what the server runs with from the matches of a command made by [`augment`] and the variables of the
/// process.
pub fn load(
    flags: &ArgMatches,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    let variables: BTreeMap<String, String> = variables
        .filter(|(name, _)| name.to_string_lossy().starts_with("KOLK_"))
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let path = match flags.get_one::<PathBuf>("config") {
        Some(path) => Some(path.clone()),
        None => variables.get(CONFIG_VARIABLE).map(PathBuf::from),
    };
    let file = path.as_deref().map(read_file).transpose()?.unwrap_or_default();
    let command = command();
    let settings: Vec<&Arg> = command.get_arguments().collect();
    refuse_unknown_variables(&settings, &variables)?;
    if let Some(path) = &path {
        refuse_unknown_keys(&settings, path, &file)?;
    }

    let mut argv = vec![String::new()];
    let mut effective = Vec::new();
    for arg in settings {
        let mut winner = None;
        if let Some((table, key)) = file_key(arg)
            && let Some(path) = &path
            && let Some(value) = file.get(&joined(table, key))
        {
            let texts = texts(arg, value, path, &joined(table, key))?;
            winner = Some((texts, Origin::File(path.clone())));
        }
        if let Some(name) = variable(arg)
            && let Some(value) = variables.get(&name)
        {
            let texts: Vec<String> = if takes_many(arg) {
                value.split_whitespace().map(str::to_owned).collect()
            } else {
                vec![value.clone()]
            };
            for text in &texts {
                check(arg, text, "environment".to_owned(), &name)?;
            }
            winner = Some((texts, Origin::Variable(name)));
        }
        if flags.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            let raw = flags.get_raw(arg.get_id().as_str()).into_iter().flatten();
            winner = Some((raw.map(|v| v.to_string_lossy().into_owned()).collect(), Origin::Flag));
        }
        let (texts, origin) = winner.unwrap_or_else(|| {
            let defaults = arg.get_default_values().iter();
            (defaults.map(|v| v.to_string_lossy().into_owned()).collect(), Origin::Default)
        });
        argv.extend(texts.iter().map(|text| format!("--{}={text}", long(arg))));
        if let Some((table, key)) = file_key(arg) {
            effective.push(Effective { table, key: key.to_owned(), value: shown(arg, texts), origin });
        }
    }
    let matches = command.clone().try_get_matches_from(argv).expect("each value was checked by itself");
    let settings = Settings::from_arg_matches(&matches).expect("each value was checked by itself");

    let mut kafka = KafkaSettings::default();
    let in_file = file.iter().filter_map(|(name, value)| Some((name.strip_prefix("kafka.")?, value)));
    for (name, value) in in_file.filter(|(name, _)| *name != "listeners") {
        let path = path.clone().expect("there are keys only with a file");
        kafka.set(name, &scalar(value), Origin::File(path.clone()), &place(&path))?;
    }
    for setting in kafka::kafka_settings() {
        let name = setting.variable();
        if let Some(value) = variables.get(&name) {
            kafka.set(setting.name, value, Origin::Variable(name), "environment")?;
        }
    }
    for KafkaAssignment { name, value } in &settings.kafka_set {
        kafka.set(name, value, Origin::Flag, "--kafka-set")?;
    }
    effective.extend(kafka.effective());
    // In the file keys of a table stand together.
    effective.sort_by_key(|e| e.table);
    Ok(Loaded { config: Config { settings, kafka }, effective })
}

fn joined(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

fn place(path: &Path) -> String {
    path.display().to_string()
}

/// The file's keys with dots in between, so that `[kafka]` `num.partitions` is one name.
#[allow(clippy::disallowed_methods, reason = "the configuration is read before there is a door")]
fn read_file(path: &Path) -> Result<BTreeMap<String, toml::Value>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::NotToml {
        path: path.to_owned(),
        error: error.to_string().trim_end().to_owned(),
    })?;
    let mut flat = BTreeMap::new();
    flatten("", table, &mut flat);
    Ok(flat)
}

fn flatten(prefix: &str, table: toml::Table, flat: &mut BTreeMap<String, toml::Value>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(table) if !table.is_empty() => flatten(&joined(prefix, &key), table, flat),
            toml::Value::Table(_) if prefix.is_empty() && key == "kafka" => {}
            value => {
                flat.insert(joined(prefix, &key), value);
            }
        }
    }
}

/// A value of the file as the texts that flags would carry.
fn texts(arg: &Arg, value: &toml::Value, path: &Path, name: &str) -> Result<Vec<String>, ConfigError> {
    let wrong = |reason: &str| ConfigError::Invalid {
        place: place(path),
        name: name.to_owned(),
        value: format!("{} ({})", value, value.type_str()),
        reason: reason.to_owned(),
    };
    let texts = match value {
        toml::Value::Boolean(value) if is_bool(arg) => vec![value.to_string()],
        _ if is_bool(arg) => return Err(wrong("it is true or false")),
        toml::Value::String(_) | toml::Value::Integer(_) => vec![scalar(value)],
        toml::Value::Array(values) if takes_many(arg) && values.iter().all(toml::Value::is_str) => {
            values.iter().map(scalar).collect()
        }
        _ if takes_many(arg) => return Err(wrong("it is a list of strings")),
        _ => return Err(wrong("it is a string")),
    };
    for text in &texts {
        check(arg, text, place(path), name)?;
    }
    Ok(texts)
}

fn scalar(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn shown(arg: &Arg, texts: Vec<String>) -> Option<toml::Value> {
    if takes_many(arg) {
        Some(toml::Value::Array(texts.into_iter().map(toml::Value::String).collect()))
    } else {
        let text = texts.into_iter().next()?;
        Some(if is_bool(arg) { toml::Value::Boolean(text == "true") } else { toml::Value::String(text) })
    }
}

fn refuse_unknown_keys(
    settings: &[&Arg],
    path: &Path,
    file: &BTreeMap<String, toml::Value>,
) -> Result<(), ConfigError> {
    let keys = settings.iter().filter_map(|arg| file_key(arg)).map(|(table, key)| joined(table, key));
    let known: Vec<String> =
        keys.chain(kafka::kafka_settings().iter().map(|setting| joined("kafka", setting.name))).collect();
    match file.keys().find(|key| !known.contains(key)) {
        None => Ok(()),
        Some(name) => Err(ConfigError::Unknown {
            place: place(path),
            name: name.clone(),
            nearest: nearest(name, known.iter().map(String::as_str)),
        }),
    }
}

fn refuse_unknown_variables(
    settings: &[&Arg],
    variables: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    let mut known: Vec<String> = settings.iter().filter_map(|arg| variable(arg)).collect();
    known.extend(kafka::kafka_settings().iter().map(kafka::KafkaSetting::variable));
    known.extend(CLIENT_VARIABLES.iter().map(|name| (*name).to_owned()));
    known.push(CONFIG_VARIABLE.to_owned());
    match variables.keys().find(|name| !known.contains(name) && !is_service_link(name)) {
        None => Ok(()),
        Some(name) => Err(ConfigError::Unknown {
            place: "environment".to_owned(),
            name: name.clone(),
            nearest: nearest(name, known.iter().map(String::as_str)),
        }),
    }
}

/// Whether Kubernetes or `docker --link` sets such a variable in every container beside a service named `kolk`
/// or `kolk-...`: `KOLK_SERVICE_HOST`, `KOLK_KAFKA_SERVICE_PORT_X`, `KOLK_PORT`, `KOLK_PORT_9092_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    let port = |rest: &str| {
        rest.is_empty() || rest.starts_with('_') && rest[1..].starts_with(|c: char| c.is_ascii_digit())
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT").is_some_and(|(_, rest)| port(rest))
}

#[cfg(test)]
mod tests;
