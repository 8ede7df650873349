//! Batches with something wrong: what a producer may get wrong by itself, and what an attacker would try.

use std::time::Duration;

use bytes::Bytes;
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::records::crc::crc32c;
use kolk_wire_kafka::records::{BatchBuilder, Compression, TimestampType, message_set};

use crate::Scale;
use crate::kafka::{Kafka, now_ms, produce_of, produce_request};
use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(60);

/// Batches with something wrong, and the protocol's own error for each; `bit` (0 to 7) chooses what is flipped.
fn wrong_batches(bit: usize) -> Vec<(&'static str, Vec<u8>, ErrorCode)> {
    use ErrorCode::{
        CorruptMessage, InvalidProducerEpoch, InvalidRecord, TransactionalIdAuthorizationFailed,
        UnsupportedCompressionType,
    };
    // Where the fields of a batch are.
    const LENGTH: usize = 8;
    const LEADER_EPOCH: usize = 12;
    const MAGIC: usize = 16;
    const CRC: usize = 17;
    const ATTRIBUTES: usize = 21;
    const LAST_OFFSET_DELTA: usize = 23;
    const PRODUCER_ID: usize = 43;
    const PRODUCER_EPOCH: usize = 51;
    const BASE_SEQUENCE: usize = 53;
    const RECORD_COUNT: usize = 57;
    let batch_of = |records: usize| {
        let mut builder = BatchBuilder::new(Compression::None);
        for _ in 0..records {
            builder.append(now_ms(), Some(b"key"), Some(b"value"), &[]);
        }
        builder.build().expect("a small batch").to_vec()
    };
    let (batch, two) = (batch_of(1), batch_of(2));
    let put = |batch: &[u8], fields: &[(usize, &[u8])]| {
        let mut batch = batch.to_vec();
        fields.iter().for_each(|(at, bytes)| batch[*at..at + bytes.len()].copy_from_slice(bytes));
        batch
    };
    // With a checksum that is right again: what is wrong is in what it covers.
    let signed = |batch: &[u8], fields: &[(usize, &[u8])]| {
        let mut batch = put(batch, fields);
        let crc = crc32c(&batch[ATTRIBUTES..]);
        batch[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
        batch
    };
    let mut wrong = Vec::new();
    // The checksum, or what it covers: attributes, counts, times, records.
    for at in [CRC, 20, 22, 26, 30, 57, 60, 61, batch.len() - 1] {
        wrong.push(("a flipped bit", put(&batch, &[(at, &[batch[at] ^ 1 << bit])]), CorruptMessage));
    }
    let magic = 2 ^ 1u8 << bit;
    let old = if magic < 2 { InvalidRecord } else { CorruptMessage };
    wrong.push(("another magic", put(&batch, &[(MAGIC, &[magic])]), old));
    for (length, code) in [
        (-1, CorruptMessage),
        (i32::MIN, CorruptMessage),
        (0, CorruptMessage),
        (13, CorruptMessage),
        (48, CorruptMessage),
        (i32::MAX, InvalidRecord),
    ] {
        wrong.push(("another length", put(&batch, &[(LENGTH, &length.to_be_bytes())]), code));
    }
    wrong.push(("no batch", Vec::new(), InvalidRecord));
    wrong.push(("half a head", batch[..LEADER_EPOCH].to_vec(), InvalidRecord));
    wrong.push(("the last byte missing", batch[..batch.len() - 1].to_vec(), InvalidRecord));
    wrong.push(("two batches", [&batch[..], &batch].concat(), InvalidRecord));
    // The offset is ours to give, and stands outside the checksum.
    wrong.push(("an offset", put(&batch, &[(0, &1i64.to_be_bytes())]), InvalidRecord));
    let counted = |batch: &[u8], records: i32, last_delta: i32| {
        signed(
            batch,
            &[(RECORD_COUNT, &records.to_be_bytes()), (LAST_OFFSET_DELTA, &last_delta.to_be_bytes())],
        )
    };
    for (records, last_delta) in [(0, -1), (-1, -2), (2, 0), (1, 1), (2, 1), (i32::MAX, i32::MAX - 1)] {
        wrong.push(("another count", counted(&batch, records, last_delta), InvalidRecord));
    }
    wrong.push(("a record more than is counted", counted(&two, 1, 0), InvalidRecord));
    let attributed = |bits: i16| signed(&batch, &[(ATTRIBUTES, &bits.to_be_bytes())]);
    for codec in 5..8 {
        wrong.push(("a codec that is none", attributed(codec), UnsupportedCompressionType));
    }
    wrong.push(("of no transaction", attributed(1 << 4), TransactionalIdAuthorizationFailed));
    wrong.push(("a control batch", attributed(1 << 5), InvalidRecord));
    let produced = |epoch: i16, sequence: i32| {
        let (epoch, sequence) = (epoch.to_be_bytes(), sequence.to_be_bytes());
        let id = 7i64.to_be_bytes();
        signed(&batch, &[(PRODUCER_ID, &id), (PRODUCER_EPOCH, &epoch), (BASE_SEQUENCE, &sequence)])
    };
    wrong.push(("no sequence", produced(0, -1), InvalidRecord));
    wrong.push(("no epoch", produced(-1, 0), InvalidProducerEpoch));
    // Wrappers within wrappers, of the time before batches.
    let mut inner = Bytes::from_static(b"value");
    for _ in 0..4 {
        let message =
            message_set::Message { offset: 0, timestamp: Some(now_ms()), key: None, value: Some(inner) };
        let set =
            message_set::MessageSet::encode(&[message], 1, Compression::Gzip, TimestampType::CreateTime);
        inner = set.expect("one message");
        wrong.push(("nested message sets", inner.to_vec(), InvalidRecord));
    }
    wrong
}

pub fn attack(server: &Server, scale: Scale) -> String {
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    client.create_topic("refusing", 1, &[]);
    let (mut refused, mut closed) = (0, 0);
    for round in 0..scale.of(200, 8) {
        for (what, batch, wanted) in wrong_batches(round % 8) {
            match client.try_produce(&produce_of("refusing", 0, batch.into())) {
                Ok(answer) => {
                    assert_eq!(
                        ErrorCode::from_code(answer.error_code),
                        Some(wanted),
                        "{what}, bit {}",
                        round % 8
                    );
                    refused += 1;
                }
                Err(_) => {
                    closed += 1;
                    client = Kafka::connect(server.kafka, PATIENCE);
                }
            }
        }
    }
    assert_eq!(closed, 0, "a wrong batch costs its sender an error, not the connection");
    let first = client.produce(&produce_request("refusing", 0, b"value"));
    assert_eq!(first, Ok(0), "none of them went in");
    format!("{refused} damaged, cut, doubled, miscounted or nested batches, each refused with its own error")
}
