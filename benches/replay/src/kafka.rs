//! The few Kafka requests that a replay needs, in their non-flexible versions: Produce 8, CreateTopics 4.

use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Error codes after which a new topic's partition is worth another try: unknown topic, no leader (yet).
const NOT_YET: [i16; 3] = [3, 5, 6];
const TOPIC_ALREADY_EXISTS: i16 = 36;

fn string(text: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(&(text.len() as u16).to_be_bytes());
    to.extend_from_slice(text.as_bytes());
}

/// A framed request: length, header version 1 with client id `replay`, body.
fn framed(key: u16, version: u16, body: &[u8]) -> Vec<u8> {
    let mut request = vec![0; 4];
    request.extend_from_slice(&key.to_be_bytes());
    request.extend_from_slice(&version.to_be_bytes());
    request.extend_from_slice(&0u32.to_be_bytes());
    string("replay", &mut request);
    request.extend_from_slice(body);
    let size = (request.len() - 4) as u32;
    request[..4].copy_from_slice(&size.to_be_bytes());
    request
}

/// A Produce request with one batch of `records` records of `size` pseudo-random bytes each, acks=all.
pub fn produce_request(topic: &str, partition: u32, records: u32, size: usize) -> Vec<u8> {
    produce_values(topic, partition, &noise(records as usize, size))
}

/// A Produce request with one batch of these values, acks=all.
pub fn produce_values(topic: &str, partition: u32, values: &[Vec<u8>]) -> Vec<u8> {
    let batch = batch(values);
    let mut body = Vec::with_capacity(batch.len() + 64);
    body.extend_from_slice(&(-1i16).to_be_bytes()); // transactional id
    body.extend_from_slice(&(-1i16).to_be_bytes()); // acks
    body.extend_from_slice(&30_000u32.to_be_bytes());
    body.extend_from_slice(&1u32.to_be_bytes());
    string(topic, &mut body);
    body.extend_from_slice(&1u32.to_be_bytes());
    body.extend_from_slice(&partition.to_be_bytes());
    body.extend_from_slice(&(batch.len() as u32).to_be_bytes());
    body.extend_from_slice(&batch);
    framed(0, 8, &body)
}

/// Values of pseudo-random bytes, the same in every run.
pub fn noise(count: usize, size: usize) -> Vec<Vec<u8>> {
    let mut noise = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise as u8
    };
    (0..count).map(|_| (0..size).map(|_| next()).collect()).collect()
}

/// An uncompressed v2 batch without producer id (KIP-98), timestamps of now.
fn batch(values: &[Vec<u8>]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (delta, value) in values.iter().enumerate() {
        let mut record = vec![0]; // attributes
        varint(0, &mut record); // timestamp delta
        varint(delta as i64, &mut record);
        varint(-1, &mut record); // no key
        varint(value.len() as i64, &mut record);
        record.extend_from_slice(value);
        varint(0, &mut record); // no headers
        varint(record.len() as i64, &mut encoded);
        encoded.extend_from_slice(&record);
    }
    let records = values.len() as u32;
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let mut batch = Vec::with_capacity(61 + encoded.len());
    batch.extend_from_slice(&0u64.to_be_bytes()); // base offset
    batch.extend_from_slice(&((49 + encoded.len()) as u32).to_be_bytes());
    batch.extend_from_slice(&(-1i32).to_be_bytes()); // leader epoch
    batch.push(2); // magic
    batch.extend_from_slice(&[0; 4]); // CRC, below
    batch.extend_from_slice(&0u16.to_be_bytes()); // attributes
    batch.extend_from_slice(&(records - 1).to_be_bytes());
    batch.extend_from_slice(&(now as u64).to_be_bytes());
    batch.extend_from_slice(&(now as u64).to_be_bytes());
    batch.extend_from_slice(&(-1i64).to_be_bytes()); // producer id
    batch.extend_from_slice(&(-1i16).to_be_bytes()); // producer epoch
    batch.extend_from_slice(&(-1i32).to_be_bytes()); // base sequence
    batch.extend_from_slice(&records.to_be_bytes());
    batch.extend_from_slice(&encoded);
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &batch[21..]) as u32;
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// A zigzag varint, as records have them.
fn varint(value: i64, to: &mut Vec<u8>) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        to.push(left as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
}

