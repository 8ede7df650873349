//! Bodies against independent codecs (serde_json, ciborium), and bodies that mean harm.

use bytes::Bytes;
use kolk_wire_kinesis::codec::{DEPTH_MAX, RecordsPieces};
use kolk_wire_kinesis::model::kinds::Kind;
use kolk_wire_kinesis::replies::*;
use kolk_wire_kinesis::requests::*;
use kolk_wire_kinesis::{DecodeError, Format, Timestamp, decode, decode_reply, encode};
use proptest::prelude::*;

const FORMATS: [Format; 2] = [Format::Json, Format::Cbor];

fn any_put() -> impl Strategy<Value = PutRecordsInput> {
    let entry = (
        proptest::option::of("[^\\x00-\\x1f]{1,40}|\\PC{1,20}|[\"\\\\/\n\t\u{1}😀]{1,9}"),
        proptest::option::of("0|[1-9][0-9]{0,38}"),
        proptest::collection::vec(any::<u8>(), 0..200),
    )
        .prop_map(|(partition_key, explicit_hash_key, data)| PutRecordsRequestEntry {
            partition_key,
            explicit_hash_key,
            data: Bytes::from(data),
        });
    (proptest::collection::vec(entry, 1..20), "[a-zA-Z0-9_.-]{1,128}", any::<Option<bool>>()).prop_map(
        |(records, stream_name, dry_run)| PutRecordsInput {
            records,
            stream_name: Some(stream_name),
            dry_run,
            ..Default::default()
        },
    )
}

fn any_page() -> impl Strategy<Value = GetRecordsOutput> {
    let record = (0i64..4_000_000_000_000, proptest::collection::vec(any::<u8>(), 0..100), "\\PC{1,20}")
        .prop_map(|(ms, data, key)| Record {
            approximate_arrival_timestamp: Some(Timestamp(ms)),
            data: Bytes::from(data),
            encryption_type: None,
            partition_key: Some(key),
            sequence_number: "1".to_owned(),
        });
    (proptest::collection::vec(record, 0..20), any::<i64>(), proptest::option::of("[a-z]{1,9}")).prop_map(
        |(records, behind, next)| GetRecordsOutput {
            child_shards: next.is_none().then(|| {
                vec![ChildShard {
                    hash_key_range: HashKeyRange {
                        ending_hash_key: "9".into(),
                        starting_hash_key: "0".into(),
                    },
                    parent_shards: vec!["shardId-000000000000".to_owned()],
                    shard_id: "shardId-000000000001".to_owned(),
                }]
            }),
            millis_behind_latest: Some(behind),
            next_shard_iterator: next,
            records,
        },
    )
}

fn json_of(body: &Bytes) -> serde_json::Value {
    serde_json::from_slice(body).expect("serde_json reads it")
}

