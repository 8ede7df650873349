//! Kafka's own broker settings: the table `[kafka]`, `--kafka-set NAME=VALUE` and `KOLK_KAFKA_*`.
//!
//! Names, defaults and meaning are Kafka's, as DescribeConfigs shows them. Only what Kolk honours is here: a
//! setting that would change nothing is refused, so that nobody relies on it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use kolk_engine::state::configs::{self, ConfigDefaults};

use super::{ConfigError, Effective, Origin, nearest};

/// What values a setting takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number from `min` to `max`, both inclusive.
    Int {
        /// Least.
        min: i64,
        /// Most.
        max: i64,
    },
    /// `true` or `false`.
    Bool,
    /// What topic configs of this type take.
    TopicDefault(configs::Kind),
}

/// One of Kafka's broker settings.
#[derive(Clone, Debug)]
pub struct KafkaSetting {
    /// Kafka's name.
    pub name: &'static str,
    /// Its default, as text; empty if there is none.
    pub default: Cow<'static, str>,
    /// What it takes.
    pub kind: Kind,
    /// What it does, with its unit.
    pub doc: Cow<'static, str>,
}

impl KafkaSetting {
    /// Its variable: `num.partitions` is `KOLK_KAFKA_NUM_PARTITIONS`.
    pub fn variable(&self) -> String {
        format!("KOLK_KAFKA_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            Kind::Int { min, max } => match value.parse::<i64>() {
                Ok(number) if min <= number && number <= max => Ok(()),
                _ if max == i64::MAX => Err(format!("it is a whole number from {min}")),
                _ => Err(format!("it is a whole number from {min} to {max}")),
            },
            Kind::TopicDefault(_) => ConfigDefaults::default().set(self.name, value).map(drop),
            Kind::Bool if value == "true" || value == "false" => Ok(()),
            Kind::Bool => Err("it is true or false".to_owned()),
        }
    }

    /// The value as the configuration file spells it.
    pub(super) fn toml(&self, value: &str) -> toml::Value {
        match self.kind {
            Kind::Int { .. } | Kind::TopicDefault(configs::Kind::Int | configs::Kind::Long) => {
                toml::Value::Integer(value.parse().expect("values are checked when they are set"))
            }
            Kind::Bool | Kind::TopicDefault(configs::Kind::Boolean) => {
                toml::Value::Boolean(value.eq_ignore_ascii_case("true"))
            }
            Kind::TopicDefault(_) => toml::Value::String(value.to_owned()),
        }
    }
}

const I32: i64 = i32::MAX as i64;

const fn int(
    name: &'static str,
    default: &'static str,
    min: i64,
    max: i64,
    doc: &'static str,
) -> KafkaSetting {
    KafkaSetting {
        name,
        default: Cow::Borrowed(default),
        kind: Kind::Int { min, max },
        doc: Cow::Borrowed(doc),
    }
}

/// Every broker setting that Kolk honours, by name.
pub fn kafka_settings() -> &'static [KafkaSetting] {
    static ALL: LazyLock<Vec<KafkaSetting>> = LazyLock::new(|| {
        let mut all: Vec<KafkaSetting> = BROKER_SETTINGS.iter().cloned().chain(topic_defaults()).collect();
        all.sort_by_key(|setting| setting.name);
        all.dedup_by_key(|setting| setting.name);
        all
    });
    &ALL
}

/// Settings that give topic configs their defaults, but for those that Kolk keeps without acting on them.
fn topic_defaults() -> impl Iterator<Item = KafkaSetting> {
    configs::all().iter().filter(|config| config.honoured).flat_map(|config| {
        config.synonyms.iter().enumerate().map(|(at, synonym)| KafkaSetting {
            name: synonym.name,
            // Of several names for the same, in other units, the coarsest has the default, as on Kafka.
            default: match at + 1 == config.synonyms.len() {
                true => Cow::Owned(in_unit(config.default, synonym.factor)),
                false => Cow::Borrowed(""),
            },
            kind: Kind::TopicDefault(if synonym.factor == 1 { config.kind } else { configs::Kind::Long }),
            doc: Cow::Owned(if at == 0 {
                format!("Default of the topic config `{}`: {}", config.name, config.doc)
            } else {
                format!("The same as `{}`, in another unit.", config.synonyms[0].name)
            }),
        })
    })
}

fn in_unit(value: &str, factor: i64) -> String {
    match value.parse::<i64>() {
        Ok(number) if factor > 1 => (number / factor).to_string(),
        _ => value.to_owned(),
    }
}

/// Whether `a` and `b` are names for the same default of a topic config.
fn are_synonyms(a: &str, b: &str) -> bool {
    let has = |config: &configs::ConfigDef, name| config.synonyms.iter().any(|synonym| synonym.name == name);
    configs::all().iter().any(|config| has(config, a) && has(config, b))
}