/// Creates a topic; one that exists already is fine.
pub fn create_topic(socket: &mut TcpStream, topic: &str, partitions: u32, configs: &[String]) -> Result<()> {
    let mut body = Vec::new();
    body.extend_from_slice(&1u32.to_be_bytes());
    string(topic, &mut body);
    body.extend_from_slice(&partitions.to_be_bytes());
    body.extend_from_slice(&1u16.to_be_bytes()); // replication factor
    body.extend_from_slice(&0u32.to_be_bytes()); // assignments
    body.extend_from_slice(&(configs.len() as u32).to_be_bytes());
    for config in configs {
        let (name, value) = config.split_once('=').context("a config is NAME=VALUE")?;
        string(name, &mut body);
        string(value, &mut body);
    }
    body.extend_from_slice(&60_000u32.to_be_bytes());
    body.push(0); // validate only
    socket.write_all(&framed(19, 4, &body))?;
    let reply = read_reply(socket)?;
    // correlation id, throttle time, count of topics, name, error code
    let at = 4 + 4 + 4 + 2 + topic.len();
    let error = i16::from_be_bytes(reply.get(at..at + 2).context("short reply")?.try_into()?);
    ensure!(error == 0 || error == TOPIC_ALREADY_EXISTS, "creating {topic}: error code {error}");
    Ok(())
}

/// Produces one record to every partition until all take it.
pub fn wait_writable(socket: &mut TcpStream, topic: &str, partitions: u32) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    for partition in 0..partitions {
        let request = produce_request(topic, partition, 1, 1);
        loop {
            socket.write_all(&request)?;
            match produce_error(&read_reply(socket)?)? {
                0 => break,
                code if NOT_YET.contains(&code) && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                code => bail!("partition {partition} of {topic}: error code {code}"),
            }
        }
    }
    Ok(())
}

/// Reads one reply, without its length.
pub fn read_reply(socket: &mut TcpStream) -> Result<Vec<u8>> {
    let mut reply = Vec::new();
    read_reply_into(socket, &mut reply)?;
    Ok(reply)
}

/// Reads one reply, without its length, into memory that is used again.
pub fn read_reply_into(socket: &mut TcpStream, reply: &mut Vec<u8>) -> Result<()> {
    let mut size = [0; 4];
    socket.read_exact(&mut size)?;
    reply.resize(u32::from_be_bytes(size) as usize, 0);
    socket.read_exact(reply)?;
    Ok(())
}

/// The error code of a Produce reply for one partition.
pub fn produce_error(reply: &[u8]) -> Result<i16> {
    // correlation id, count of topics, name, count of partitions, partition, error code
    let name = reply.get(8..10).context("short reply")?;
    let at = 10 + usize::from(u16::from_be_bytes(name.try_into()?)) + 4 + 4;
    Ok(i16::from_be_bytes(reply.get(at..at + 2).context("short reply")?.try_into()?))
}

/// A Fetch request (version 4) for one partition.
pub fn fetch_request(topic: &str, partition: u32, offset: i64, bytes_max: u32, wait_ms: u32) -> Vec<u8> {
    let mut body = Vec::with_capacity(64);
    body.extend_from_slice(&(-1i32).to_be_bytes()); // replica id
    body.extend_from_slice(&wait_ms.to_be_bytes());
    body.extend_from_slice(&1u32.to_be_bytes()); // min bytes
    body.extend_from_slice(&(50u32 << 20).to_be_bytes()); // max bytes
    body.push(0); // read uncommitted
    body.extend_from_slice(&1u32.to_be_bytes());
    string(topic, &mut body);
    body.extend_from_slice(&1u32.to_be_bytes());
    body.extend_from_slice(&partition.to_be_bytes());
    body.extend_from_slice(&offset.to_be_bytes());
    body.extend_from_slice(&bytes_max.to_be_bytes());
    framed(1, 4, &body)
}

/// What a Fetch reply for one partition holds.
pub struct Fetched<'a> {
    /// The partition's end when it answered.
    pub high_watermark: i64,
    /// Whole batches, perhaps with a part of one at the end.
    pub records: &'a [u8],
}

