//! Topic configs: one table with Kafka's names, types, defaults, checks and error texts, and lookups on it.
//!
//! Pure. A topic stores only its overrides; what holds is the override, else the process's setting under one
//! of the config's broker-level synonyms, else Kafka's default. Source: Kafka 4.4's topic configuration;
//! KIP-339 for incremental changes. `message.format.version` and `message.downconversion.enable`, which 4.0
//! removed, are still taken, as old tools send them.

mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::partition::AppendRules;
use super::{ConfigChange, ConfigOp, Refusal, Topic};

/// `cleanup.policy`.
pub const CLEANUP_POLICY: &str = "cleanup.policy";
/// `retention.ms`.
pub const RETENTION_MS: &str = "retention.ms";
/// `retention.bytes`.
pub const RETENTION_BYTES: &str = "retention.bytes";
/// `segment.bytes`.
pub const SEGMENT_BYTES: &str = "segment.bytes";
/// `segment.ms`.
pub const SEGMENT_MS: &str = "segment.ms";
/// `segment.jitter.ms`.
pub const SEGMENT_JITTER_MS: &str = "segment.jitter.ms";
/// `kolk.reshard`.
pub const RESHARD: &str = super::reshard::RESHARD_CONFIG;

const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const TIMESTAMP_TYPE: &str = "message.timestamp.type";
const TIMESTAMP_BEFORE: &str = "message.timestamp.before.max.ms";
const TIMESTAMP_AFTER: &str = "message.timestamp.after.max.ms";

/// Longest value of a config, in bytes.
const VALUE_MAX: usize = i16::MAX as usize;

/// One config that a topic can have.
#[derive(Debug)]
pub struct ConfigDef {
    /// Its name.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// Kafka's default.
    pub default: &'static str,
    /// What values are allowed beyond what the type says.
    pub rule: Rule,
    /// Broker settings that give its default, first one first.
    pub synonyms: &'static [Synonym],
    /// Whether anything acts on it; else it is kept and shown.
    pub honoured: bool,
    /// What it does.
    pub doc: &'static str,
}

/// A broker setting that gives a topic config its default.
#[derive(Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The broker setting's name.
    pub name: &'static str,
    /// What its value is multiplied by: it may be in minutes or hours.
    pub factor: i64,
}

/// The type of a config's values, as DescribeConfigs tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    Long,
    /// A floating point number.
    Double,
    /// Text.
    String,
    /// Texts with commas between them.
    List,
}

/// What a value must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing.
    Any,
    /// A least value.
    AtLeast(i64),
    /// A least and a greatest value.
    Between(i64, i64),
    /// -1 or 1 to 9.
    GzipLevel,
    /// 0 to 1.
    Ratio,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Any of these, with commas between them.
    SomeOf(&'static [&'static str]),
    /// `*`, or `partition:broker` pairs.
    Throttled,
    /// Not `true`: there is no tiered storage.
    NoTiers,
}

/// All topic configs, by name.
pub fn all() -> &'static [ConfigDef] {
    table::TABLE
}

/// A topic config by its name.
pub fn lookup(name: &str) -> Option<&'static ConfigDef> {
    let table = table::TABLE;
    table.binary_search_by(|def| def.name.cmp(name)).ok().map(|index| &table[index])
}

impl ConfigDef {
    /// Whether Kafka 4.0 removed it: shown only where it is set.
    pub fn is_removed(&self) -> bool {
        matches!(self.name, "message.format.version" | "message.downconversion.enable")
    }