const BROKER_SETTINGS: &[KafkaSetting] = &[
    KafkaSetting {
        name: "auto.create.topics.enable",
        default: Cow::Borrowed("true"),
        kind: Kind::Bool,
        doc: Cow::Borrowed("Whether asking for the metadata of a topic that is not there makes it."),
    },
    int("fetch.max.bytes", "57671680", 1024, I32, "Most bytes of records that one fetch is answered with."),
    int(
        "group.initial.rebalance.delay.ms",
        "3000",
        0,
        I32,
        "How long the first rebalance of an empty group waits for more members, in ms.",
    ),
    int(
        "group.max.session.timeout.ms",
        "1800000",
        1,
        I32,
        "Longest session timeout a consumer may ask for, in ms.",
    ),
    int("group.max.size", "2147483647", 1, I32, "Most members of one group."),
    int(
        "group.min.session.timeout.ms",
        "6000",
        1,
        I32,
        "Shortest session timeout a consumer may ask for, in ms.",
    ),
    int(
        "log.retention.check.interval.ms",
        "300000",
        1,
        i64::MAX,
        "How often records that have expired are looked for, in ms.",
    ),
    int(
        "max.incremental.fetch.session.cache.slots",
        "1000",
        0,
        I32,
        "Most incremental fetch sessions that are kept (KIP-227).",
    ),
    int("node.id", "1", 0, I32, "The number of this broker in metadata."),
    int("num.partitions", "1", 1, I32, "Partitions of topics that are made without a count."),
    int(
        "offset.metadata.max.bytes",
        "4096",
        0,
        I32,
        "Most bytes of metadata that a committed offset may carry.",
    ),
    int(
        "offsets.retention.check.interval.ms",
        "600000",
        1,
        i64::MAX,
        "How often expired committed offsets are looked for, in ms.",
    ),
    int(
        "offsets.retention.minutes",
        "10080",
        1,
        I32,
        "How long committed offsets outlive the last member of their group, in minutes.",
    ),
    int(
        "producer.id.expiration.ms",
        "86400000",
        1,
        I32,
        "How long an idempotent producer is remembered after its last record, in ms.",
    ),
    int("socket.request.max.bytes", "104857600", 1, I32, "Most bytes of one request."),
];

/// Values of Kafka's broker settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KafkaSettings {
    given: BTreeMap<&'static str, (String, Origin)>,
}

impl KafkaSettings {
    /// Sets one, over what a weaker source gave.
    pub fn set(&mut self, name: &str, value: &str, origin: Origin, place: &str) -> Result<(), ConfigError> {
        let Some(setting) = kafka_settings().iter().find(|setting| setting.name == name) else {
            return Err(ConfigError::Unknown {
                place: place.to_owned(),
                name: name.to_owned(),
                nearest: nearest(name, kafka_settings().iter().map(|setting| setting.name)),
            });
        };
        let value = value.trim();
        setting.check(value).map_err(|reason| ConfigError::Invalid {
            place: place.to_owned(),
            name: name.to_owned(),
            value: format!("`{value}`"),
            reason,
        })?;
        self.given.insert(setting.name, (value.to_owned(), origin));
        Ok(())
    }

    /// The effective value as text. `name` must be in [`kafka_settings`].
    pub fn text(&self, name: &'static str) -> &str {
        self.given.get(name).map_or_else(|| &*setting(name).default, |(value, _)| value)
    }

    /// The effective value of a number. `name` must be in [`kafka_settings`].
    pub fn int(&self, name: &'static str) -> i64 {
        self.text(name).parse().expect("values are checked when they are set")
    }

    /// The effective value of a yes or no. `name` must be in [`kafka_settings`].
    pub fn bool(&self, name: &'static str) -> bool {
        self.text(name) == "true"
    }

    /// What topics have where they set nothing themselves.
    pub fn topic_defaults(&self) -> ConfigDefaults {
        let mut defaults = ConfigDefaults::default();
        for (name, (value, _)) in &self.given {
            defaults.set(name, value).expect("values are checked when they are set");
        }
        defaults
    }

    pub(super) fn effective(&self) -> impl Iterator<Item = Effective> + '_ {
        kafka_settings().iter().map(|setting| {
            let (value, origin) = match self.given.get(setting.name) {
                Some((value, origin)) => (value.as_str(), origin.clone()),
                // What is given under another name holds.
                None if self.given.keys().any(|given| are_synonyms(given, setting.name)) => {
                    ("", Origin::Default)
                }
                None => (&*setting.default, Origin::Default),
            };
            let value = (!value.is_empty()).then(|| setting.toml(value));
            Effective { table: "kafka", key: setting.name.to_owned(), value, origin }
        })
    }
}

fn setting(name: &'static str) -> &'static KafkaSetting {
    kafka_settings()
        .iter()
        .find(|setting| setting.name == name)
        .unwrap_or_else(|| panic!("{name} is none of the broker settings"))
}
