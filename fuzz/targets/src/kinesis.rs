//! Bodies in JSON and CBOR, and the texts that clients carry for us.

use bytes::Bytes;
use kolk_wire_kinesis::codec::{decode, encode};
use kolk_wire_kinesis::iterator::{ShardIterator, ShardsPage, StreamsPage};
use kolk_wire_kinesis::model::operations::Request;
use kolk_wire_kinesis::requests::*;
use kolk_wire_kinesis::sequence::SequenceNumber;
use kolk_wire_kinesis::token::{NONCE_BYTES, Purpose, Sealer};
use kolk_wire_kinesis::{Format, hashkey, partition_key, shard_id};

fn round<R: Request + PartialEq + std::fmt::Debug>(format: Format, body: &Bytes) {
    let Ok(request) = decode::<R>(format, body) else { return };
    for written_as in [Format::Json, Format::Cbor] {
        let written = encode::<R>(written_as, &request);
        let again = decode::<R>(written_as, &written);
        // JSON's numbers are doubles: a timestamp of the year 140,000 loses its milliseconds.
        let exact =
            written_as == Format::Cbor || !format!("{request:?}").split("Timestamp(").skip(1).any(is_far);
        if exact {
            assert_eq!(again.as_ref(), Ok(&request), "{written_as:?} of {format:?}");
        }
    }
}

/// Whether a text begins with a number of milliseconds that a double of seconds cannot tell from its neighbours.
fn is_far(text: &str) -> bool {
    let digits = text.trim_start_matches('-').bytes().take_while(u8::is_ascii_digit).count();
    digits > 15
}

macro_rules! operations {
    ($($input:ident)*) => {
        const OPERATIONS: &[fn(Format, &Bytes)] = &[$(round::<$input>),*];
    };
}
operations! {
    PutRecordsInput PutRecordInput GetRecordsInput GetShardIteratorInput ListShardsInput CreateStreamInput
    DescribeStreamInput DescribeStreamSummaryInput ListStreamsInput SplitShardInput MergeShardsInput
    UpdateShardCountInput AddTagsToStreamInput TagResourceInput UntagResourceInput ListTagsForStreamInput
    IncreaseStreamRetentionPeriodInput DeleteStreamInput
}

/// The first byte chooses the operation.
fn body(format: Format, input: &Bytes) {
    let Some(first) = input.first() else { return };
    OPERATIONS[usize::from(*first) % OPERATIONS.len()](format, &input.slice(1..));
}

pub fn json(input: Bytes) {
    body(Format::Json, &input);
}

pub fn cbor(input: Bytes) {
    body(Format::Cbor, &input);
}

