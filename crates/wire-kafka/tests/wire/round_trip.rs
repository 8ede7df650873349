//! Bytes to value to bytes, for every message in every version.

use bytes::Bytes;
use kolk_wire_kafka::codec::EncodeError;
use kolk_wire_kafka::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use kolk_wire_kafka::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use proptest::prelude::*;

use crate::vectors::vector;
use crate::{again, for_each_version, schema};

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_comes_back_byte_for_byte(seed: u64) {
        for_each_version(|codec, message, version| {
            let bytes = Bytes::from(vector(message, version, seed));
            let written = (codec.again)(bytes.clone(), version);
            assert_eq!(written.as_ref(), Ok(&bytes), "{} {version} seed {seed}", message.name);
        });
    }

    #[test]
    fn a_value_of_one_version_is_written_in_another_or_refused(seed: u64) {
        for_each_version(|codec, message, from| {
            let bytes = Bytes::from(vector(message, from, seed));
            for to in message.versions.min..=message.versions.max {
                match (codec.across)(bytes.clone(), from, to) {
                    Ok(()) => {}
                    Err(EncodeError::FieldNotInVersion { version, .. } | EncodeError::UnexpectedNull { version, .. }) => {
                        assert!(version == to && from != to);
                    }
                    Err(other) => panic!("{} {from} {to}: {other}", message.name),
                }
            }
        });
    }
}

#[test]
fn the_plainest_message_comes_back() {
    for_each_version(|codec, message, version| {
        let bytes = Bytes::from(vector(message, version, 0));
        assert_eq!((codec.again)(bytes.clone(), version), Ok(bytes), "{} {version}", message.name);
    });
}

#[test]
fn the_blobs_of_consumers_come_back() {
    for message in &schema().data {
        for version in message.versions.min..=message.versions.max {
            for seed in 0..200 {
                let bytes = Bytes::from(vector(message, version, seed));
                let written = match message.name.as_str() {
                    "ConsumerProtocolSubscription" => {
                        again::<ConsumerProtocolSubscription>(bytes.clone(), version)
                    }
                    "ConsumerProtocolAssignment" => {
                        again::<ConsumerProtocolAssignment>(bytes.clone(), version)
                    }
                    other => panic!("{other}"),
                };
                assert_eq!(written, Ok(bytes));
            }
        }
    }
}
