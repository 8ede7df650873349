//! Places in partitions as commands take them, and the offsets that they come to.

use std::collections::BTreeMap;

use kolk_client::Error;
use kolk_client::kafka::{Kafka, OffsetSpec};

use super::time::When;

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    Earliest,
    Latest,
    /// An offset, or the nearest there is.
    Offset(i64),
    /// In front of the last records, so many.
    Last(i64),
    /// The first record from a time on; behind the last one if there is none.
    Time(When),
}

impl std::str::FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(time) = text.strip_prefix('@') {
            return time.parse().map(Where::Time);
        }
        match text {
            "earliest" | "beginning" => return Ok(Where::Earliest),
            "latest" | "end" => return Ok(Where::Latest),
            _ => {}
        }
        match text.parse::<i64>() {
            Ok(offset @ 0..) => Ok(Where::Offset(offset)),
            Ok(last) => Ok(Where::Last(last.saturating_neg())),
            Err(_) => Err("it is earliest, latest, an offset, -N or @TIME".to_owned()),
        }
    }
}

/// Partitions of a topic, and where the records of each began and ended when it was asked.
pub struct Bounds<'a> {
    kafka: &'a Kafka,
    topic: &'a str,
    bounds: BTreeMap<i32, (i64, i64)>,
}

impl<'a> Bounds<'a> {
    /// Of these partitions; of all if none is named.
    pub async fn of(kafka: &'a Kafka, topic: &'a str, partitions: &[i32]) -> Result<Self, Error> {
        let chosen = match partitions {
            [] => kafka.topic(topic).await?.partitions.keys().copied().collect(),
            named => named.to_vec(),
        };
        let ask = |spec| chosen.iter().map(|partition| (*partition, spec)).collect::<Vec<_>>();
        let earliest = kafka.list_offsets(topic, &ask(OffsetSpec::Earliest)).await?;
        let latest = kafka.list_offsets(topic, &ask(OffsetSpec::Latest)).await?;
        let bound = |partition| {
            let first = earliest[&partition].0;
            (partition, (first, latest[&partition].0.max(first)))
        };
        Ok(Bounds { kafka, topic, bounds: chosen.into_iter().map(bound).collect() })
    }

    /// The first offset of each partition and the one behind its last, by partition.
    pub fn all(&self) -> &BTreeMap<i32, (i64, i64)> {
        &self.bounds
    }

    /// The offset of a place in each partition, within its bounds.
    pub async fn offsets(&self, place: Where, now_ms: i64) -> Result<BTreeMap<i32, i64>, Error> {
        let by_time = match place {
            Where::Time(when) => {
                let spec = OffsetSpec::Timestamp(when.ms(now_ms));
                let asked: Vec<_> = self.bounds.keys().map(|partition| (*partition, spec)).collect();
                self.kafka.list_offsets(self.topic, &asked).await?
            }
            _ => BTreeMap::new(),
        };
        let offset = |(partition, (first, end)): (&i32, &(i64, i64))| {
            let found = match place {
                Where::Earliest => *first,
                Where::Latest => *end,
                Where::Offset(offset) => offset,
                Where::Last(count) => end - count,
                Where::Time(_) => by_time[partition].0,
            };
            // Nothing from a time on is told as -1.
            let found = if found < 0 && matches!(place, Where::Time(_)) { *end } else { found };
            (*partition, found.clamp(*first, *end))
        };
        Ok(self.bounds.iter().map(offset).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read() {
        for (text, place) in [
            ("earliest", Where::Earliest),
            ("end", Where::Latest),
            ("0", Where::Offset(0)),
            ("17", Where::Offset(17)),
            ("-5", Where::Last(5)),
            ("@1000", Where::Time(When::At(1000))),
            ("@15m", Where::Time(When::Ago(900_000))),
        ] {
            assert_eq!(text.parse(), Ok(place), "{text}");
        }
        for text in ["", "x", "@", "1.5"] {
            assert!(text.parse::<Where>().is_err(), "{text}");
        }
    }
}