    /// Why the config cannot have this value, in Kafka's words.
    pub fn check(&self, value: &str) -> Result<(), String> {
        let fail = |value: &str, why: String| {
            Err(format!("Invalid value {value} for configuration {}: {why}", self.name))
        };
        if value.len() > VALUE_MAX {
            return Err(format!(
                "The configuration value cannot be added because it exceeds the maximum value size of {VALUE_MAX} bytes."
            ));
        }
        let text = value.trim();
        let number = match self.kind {
            Kind::Boolean => match text {
                _ if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") => None,
                _ => return fail(value, "Expected value to be either true or false".to_owned()),
            },
            Kind::Int => match text.parse::<i32>() {
                Ok(number) => Some(i64::from(number)),
                Err(_) => return fail(value, "Not a number of type INT".to_owned()),
            },
            Kind::Long => match text.parse::<i64>() {
                Ok(number) => Some(number),
                Err(_) => return fail(value, "Not a number of type LONG".to_owned()),
            },
            Kind::Double | Kind::String | Kind::List => None,
        };
        let at_least = |number: i64, least: i64| {
            if number < least { fail(text, format!("Value must be at least {least}")) } else { Ok(()) }
        };
        match (self.rule, number) {
            (Rule::AtLeast(least), Some(number)) => at_least(number, least),
            (Rule::Between(least, _), Some(number)) if number < least => at_least(number, least),
            (Rule::Between(_, most), Some(number)) if number > most => {
                fail(text, format!("Value must be no more than {most}"))
            }
            (Rule::GzipLevel, Some(level)) if level != -1 && !(1..=9).contains(&level) => {
                fail(text, "Value must be between 1 and 9 or equal to -1".to_owned())
            }
            (Rule::Ratio, _) => match text.parse::<f64>() {
                Ok(ratio) if ratio > 1.0 => fail(text, "Value must be no more than 1".to_owned()),
                Ok(ratio) if ratio >= 0.0 => Ok(()),
                Ok(_) => fail(text, "Value must be at least 0".to_owned()),
                Err(_) => fail(value, "Not a number of type DOUBLE".to_owned()),
            },
            (Rule::NoTiers, _) if text.eq_ignore_ascii_case("true") => Err(
                "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
                 storage."
                    .to_owned(),
            ),
            (Rule::OneOf(allowed), _) if !allowed.contains(&text) => {
                fail(text, format!("String must be one of: {}", allowed.join(", ")))
            }
            (Rule::SomeOf(allowed), _) => {
                for item in list(text) {
                    if item.is_empty() {
                        return Err(format!("Configuration '{}' values must not be empty.", self.name));
                    }
                    if !allowed.contains(&item) {
                        return fail(item, format!("String must be one of: {}", allowed.join(", ")));
                    }
                }
                Ok(())
            }
            (Rule::Throttled, _) => {
                let pair = |item: &str| {
                    let digits = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
                    item.split_once(':')
                        .is_some_and(|(partition, broker)| digits(partition) && digits(broker))
                };
                if text == "*" || list(text).all(pair) {
                    return Ok(());
                }
                let items = list(text).collect::<Vec<_>>().join(", ");
                let name = self.name;
                fail(
                    &format!("[{items}]"),
                    format!(
                        "{name} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                    ),
                )
            }
            _ => Ok(()),
        }
    }
}

/// The items of a list config.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    let value = value.trim();
    value.split(',').map(str::trim).filter(move |_| !value.is_empty())
}

/// Checks overrides as a whole: names first, then values, then what they must keep to among each other.
pub fn validate_all(configs: &BTreeMap<String, String>, defaults: &ConfigDefaults) -> Result<(), Refusal> {
    let refuse = |reason| Refusal::InvalidConfig { reason };
    for name in configs.keys() {
        if lookup(name).is_none() {
            return Err(refuse(format!("Unknown topic config name: {name}")));
        }
    }
    for (name, value) in configs {
        lookup(name).expect("looked up above").check(value).map_err(refuse)?;
    }
    let lag = |name: &str| number(value_of(configs, defaults, name));
    let (least, most) = (lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"));
    if least > most {
        return Err(refuse(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        )));
    }
    Ok(())
}

/// Overrides after some changes, checked as a whole.
pub fn alter(
    mut configs: BTreeMap<String, String>,
    changes: &[ConfigChange],
    defaults: &ConfigDefaults,
) -> Result<BTreeMap<String, String>, Refusal> {
    for ConfigChange { name, op } in changes {
        let (verb, items, add) = match op {
            ConfigOp::Set(value) => {
                configs.insert(name.clone(), value.trim().to_owned());
                continue;
            }
            ConfigOp::Delete => {
                configs.remove(name);
                continue;
            }
            ConfigOp::Append(items) => ("APPEND", items, true),
            ConfigOp::Subtract(items) => ("SUBTRACT", items, false),
        };
        if lookup(name).is_none_or(|def| def.kind != Kind::List) {
            let reason = format!("Can't {verb} to key {name} because its type is not LIST.");
            return Err(Refusal::InvalidConfig { reason });
        }
        let now = edited(list(value_of(&configs, defaults, name)), list(items), add).join(",");
        configs.insert(name.clone(), now);
    }
    validate_all(&configs, defaults)?;
    Ok(configs)
}

