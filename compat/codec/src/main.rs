//! Holds `kolk-wire-kafka` and its schema against two others: Kafka's own classes (the jar of `kafka-clients`, asked
//! through `compat/java/src/KafkaCodecOracle.java`) and crate `kafka-protocol`, an old and a new release.
//!
//! `codec-oracle CLASSPATH` prints `ok NAME` or `FAIL NAME: why` per case; without a class path the Java half is left
//! out. `KOLK_FULL=1` takes more random values.
#![allow(clippy::disallowed_methods, reason = "a tool beside the server: it reads the schema's files")]

use std::collections::BTreeMap;

use bytes::Bytes;
use kolk_wire_kafka::{for_each_api, messages};

mod crates;
mod definitions;
mod java;
#[path = "../../../crates/wire-kafka/schema/notation.rs"]
#[allow(dead_code)]
mod notation;
mod records;
#[path = "../../../crates/wire-kafka/schema/vectors.rs"]
mod vectors;

use notation::{Message, Schema};

fn main() -> anyhow::Result<()> {
    let schema = schema()?;
    let values = if std::env::var_os("KOLK_FULL").is_some() { 300 } else { 12 };
    let mut cases = Cases::default();
    crates::compare(&schema, values, &mut cases);
    match std::env::args().nth(1) {
        Some(class_path) => {
            let mut kafka = java::Kafka::start(&class_path)?;
            java::compare(&mut kafka, &schema, values, &mut cases)?;
            definitions::compare(&mut kafka, &schema, &mut cases)?;
            records::compare(&mut kafka, &mut cases)?;
        }
        None => println!("skip Kafka's own classes: no class path given"),
    }
    if cases.failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

/// What was found, printed as it is found.
#[derive(Default)]
struct Cases {
    failed: usize,
}

impl Cases {
    fn case(&mut self, name: &str, result: Result<String, String>) {
        match result {
            Ok(what) => println!("ok {name}: {what}"),
            Err(why) => {
                self.failed += 1;
                println!("FAIL {name}: {why}");
            }
        }
    }
}

fn schema() -> anyhow::Result<Schema> {
    let mut schema = Schema::default();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/wire-kafka/schema"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "kolk") {
            schema.add(&std::fs::read_to_string(path)?)?;
        }
    }
    schema.apis.sort_by_key(|api| api.key);
    Ok(schema)
}

/// Reads and writes by the generated code, which has to give the same bytes.
type Again = fn(Bytes, i16) -> Option<Bytes>;

fn again<M: kolk_wire_kafka::codec::Message>(bytes: Bytes, version: i16) -> Option<Bytes> {
    M::decode(bytes, version).ok()?.to_bytes(version).ok()
}

macro_rules! generated {
    ($($name:ident = $key:literal, $min:literal, $max:literal, $stable:literal, $flexible:expr,
        $module:ident::{$request:ident, $response:ident};)*) => {
        /// By the message's name.
        fn generated() -> BTreeMap<&'static str, Again> {
            BTreeMap::from([$(
                (stringify!($request), again::<messages::$module::$request> as Again),
                (stringify!($response), again::<messages::$module::$response> as Again),
            )*])
        }
    };
}
for_each_api!(generated);

/// A random value of the message, after checking that the generated code reads and writes it.
fn value(
    generated: &BTreeMap<&str, Again>,
    message: &Message,
    version: i16,
    seed: u64,
) -> Result<Bytes, String> {
    let bytes = Bytes::from(vectors::vector(message, version, seed));
    if let Some(again) = generated.get(message.name.as_str())
        && again(bytes.clone(), version).as_ref() != Some(&bytes)
    {
        return Err(format!("version {version}: the generated code differs from the schema, seed {seed}"));
    }
    Ok(bytes)
}
