//! Kafka's own broker settings: the table `[kafka]`, `--kafka-set NAME=VALUE` and `KOLK_KAFKA_*`.
//!
//! Names, defaults and meaning are Kafka's, as DescribeConfigs shows them. Only what Kolk honours is here: a
//! setting that would change nothing is refused, so that nobody relies on it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use kolk_broker::Settings;
use kolk_broker::settings::BROKER_SETTINGS;
use kolk_engine::state::configs::{self, ConfigDefaults, Kind};

use super::{ConfigError, Effective, Origin, nearest};

/// One of Kafka's broker settings.
#[derive(Clone, Debug)]
pub struct KafkaSetting {
    /// Kafka's name.
    pub name: &'static str,
    /// Its default, as text; empty if there is none.
    pub default: Cow<'static, str>,
    /// The type of its values.
    pub kind: Kind,
    /// The least and the greatest number that it takes, where that stands in a table.
    pub range: Option<(i64, i64)>,
    /// What it does, with its unit.
    pub doc: Cow<'static, str>,
}

impl KafkaSetting {
    /// Its variable: `num.partitions` is `KOLK_KAFKA_NUM_PARTITIONS`.
    pub fn variable(&self) -> String {
        format!("KOLK_KAFKA_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    fn check(&self, value: &str) -> Result<(), String> {
        Settings::default().set(self.name, value)?;
        ConfigDefaults::default().set(self.name, value).map(drop)
    }

    /// The value as the configuration file spells it.
    pub(super) fn toml(&self, value: &str) -> toml::Value {
        match self.kind {
            Kind::Int | Kind::Long => {
                toml::Value::Integer(value.parse().expect("values are checked when they are set"))
            }
            Kind::Boolean => toml::Value::Boolean(value.eq_ignore_ascii_case("true")),
            Kind::Double | Kind::String | Kind::List => toml::Value::String(value.to_owned()),
        }
    }
}

/// Every broker setting that Kolk honours, by name.
pub fn kafka_settings() -> &'static [KafkaSetting] {
    static ALL: LazyLock<Vec<KafkaSetting>> = LazyLock::new(|| {
        let mut all: Vec<KafkaSetting> = broker_settings().chain(topic_defaults()).collect();
        all.sort_by_key(|setting| setting.name);
        all.dedup_by_key(|setting| setting.name);
        all
    });
    &ALL
}

fn broker_settings() -> impl Iterator<Item = KafkaSetting> {
    let untouched = Settings::default();
    BROKER_SETTINGS.iter().filter(|setting| setting.can_be_set()).map(move |setting| KafkaSetting {
        name: setting.name,
        default: Cow::Owned((setting.value)(&untouched)),
        kind: setting.kind,
        range: setting.range(),
        doc: Cow::Borrowed(setting.doc),
    })
}

/// Settings that give topic configs their defaults, but for those that Kolk keeps without acting on them.
fn topic_defaults() -> impl Iterator<Item = KafkaSetting> {
    configs::all().iter().filter(|config| config.honoured).flat_map(|config| {
        config.synonyms.iter().enumerate().map(|(at, synonym)| KafkaSetting {
            name: synonym.name,
            // Of several names for the same, in other units, the coarsest has the default, as on Kafka.
            default: if at + 1 == config.synonyms.len() {
                Cow::Owned(in_unit(config.default, synonym.factor))
            } else {
                Cow::Borrowed("")
            },
            kind: if synonym.factor == 1 { config.kind } else { Kind::Long },
            range: None,
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

    /// Gives a broker's settings the values that were given.
    pub fn apply(&self, settings: &mut Settings) {
        for (name, (value, _)) in &self.given {
            settings.set(name, value).expect("values are checked when they are set");
        }
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