/// Takes a Fetch reply (version 4, without its length) for one partition apart.
pub fn fetched(reply: &[u8]) -> Result<Fetched<'_>> {
    // correlation id, throttle time, count of topics, name, count of partitions, partition, error code, high
    // watermark, last stable offset, aborted transactions, records
    let name = reply.get(12..14).context("short reply")?;
    let at = 14 + usize::from(u16::from_be_bytes(name.try_into()?)) + 4 + 4;
    let error = i16::from_be_bytes(reply.get(at..at + 2).context("short reply")?.try_into()?);
    ensure!(error == 0, "Fetch was answered with error code {error}");
    let high_watermark = i64::from_be_bytes(reply.get(at + 2..at + 10).context("short reply")?.try_into()?);
    let aborted = i32::from_be_bytes(reply.get(at + 18..at + 22).context("short reply")?.try_into()?);
    let at = at + 22 + 16 * usize::try_from(aborted).unwrap_or(0);
    Ok(Fetched { high_watermark, records: reply.get(at + 4..).context("short reply")? })
}

/// One past the last offset of the whole batches in `records`, and how many bytes they take; `None` without any.
pub fn end_of(mut records: &[u8]) -> Option<(i64, usize)> {
    let (mut end, mut bytes) = (None, 0);
    while let (Some(base), Some(len)) =
        (records.get(..8), records.get(8..12).map(|len| u32::from_be_bytes(len.try_into().expect("4 bytes"))))
    {
        let whole = 12 + len as usize;
        let Some(delta) = records.get(23..27).filter(|_| records.len() >= whole) else { break };
        let base = i64::from_be_bytes(base.try_into().expect("8 bytes"));
        end = Some(base + i64::from(i32::from_be_bytes(delta.try_into().expect("4 bytes"))) + 1);
        bytes += whole;
        records = &records[whole..];
    }
    end.map(|end| (end, bytes))
}

/// Takes all whole Produce replies out of `input` and answers how many there were; fails on an error code.
pub fn count_replies(input: &mut Vec<u8>) -> Result<usize> {
    let mut replies = 0;
    let mut taken = 0;
    while let Some(prefix) = input[taken..].first_chunk::<4>() {
        let end = taken + 4 + u32::from_be_bytes(*prefix) as usize;
        if end > input.len() {
            break;
        }
        let error = produce_error(&input[taken + 4..end])?;
        ensure!(error == 0, "Produce was answered with error code {error}");
        taken = end;
        replies += 1;
    }
    input.drain(..taken);
    Ok(replies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_zigzag() {
        for (value, bytes) in [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (63, vec![126]), (64, vec![128, 1])]
        {
            let mut encoded = Vec::new();
            varint(value, &mut encoded);
            assert_eq!(encoded, bytes);
        }
    }

    #[test]
    fn a_batch_says_its_own_length_and_crc() {
        let batch = batch(&noise(3, 10));
        assert_eq!(u32::from_be_bytes(batch[8..12].try_into().unwrap()) as usize + 12, batch.len());
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &batch[21..]) as u32;
        assert_eq!(batch[17..21], crc.to_be_bytes());
    }

    #[test]
    fn the_end_of_batches_is_that_of_the_last_whole_one() {
        let mut second = batch(&noise(2, 10));
        second[..8].copy_from_slice(&3i64.to_be_bytes());
        let both = [batch(&noise(3, 10)), second].concat();
        assert_eq!(end_of(&both), Some((5, both.len())));
        let (end, bytes) = end_of(&both[..both.len() - 1]).unwrap();
        assert_eq!((end, bytes < both.len()), (3, true));
        assert_eq!(end_of(&both[..20]), None);
    }

    #[test]
    fn replies_are_counted_when_whole_and_errors_are_seen() {
        let reply = |error: i16| {
            let mut reply = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0];
            reply.extend_from_slice(&error.to_be_bytes());
            reply.extend_from_slice(&[0; 34]);
            [&(reply.len() as u32).to_be_bytes()[..], &reply].concat()
        };
        let mut input = [reply(0), reply(0)].concat();
        let rest = input.split_off(input.len() - 3);
        assert_eq!(count_replies(&mut input).unwrap(), 1);
        input.extend_from_slice(&rest);
        assert_eq!(count_replies(&mut input).unwrap(), 1);
        assert!(input.is_empty());
        assert!(count_replies(&mut reply(10)).is_err());
    }
}