const SEEDS: &[(u8, &str)] = &[
    (
        0,
        r#"{"StreamName":"s","Records":[{"Data":"aGk=","PartitionKey":"k"},{"Data":"","PartitionKey":"é","ExplicitHashKey":"0"}]}"#,
    ),
    (1, r#"{"StreamName":"s","Data":"aGk=","PartitionKey":"k","SequenceNumberForOrdering":"49"}"#),
    (2, r#"{"ShardIterator":"AAAA","Limit":10}"#),
    (
        3,
        r#"{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"AT_TIMESTAMP","Timestamp":1.5e9}"#,
    ),
    (
        4,
        r#"{"StreamName":"s","ShardFilter":{"Type":"AT_TIMESTAMP","Timestamp":1700000000.123},"MaxResults":5}"#,
    ),
    (5, r#"{"StreamName":"s","ShardCount":3,"StreamModeDetails":{"StreamMode":"PROVISIONED"}}"#),
    (12, r#"{"StreamName":"s","Tags":{"a":"b","c":""}}"#),
    (14, r#"{"ResourceARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","TagKeys":["a","b"]}"#),
    (
        0,
        r#"{"StreamName":"\u00e9\ud83d\ude00\n","Records":[[[[[[[[[[[[{"x":null}]]]]]]]]]]]],"Unknown":{"a":[1,-2.5,true]}}"#,
    ),
];

/// Requests as SDKs send them, and one that no SDK sends.
pub fn json_seeds() -> Vec<Vec<u8>> {
    SEEDS.iter().map(|(operation, text)| [&[*operation], text.as_bytes()].concat()).collect()
}

/// The same in CBOR; timestamps under tag 1, byte strings whole and in chunks.
pub fn cbor_seeds() -> Vec<Vec<u8>> {
    fn again<R: Request>(text: &str) -> Option<Vec<u8>> {
        let request = decode::<R>(Format::Json, &Bytes::copy_from_slice(text.as_bytes())).ok()?;
        Some(encode::<R>(Format::Cbor, &request).to_vec())
    }
    let mut seeds = Vec::new();
    for (operation, text) in SEEDS {
        let written = match operation {
            0 => again::<PutRecordsInput>(text),
            1 => again::<PutRecordInput>(text),
            3 => again::<GetShardIteratorInput>(text),
            4 => again::<ListShardsInput>(text),
            12 => again::<AddTagsToStreamInput>(text),
            _ => None,
        };
        seeds.extend(written.map(|bytes| [&[*operation][..], &bytes].concat()));
    }
    // {_ "Data": (_ h'01', h'02'), "PartitionKey": "k", "StreamName": "s"}
    let chunked = b"\x01\xbf\x64Data\x5f\x41\x01\x41\x02\xff\x6cPartitionKey\x61k\x6aStreamName\x61s\xff";
    seeds.push(chunked.to_vec());
    seeds
}

/// Iterators, page tokens, sequence numbers, shard ids, hash keys, partition keys.
pub fn tokens(input: Bytes) {
    let sealer = Sealer::new(&[7; 32]);
    let nonce = [9; NONCE_BYTES];
    // Sealed with our key, so that what lies behind the seal is reached; a client cannot do that.
    for purpose in [Purpose::ShardIterator, Purpose::ListShards, Purpose::ListStreams] {
        let token = sealer.seal(purpose, 1000, &input, nonce);
        assert_eq!(sealer.open(purpose, &token, 1000).as_deref(), Ok(&input[..]));
        if let Ok(iterator) = ShardIterator::open(&sealer, &token, 1000) {
            assert_eq!(
                ShardIterator::open(&sealer, &iterator.seal(&sealer, 1000, nonce), 1000),
                Ok(iterator)
            );
        }
        if let Ok(page) = ShardsPage::open(&sealer, &token, 1000) {
            assert_eq!(ShardsPage::open(&sealer, &page.seal(&sealer, 1000, nonce), 1000), Ok(page));
        }
        if let Ok(page) = StreamsPage::open(&sealer, &token, 1000) {
            assert_eq!(StreamsPage::open(&sealer, &page.seal(&sealer, 1000, nonce), 1000), Ok(page));
        }
    }
    let _ = partition_key::of_kafka_key(Some(&input));
    let Ok(text) = std::str::from_utf8(&input) else { return };
    assert!(ShardIterator::open(&sealer, text, 1000).is_err(), "nobody seals without the key");
    if let Ok(number) = text.parse::<SequenceNumber>() {
        assert_eq!(number.to_string().parse(), Ok(number));
    }
    if let Some(index) = shard_id::parse(text) {
        assert_eq!(shard_id::parse(&shard_id::format(index)), Some(index));
    }
    let _ = hashkey::parse(text);
    let _ = hashkey::of_partition_key(text);
}

/// One of each.
pub fn token_seeds() -> Vec<Vec<u8>> {
    let number = SequenceNumber::record(1_700_000_000, 3, 12_345, 1_700_000_100);
    let mut content = vec![1; 16];
    content.extend_from_slice(&3u32.to_be_bytes());
    content.extend_from_slice(&77i64.to_be_bytes());
    let iterator = [&content[..], b"stream"].concat();
    let page = [&content[..20], &[2], &content[20..], &[0; 4], b"stream"].concat();
    vec![
        number.to_string().into_bytes(),
        b"shardId-000000000017".to_vec(),
        b"340282366920938463463374607431768211455".to_vec(),
        "partition-key-é".as_bytes().to_vec(),
        iterator,
        page,
    ]
}