fn cbor_of(body: &Bytes) -> ciborium::Value {
    ciborium::from_reader(&body[..]).expect("ciborium reads it")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn requests_round_trip(put in any_put()) {
        for format in FORMATS {
            let body = encode::<PutRecordsInput>(format, &put);
            prop_assert_eq!(decode::<PutRecordsInput>(format, &body), Ok(put.clone()));
        }
    }

    #[test]
    fn replies_round_trip(page in any_page()) {
        for format in FORMATS {
            let body = encode::<GetRecordsOutput>(format, &page);
            prop_assert_eq!(decode_reply::<GetRecordsOutput>(format, &body), Ok(page.clone()));
        }
    }

    #[test]
    fn a_page_in_pieces_is_the_page(page in any_page(), larger in any::<bool>()) {
        let mut page = page;
        if larger && let Some(first) = page.records.first_mut() {
            first.data = Bytes::from(vec![b'x'; 300_000]);
        }
        for format in FORMATS {
            let pieces: Vec<Bytes> = RecordsPieces::new(format, page.clone()).collect();
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
            prop_assert_eq!(pieces.concat(), encode::<GetRecordsOutput>(format, &page).to_vec());
        }
    }

    #[test]
    fn serde_json_and_ciborium_agree(put in any_put()) {
        use base64::Engine as _;
        let json = json_of(&encode::<PutRecordsInput>(Format::Json, &put));
        let cbor = cbor_of(&encode::<PutRecordsInput>(Format::Cbor, &put));
        let field = |map: &ciborium::Value, name: &str| {
            map.as_map().unwrap().iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value.clone())
        };
        let cbor_records = field(&cbor, "Records").unwrap();
        for (at, record) in put.records.iter().enumerate() {
            let data = base64::engine::general_purpose::STANDARD.encode(&record.data);
            prop_assert_eq!(json["Records"][at]["Data"].as_str(), Some(&*data));
            prop_assert_eq!(json["Records"][at]["PartitionKey"].as_str(), record.partition_key.as_deref());
            let cbor_record = &cbor_records.as_array().unwrap()[at];
            prop_assert_eq!(field(cbor_record, "Data").unwrap().into_bytes().unwrap(), record.data.to_vec());
            prop_assert_eq!(
                field(cbor_record, "PartitionKey").map(|key| key.into_text().unwrap()),
                record.partition_key.clone()
            );
        }
        // And back: what the other codecs write, ours reads.
        let body = Bytes::from(serde_json::to_vec_pretty(&json).unwrap());
        prop_assert_eq!(decode::<PutRecordsInput>(Format::Json, &body), Ok(put.clone()));
        let mut body = Vec::new();
        ciborium::into_writer(&cbor, &mut body).unwrap();
        prop_assert_eq!(decode::<PutRecordsInput>(Format::Cbor, &Bytes::from(body)), Ok(put));
    }

    #[test]
    fn json_is_read_exactly_when_serde_json_reads_it(text in "[\\[\\]{}\",:0-9eE.+ tfnalsru\\\\-]{0,24}|\\{\"a\":.{0,12}\\}") {
        let ours = decode::<ListStreamsInput>(Format::Json, &Bytes::from(text.clone()));
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        let expected = matches!(theirs, Ok(serde_json::Value::Object(_)));
        // serde_json has one more reason to refuse: numbers beyond a double.
        if !theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
            prop_assert_eq!(ours != Err(DecodeError::Malformed), expected, "{:?}", theirs);
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for format in FORMATS {
            let _ = decode::<PutRecordsInput>(format, &Bytes::from(body.clone()));
            let _ = decode::<AddTagsToStreamInput>(format, &Bytes::from(body.clone()));
        }
    }

    #[test]
    fn damaged_bodies_are_read_without_harm(put in any_put(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        for format in FORMATS {
            let mut body = encode::<PutRecordsInput>(format, &put).to_vec();
            let position = at.index(body.len());
            body[position] = byte;
            let _ = decode::<PutRecordsInput>(format, &Bytes::from(body.clone()));
            body.truncate(cut.index(body.len()));
            prop_assert!(decode::<PutRecordsInput>(format, &Bytes::from(body)).is_err());
        }
    }
}

fn is_malformed<K: Kind>(format: Format, body: impl Into<Bytes>) -> bool
where
    K::Value: std::fmt::Debug + PartialEq,
{
    decode::<K>(format, &body.into()) == Err(DecodeError::Malformed)
}

#[test]
fn nesting_has_an_end() {
    let json = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(decode::<ListStreamsInput>(Format::Json, &Bytes::from(json(DEPTH_MAX - 1))).is_ok());
    assert!(is_malformed::<ListStreamsInput>(Format::Json, json(DEPTH_MAX)));
    assert!(is_malformed::<ListStreamsInput>(Format::Json, "[".repeat(1 << 20)));
    assert!(is_malformed::<ListStreamsInput>(Format::Json, "{\"a\":".repeat(1 << 20)));
    assert!(is_malformed::<ListStreamsInput>(Format::Cbor, vec![0x9f; 1 << 20]));
    assert!(is_malformed::<ListStreamsInput>(
        Format::Cbor,
        [&b"\xbf\x61a"[..], &vec![0x81; 1 << 20]].concat()
    ));
    assert!(is_malformed::<ListStreamsInput>(
        Format::Cbor,
        [&b"\xbf\x61a"[..], &vec![0xc1; 1 << 20]].concat()
    ));
}

#[test]
fn claimed_lengths_cost_nothing() {
    for major in [0x5b, 0x7b, 0x9b, 0xbb] {
        for length in [u64::MAX, u64::MAX / 2, 1 << 40] {
            let mut body = b"\xbf\x67Records".to_vec();
            body.push(major);
            body.extend_from_slice(&length.to_be_bytes());
            assert!(is_malformed::<PutRecordsInput>(Format::Cbor, body));
        }
    }
}

