//! Records: what Kafka's classes write we read, what we write they read, in all magics and codecs.

use std::fmt::Write as _;

use bytes::Bytes;
use kolk_wire_kafka::records::control::EndTxnMarker;
use kolk_wire_kafka::records::message_set::{Message, MessageSet, down_convert, up_convert};
use kolk_wire_kafka::records::record::decompressed;
use kolk_wire_kafka::records::{BatchBuilder, Batches, Compression, RecordIter, TimestampType};

use crate::Cases;
use crate::java::{Kafka, hex};

const LIMIT: usize = 1 << 20;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

pub fn compare(kafka: &mut Kafka, cases: &mut Cases) -> anyhow::Result<()> {
    for magic in 0..=2 {
        for codec in CODECS {
            if magic < 2 && codec == Compression::Zstd {
                continue;
            }
            let theirs = unhex(&kafka.ask(&format!("write {magic} {}", codec.name()))?)?;
            let ours = write(magic, codec)?;
            let read_by_kafka = kafka.ask(&format!("read {}", hex(&ours)))?;
            let read_by_us = read(magic, &theirs);
            let expected = expected(magic);
            let result = match read_by_us {
                Err(why) => Err(format!("we do not read theirs: {why}: {}", hex(&theirs))),
                Ok(text) if text != expected => Err(format!("we read {text} for {expected}")),
                Ok(_) if read_by_kafka != expected => {
                    Err(format!("they read {read_by_kafka} for {expected}"))
                }
                Ok(_) if codec == Compression::None && ours != theirs => {
                    Err(format!("{} against {}", hex(&ours), hex(&theirs)))
                }
                Ok(_) if codec == Compression::None => Ok("the same bytes".to_owned()),
                Ok(_) => Ok("each reads the other's".to_owned()),
            };
            cases.case(&format!("records of magic {magic}, {}", codec.name()), result);

            if magic < 2 {
                let result = converted(kafka, magic, codec)?;
                cases.case(&format!("records of magic {magic}, {}, up and down", codec.name()), result);
            }
        }
    }
    for commit in [false, true] {
        let theirs = unhex(&kafka.ask(&format!("marker {commit}"))?)?;
        let ours = EndTxnMarker { commit, coordinator_epoch: 5 }.to_batch(10, 99, 2, 1234);
        let result = if ours == theirs { Ok("the same bytes".to_owned()) } else { Err(hex(&ours)) };
        cases.case(&format!("transaction marker, commit {commit}"), result);
    }
    Ok(())
}

/// A message set made a batch and a message set again, read by Kafka at each step.
fn converted(kafka: &mut Kafka, magic: i8, codec: Compression) -> anyhow::Result<Result<String, String>> {
    let old = write(magic, codec)?;
    let batch = up_convert(&old, LIMIT)?;
    let up = kafka.ask(&format!("read {}", hex(&batch)))?;
    let (header, batch) = Batches::new(batch).next().expect("one batch")?;
    let down = down_convert(&header, &batch, magic, 0, LIMIT)?;
    let down = kafka.ask(&format!("read {}", hex(&down)))?;
    // Batches from a producer start at 0, the sets here at 100.
    let expected =
        (0..5).fold(expected(magic), |text, i| text.replacen(&format!("10{i} "), &format!("{i} "), 1));
    Ok(match () {
        () if up != expected => Err(format!("up: {up} for {expected}")),
        () if down != expected => Err(format!("down: {down} for {expected}")),
        () => Ok("Kafka reads both".to_owned()),
    })
}

/// One of the five records that both sides make.
struct Sample {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn samples(magic: i8) -> Vec<Sample> {
    (0..5u8)
        .map(|i| Sample {
            timestamp: if magic == 0 { -1 } else { 1000 + i64::from(i) * 37 % 50 },
            key: (i % 3 != 0).then(|| format!("key-{i}").into_bytes()),
            value: (i != 4).then(|| "value ".repeat(usize::from(i) * 20).into_bytes()),
            headers: (0..if magic == 2 { i } else { 0 })
                .map(|j| (format!("h{j}"), (j % 2 != 0).then(|| vec![j])))
                .collect(),
        })
        .collect()
}

fn expected(magic: i8) -> String {
    let mut text = String::new();
    for (i, s) in samples(magic).iter().enumerate() {
        let headers: Vec<_> =
            s.headers.iter().map(|(key, value)| (key.as_bytes(), value.as_deref())).collect();
        put(
            &mut text,
            100 + i as i64,
            s.timestamp,
            s.key.as_deref(),
            s.value.as_deref(),
            headers.into_iter(),
        );
    }
    text
}

fn put<'a>(
    text: &mut String,
    offset: i64,
    timestamp: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) {
    let part = |bytes: Option<&[u8]>| bytes.map_or("-".to_owned(), |bytes| format!("x{}", hex(bytes)));
    let _ = write!(text, "{offset} {timestamp} {} {}", part(key), part(value));
    for (key, value) in headers {
        let value = value.map_or("-".to_owned(), hex);
        let _ = write!(text, " {}={value}", String::from_utf8_lossy(key));
    }
    text.push(';');
}

fn write(magic: i8, codec: Compression) -> anyhow::Result<Bytes> {
    let samples = samples(magic);
    if magic < 2 {
        let messages: Vec<Message> = samples
            .into_iter()
            .zip(100..)
            .map(|(s, offset)| Message {
                offset,
                timestamp: (magic == 1).then_some(s.timestamp),
                key: s.key.map(Bytes::from),
                value: s.value.map(Bytes::from),
            })
            .collect();
        return Ok(MessageSet::encode(&messages, magic, codec, TimestampType::CreateTime)?);
    }
    let mut builder = BatchBuilder::new(codec);
    builder.base_offset = 100;
    builder.leader_epoch = 9;
    builder.producer = Some((42, 3, 7));
    builder.transactional = true;
    for s in &samples {
        let headers: Vec<_> = s.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        builder.append(s.timestamp, s.key.as_deref(), s.value.as_deref(), &headers);
    }
    Ok(builder.build()?)
}

fn read(magic: i8, bytes: &Bytes) -> anyhow::Result<String> {
    let mut text = String::new();
    if magic < 2 {
        let set = MessageSet::decode(bytes, LIMIT)?;
        anyhow::ensure!(set.trailing == 0 && set.magic == magic);
        for m in &set.messages {
            let none = std::iter::empty();
            put(&mut text, m.offset, m.timestamp.unwrap_or(-1), m.key.as_deref(), m.value.as_deref(), none);
        }
        return Ok(text);
    }
    for batch in Batches::new(bytes.clone()) {
        let (header, batch) = batch?;
        header.check_crc(&batch)?;
        anyhow::ensure!((header.producer_id, header.producer_epoch, header.base_sequence) == (42, 3, 7));
        anyhow::ensure!(header.is_transactional() && header.leader_epoch == 9);
        let block = decompressed(&header, &batch, LIMIT)?;
        for record in RecordIter::new(&header, &block) {
            let r = record?;
            put(&mut text, r.offset, r.timestamp, r.key, r.value, r.headers);
        }
    }
    Ok(text)
}

fn unhex(text: &str) -> anyhow::Result<Bytes> {
    anyhow::ensure!(!text.starts_with("fails"), "{text}");
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16);
    Ok((0..text.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?.into())
}