/// A list with items that it does not have yet added behind it, or without them. Nothing else is decided meanwhile, so each
/// item is looked up and not compared with all.
fn edited<T: Ord + Copy>(now: impl Iterator<Item = T>, items: impl Iterator<Item = T>, add: bool) -> Vec<T> {
    let mut now: Vec<T> = now.collect();
    if add {
        let mut known: BTreeSet<T> = now.iter().copied().collect();
        now.extend(items.filter(|item| known.insert(*item)));
    } else {
        let gone: BTreeSet<T> = items.collect();
        now.retain(|item| !gone.contains(item));
    }
    now
}

/// Where a config's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// The topic's own override.
    Topic,
    /// The process's setting under this broker-level name.
    Broker(&'static str),
    /// Kafka's default.
    Default,
}

/// What holds of a config for a topic with these overrides, and why.
pub fn resolve<'a>(
    overrides: &'a BTreeMap<String, String>,
    defaults: &'a ConfigDefaults,
    def: &'static ConfigDef,
) -> (&'a str, ConfigSource) {
    match (overrides.get(def.name), defaults.settings.get(def.name)) {
        (Some(value), _) => (value, ConfigSource::Topic),
        (None, Some(setting)) => (&setting.value, ConfigSource::Broker(setting.synonym)),
        (None, None) => (def.default, ConfigSource::Default),
    }
}

/// What holds of a known config for a topic.
///
/// Panics if there is no config of that name.
pub fn effective<'a>(topic: &'a Topic, defaults: &'a ConfigDefaults, name: &str) -> &'a str {
    value_of(&topic.configs, defaults, name)
}

/// [`effective`], as the number it is.
pub fn effective_number(topic: &Topic, defaults: &ConfigDefaults, name: &str) -> i64 {
    number(effective(topic, defaults, name))
}

/// How long a topic's records are kept; `None`: for ever, because the config says so or because no `delete` is
/// among its cleanup policies.
pub fn retention_ms(topic: &Topic, defaults: &ConfigDefaults) -> Option<i64> {
    bound(topic, defaults, RETENTION_MS)
}

/// How many bytes each of a topic's partitions may take; `None`: as [`retention_ms`].
pub fn retention_bytes(topic: &Topic, defaults: &ConfigDefaults) -> Option<i64> {
    bound(topic, defaults, RETENTION_BYTES)
}

fn bound(topic: &Topic, defaults: &ConfigDefaults, name: &str) -> Option<i64> {
    let deletes = list(effective(topic, defaults, CLEANUP_POLICY)).any(|policy| policy == "delete");
    Some(effective_number(topic, defaults, name)).filter(|bound| deletes && *bound >= 0)
}

/// What partitions must know of their topic's overrides, which are valid.
pub(crate) fn append_rules(configs: &BTreeMap<String, String>) -> AppendRules {
    let number_of = |name| configs.get(name).map(|value| number(value));
    AppendRules {
        max_message_bytes: number_of(MAX_MESSAGE_BYTES).map(|bytes| bytes as i32),
        log_append_time: configs.get(TIMESTAMP_TYPE).map(|value| is_log_append_time(value)),
        timestamp_before_max_ms: number_of(TIMESTAMP_BEFORE),
        timestamp_after_max_ms: number_of(TIMESTAMP_AFTER),
        compacted: configs.get(CLEANUP_POLICY).map(|value| is_compacted(value)),
        segment_bytes: number_of(SEGMENT_BYTES).map(|bytes| bytes as i32),
        segment_ms: number_of(SEGMENT_MS),
        segment_jitter_ms: number_of(SEGMENT_JITTER_MS),
    }
}

