//! Topic and broker configs as administrators see them: what holds, where it comes from, what else would.
//!
//! The topics' table, its checks and its defaults are `kolk_engine::state::configs`, the broker's own settings
//! [`crate::settings`]; here is the shape that DescribeConfigs wants. Only what Kolk honours is listed. Broker settings
//! are set at the start and read-only afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;

use kolk_engine::EngineExt;
use kolk_engine::state::Topic;
use kolk_engine::state::configs::{self, ConfigDef, ConfigDefaults, ConfigSource, Kind, Synonym};

use crate::settings::{BROKER_SETTINGS, BrokerSetting};
use crate::{Broker, Settings};

/// One config of a topic or of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: &'static str,
    /// What holds; `None` where nothing is set and nothing is the default.
    pub value: Option<String>,
    /// Where that comes from.
    pub source: Source,
    /// The type of its values.
    pub kind: Kind,
    /// What it does.
    pub doc: &'static str,
    /// Cannot be altered while the broker runs.
    pub read_only: bool,
    /// Everything that is set or default, what holds first.
    pub synonyms: Vec<ConfigSynonym>,
}

/// A value that a config has under some name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The name.
    pub name: &'static str,
    /// The value.
    pub value: String,
    /// Where it is set.
    pub source: Source,
}

/// Where a config is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// On the topic.
    Topic,
    /// When the broker was started.
    StaticBroker,
    /// Nowhere.
    Default,
}

/// Every config of a topic, by name. Those that Kafka 4.0 removed are there only where they are set.
pub fn of_topic(topic: &Topic, defaults: &ConfigDefaults) -> Vec<ConfigEntry> {
    let shown = configs::all().iter().filter(|def| !def.is_removed() || topic.configs.contains_key(def.name));
    let mut entries: Vec<ConfigEntry> = shown
        .map(|def| {
            let (value, source) = configs::resolve(&topic.configs, defaults, def);
            let value = value.to_owned();
            let mut synonyms = Vec::new();
            if source == ConfigSource::Topic {
                synonyms.push(ConfigSynonym { name: def.name, value: value.clone(), source: Source::Topic });
            }
            synonyms.extend(below_topic(def, defaults));
            ConfigEntry {
                name: def.name,
                value: Some(value),
                source: match source {
                    ConfigSource::Topic => Source::Topic,
                    ConfigSource::Broker(_) => Source::StaticBroker,
                    ConfigSource::Default => Source::Default,
                },
                kind: def.kind,
                doc: def.doc,
                read_only: false,
                synonyms,
            }
        })
        .collect();
    entries.extend(retired_partitions(topic));
    entries.sort_by_key(|entry| entry.name);
    entries
}

/// What merges of shards have left of partitions, so that Kafka's tools can show it; nothing on most topics.
fn retired_partitions(topic: &Topic) -> Option<ConfigEntry> {
    let open: BTreeSet<i32> = topic.open_shards().filter_map(|shard| shard.partition).collect();
    let retired = ranges((0..topic.partitions).filter(|index| !open.contains(index)));
    (!retired.is_empty()).then(|| ConfigEntry {
        name: RETIRED_PARTITIONS,
        value: Some(retired),
        source: Source::Default,
        kind: Kind::List,
        doc: "Partitions that a merge of shards has retired: they are read as before, and records produced to them are \
              refused with POLICY_VIOLATION until a split takes them up again. Told, not set.",
        read_only: true,
        synonyms: Vec::new(),
    })
}

/// Ascending numbers as text, `0,5-9999`: of 10,000 at most that takes less than the 32,767 bytes of a string in Kafka's
/// protocol, however they lie; one by one they could not be told.
fn ranges(ascending: impl Iterator<Item = i32>) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for number in ascending {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let told = runs
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    told.collect::<Vec<_>>().join(",")
}