#[test]
fn a_list_of_millions_is_refused_without_being_stored() {
    let body = format!("{{\"StreamName\":\"a\",\"Records\":[{}{{}}]}}", "{},".repeat(2_000_000));
    let Err(DecodeError::Invalid(text)) = decode::<PutRecordsInput>(Format::Json, &Bytes::from(body)) else {
        panic!("2,000,001 records were taken");
    };
    assert!(
        text.starts_with("10 validation errors detected: Value '[com.amazonaws.kinesis."),
        "{}",
        &text[..100]
    );
    assert!(text.len() < 40_000, "{}", text.len());
    let tags: String = (0..100_000).map(|at| format!("\"{at}\":\"\",")).collect();
    let body = format!("{{\"Tags\":{{{tags}\"x\":\"y\"}},\"StreamName\":\"a\"}}");
    let Err(DecodeError::Invalid(text)) = decode::<AddTagsToStreamInput>(Format::Json, &Bytes::from(body))
    else {
        panic!("100,001 tags were taken");
    };
    assert!(text.contains("Member must have length less than or equal to 200"), "{text}");
}

#[test]
fn a_long_value_is_not_repeated_whole() {
    let body = format!("{{\"StreamName\":\"{}\"}}", "é".repeat(1 << 20));
    let Err(DecodeError::Invalid(text)) = decode::<DescribeStreamInput>(Format::Json, &Bytes::from(body))
    else {
        panic!("a name of a million characters was taken");
    };
    assert!(text.len() < 40_000, "{}", text.len());
}

#[test]
fn blobs_of_a_cbor_body_share_its_memory() {
    let put = PutRecordInput {
        partition_key: Some("k".to_owned()),
        data: Bytes::from(vec![7; 1000]),
        stream_name: Some("s".to_owned()),
        ..Default::default()
    };
    let body = encode::<PutRecordInput>(Format::Cbor, &put);
    let read = decode::<PutRecordInput>(Format::Cbor, &body).unwrap();
    assert!(body.as_ptr_range().contains(&read.data.as_ptr()));
}

#[test]
fn timestamps_are_seconds_in_json_and_milliseconds_in_cbor() {
    let output = |ms| StreamSummary {
        stream_arn: "a".to_owned(),
        stream_creation_timestamp: Some(Timestamp(ms)),
        stream_mode_details: None,
        stream_name: "s".to_owned(),
        stream_status: StreamStatus::Active,
    };
    let json = |ms| String::from_utf8(encode::<StreamSummary>(Format::Json, &output(ms)).to_vec()).unwrap();
    assert!(json(1_543_252_344_978).contains(r#""StreamCreationTimestamp":1543252344.978,"#));
    assert!(json(1_543_252_344_000).contains(r#""StreamCreationTimestamp":1543252344,"#));
    assert!(json(-1).contains(r#""StreamCreationTimestamp":-0.001,"#));
    let cbor = cbor_of(&encode::<StreamSummary>(Format::Cbor, &output(1_543_252_344_978)));
    let tagged = ciborium::Value::Tag(1, Box::new(ciborium::Value::from(1_543_252_344_978u64)));
    assert!(cbor.as_map().unwrap().iter().any(|(_, value)| *value == tagged));

    let at = |body: &[u8], format| {
        decode::<GetShardIteratorInput>(format, &Bytes::copy_from_slice(body)).unwrap().timestamp
    };
    let json = |number: &str| {
        let body = format!(r#"{{"ShardId":"0","ShardIteratorType":"AT_TIMESTAMP","Timestamp":{number}}}"#);
        at(body.as_bytes(), Format::Json)
    };
    assert_eq!(json("1543252344.978"), Some(Timestamp(1_543_252_344_978)));
    assert_eq!(json("1.543252344978E9"), Some(Timestamp(1_543_252_344_978)));
    assert_eq!(json("1543252344"), Some(Timestamp(1_543_252_344_000)));
    let mut cbor = Vec::new();
    let map = ciborium::Value::Map(vec![
        ("ShardId".into(), "0".into()),
        ("ShardIteratorType".into(), "AT_TIMESTAMP".into()),
        ("Timestamp".into(), tagged),
    ]);
    ciborium::into_writer(&map, &mut cbor).unwrap();
    assert_eq!(at(&cbor, Format::Cbor), Some(Timestamp(1_543_252_344_978)));
}

#[test]
fn an_empty_reply_is_an_empty_structure() {
    for format in FORMATS {
        assert_eq!(decode_reply::<Nothing>(format, &Bytes::new()), Ok(Nothing {}));
    }
}