fn is_log_append_time(value: &str) -> bool {
    value.trim() == "LogAppendTime"
}

fn is_compacted(policies: &str) -> bool {
    list(policies).any(|policy| policy == "compact")
}

fn value_of<'a>(
    overrides: &'a BTreeMap<String, String>,
    defaults: &'a ConfigDefaults,
    name: &str,
) -> &'a str {
    resolve(overrides, defaults, lookup(name).expect("a config of the table")).0
}

fn number(value: &str) -> i64 {
    value.trim().parse().expect("stored numbers were checked")
}

/// Topic config defaults as this process's settings have them, under their broker-level names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigDefaults {
    settings: BTreeMap<&'static str, Setting>,
    append: AppendDefaults,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    synonym: &'static str,
    /// How early the synonym stands in the table: `log.retention.ms` goes before `log.retention.hours`.
    rank: usize,
    value: String,
}

/// The part that appends look at, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppendDefaults {
    pub(crate) max_message_bytes: i32,
    pub(crate) log_append_time: bool,
    pub(crate) timestamp_before_max_ms: i64,
    pub(crate) timestamp_after_max_ms: i64,
    pub(crate) compacted: bool,
    pub(crate) segment_bytes: i32,
    pub(crate) segment_ms: i64,
    pub(crate) segment_jitter_ms: i64,
}

impl Default for ConfigDefaults {
    fn default() -> Self {
        let settings = BTreeMap::new();
        let append = AppendDefaults::of(&settings);
        ConfigDefaults { settings, append }
    }
}

impl AppendDefaults {
    fn of(settings: &BTreeMap<&'static str, Setting>) -> Self {
        let value = |name| match settings.get(name) {
            Some(setting) => setting.value.as_str(),
            None => lookup(name).expect("a config of the table").default,
        };
        AppendDefaults {
            max_message_bytes: number(value(MAX_MESSAGE_BYTES)) as i32,
            log_append_time: is_log_append_time(value(TIMESTAMP_TYPE)),
            timestamp_before_max_ms: number(value(TIMESTAMP_BEFORE)),
            timestamp_after_max_ms: number(value(TIMESTAMP_AFTER)),
            compacted: is_compacted(value(CLEANUP_POLICY)),
            segment_bytes: number(value(SEGMENT_BYTES)) as i32,
            segment_ms: number(value(SEGMENT_MS)),
            segment_jitter_ms: number(value(SEGMENT_JITTER_MS)),
        }
    }
}

impl ConfigDefaults {
    /// `message.max.bytes`.
    pub(crate) fn message_bytes_max(&self) -> usize {
        usize::try_from(self.append.max_message_bytes).unwrap_or(0)
    }

    /// Takes a broker setting such as `log.retention.hours`. `Ok(false)`: it is no topic config's synonym.
    /// The error says why the value cannot be.
    pub fn set(&mut self, broker_name: &str, value: &str) -> Result<bool, String> {
        let mut known = false;
        for def in table::TABLE {
            let Some(rank) = def.synonyms.iter().position(|synonym| synonym.name == broker_name) else {
                continue;
            };
            known = true;
            let synonym = &def.synonyms[rank];
            let value = match synonym.factor {
                1 => value.trim().to_owned(),
                factor => {
                    let count: i64 = value.trim().parse().map_err(|_| {
                        format!(
                            "Invalid value {value} for configuration {broker_name}: Not a number of type INT"
                        )
                    })?;
                    // Negative means no bound, whatever the unit.
                    if count < 0 { "-1".to_owned() } else { count.saturating_mul(factor).to_string() }
                }
            };
            def.check(&value).map_err(|reason| reason.replace(def.name, broker_name))?;
            let earlier = self.settings.get(def.name).is_some_and(|setting| setting.rank < rank);
            if !earlier {
                self.settings.insert(def.name, Setting { synonym: synonym.name, rank, value });
            }
        }
        self.append = AppendDefaults::of(&self.settings);
        Ok(known)
    }

    pub(crate) fn append(&self) -> &AppendDefaults {
        &self.append
    }
}