/// The partitions that a value of [`RETIRED_PARTITIONS`] names; what is no number is passed over.
pub fn retired_in(value: &str) -> BTreeSet<i32> {
    let runs = value.split(',').filter_map(|run| {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    runs.flatten().collect()
}

/// What [`of_topic`] calls partitions without an open shard.
pub const RETIRED_PARTITIONS: &str = "kolk.retired.partitions";

/// What would hold of a topic config without an override.
fn below_topic(def: &'static ConfigDef, defaults: &ConfigDefaults) -> Vec<ConfigSynonym> {
    let mut synonyms = Vec::new();
    let none = std::collections::BTreeMap::new();
    if let (value, ConfigSource::Broker(name)) = configs::resolve(&none, defaults, def) {
        let factor = def.synonyms.iter().find(|synonym| synonym.name == name).map_or(1, |found| found.factor);
        synonyms.push(ConfigSynonym { name, value: unscaled(value, factor), source: Source::StaticBroker });
    }
    // Of several names (log.retention.ms, .minutes, .hours) Kafka 4.4 shows none for the default.
    if let [synonym] = def.synonyms {
        synonyms.push(default_under(def, synonym));
    }
    synonyms
}

/// A config's default as a broker-level name has it.
fn default_under(def: &ConfigDef, synonym: &'static Synonym) -> ConfigSynonym {
    let value = unscaled(def.default, synonym.factor);
    ConfigSynonym { name: synonym.name, value, source: Source::Default }
}

fn unscaled(value: &str, factor: i64) -> String {
    match value.parse::<i64>() {
        Ok(number) if factor > 1 && number > 0 => (number / factor).to_string(),
        _ => value.to_owned(),
    }
}

/// Every config of the broker, by name.
pub fn of_broker(settings: &Settings, defaults: &ConfigDefaults) -> Vec<ConfigEntry> {
    let untouched = Settings::default();
    let own = BROKER_SETTINGS.iter().map(|BrokerSetting { name, kind, doc, value, .. }| {
        let (value, default) = (value(settings), value(&untouched));
        let mut synonyms = vec![ConfigSynonym { name, value: default.clone(), source: Source::Default }];
        let source = if value == default { Source::Default } else { Source::StaticBroker };
        if source == Source::StaticBroker {
            synonyms.insert(0, ConfigSynonym { name, value: value.clone(), source });
        }
        ConfigEntry { name, value: Some(value), source, kind: *kind, doc, read_only: true, synonyms }
    });
    let mut entries: Vec<ConfigEntry> = own.collect();
    let mut seen = BTreeSet::new();
    for def in configs::all() {
        let set = below_topic(def, defaults);
        for synonym in def.synonyms {
            if !seen.insert(synonym.name) {
                continue;
            }
            let mut synonyms: Vec<ConfigSynonym> =
                set.iter().filter(|one| one.name == synonym.name).cloned().collect();
            // Of several names the coarsest, which is the last one, has the default.
            if def.synonyms.len() > 1 && def.synonyms.last() == Some(synonym) {
                synonyms.push(default_under(def, synonym));
            }
            entries.push(ConfigEntry {
                name: synonym.name,
                value: synonyms.first().map(|first| first.value.clone()),
                source: synonyms.first().map_or(Source::Default, |first| first.source),
                // What is counted in minutes or hours is an int.
                kind: if synonym.factor > 1 { Kind::Int } else { def.kind },
                doc: def.doc,
                read_only: true,
                synonyms,
            });
        }
    }
    entries.sort_by_key(|entry| entry.name);
    entries
}

impl Broker {
    /// The process's defaults of topic configs. They are no part of the log.
    pub fn config_defaults(&self) -> Arc<ConfigDefaults> {
        self.engine().peek(|state| Arc::clone(&state.limits().configs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They were told one by one: 48,880 bytes for 10,000 of them, and no DescribeConfigs of the topic could be answered.
    #[test]
    fn retired_partitions_fit_into_a_string_however_they_lie() {
        use kolk_wire_kafka::codec::STRING_BYTES_MAX;
        assert_eq!(ranges([0, 5, 6, 7, 9].into_iter()), "0,5-7,9");
        let most = kolk_engine::state::Limits::default().partitions_per_topic;
        for period in 1..10 {
            for open in 0..period {
                let retired: BTreeSet<i32> = (0..most).filter(|index| index % period >= open).collect();
                let told = ranges(retired.iter().copied());
                assert!(told.len() <= STRING_BYTES_MAX, "{open} of {period}: {}", told.len());
                assert_eq!(retired_in(&told), retired);
            }
        }
        assert_eq!(retired_in(""), BTreeSet::new());
    }

    #[test]
    fn broker_entries_are_sorted_and_name_what_holds() {
        let mut defaults = ConfigDefaults::default();
        assert_eq!(defaults.set("log.retention.hours", "2"), Ok(true));
        let settings = Settings { default_partitions: 6, ..Settings::default() };
        let entries = of_broker(&settings, &defaults);
        assert!(entries.windows(2).all(|pair| pair[0].name < pair[1].name), "sorted, none twice");
        let entry = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
        assert_eq!(entry("num.partitions").value.as_deref(), Some("6"));
        assert_eq!(entry("num.partitions").source, Source::StaticBroker);
        assert_eq!(entry("log.retention.hours").value.as_deref(), Some("2"));
        assert_eq!(entry("log.retention.ms").value, None);
        let synonyms: Vec<&str> =
            entry("log.retention.hours").synonyms.iter().map(|one| one.value.as_str()).collect();
        assert_eq!(synonyms, ["2", "168"], "what is set, then the default, which the coarsest name has");
    }
}
