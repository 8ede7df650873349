//! Just enough of the Kafka protocol: Produce requests of versions 3 to 8 and their replies (Kafka protocol guide).

use anyhow::{Context, Result, bail, ensure};
use std::ops::Range;

/// No request is larger than Kafka's own default of `socket.request.max.bytes`.
const REQUEST_BYTES_MAX: usize = 100 << 20;

/// Bytes of the first whole request in `input`, its length prefix included; `None` while it is incomplete.
pub fn frame_size(input: &[u8]) -> Result<Option<usize>> {
    let Some(prefix) = input.first_chunk::<4>() else { return Ok(None) };
    let size = u32::from_be_bytes(*prefix) as usize;
    ensure!(size <= REQUEST_BYTES_MAX, "a request of {size} bytes");
    Ok((input.len() >= 4 + size).then_some(4 + size))
}

/// How many bytes the first request still lacks.
pub fn missing(input: &[u8]) -> usize {
    let size = input.first_chunk::<4>().map_or(0, |prefix| u32::from_be_bytes(*prefix) as usize);
    (4 + size).saturating_sub(input.len())
}

/// What is needed to answer one request.
pub struct Reply {
    correlation: u32,
    version: u16,
    /// Topic name, and per partition its index and record count.
    topics: Vec<Topic>,
}

/// A topic's name, and per partition its index and record count.
type Topic = (Vec<u8>, Vec<(u32, u32)>);

/// Parses a Produce request and checks every batch; `at` is where `request` begins in the connection's input, to
/// which the ranges pushed to `batches` refer.
pub fn parse(request: &[u8], at: usize, batches: &mut Vec<Range<usize>>) -> Result<Reply> {
    let mut input = Cursor { bytes: request, position: 0 };
    let (key, version) = (input.u16()?, input.u16()?);
    ensure!(key == 0, "only Produce is served, not API key {key}");
    ensure!((3..=8).contains(&version), "Produce version {version} is not served");
    let correlation = input.u32()?;
    input.string()?; // client id
    input.string()?; // transactional id
    let acks = input.u16()? as i16;
    ensure!(acks != 0, "acks=0 has no reply and is not served");
    input.u32()?; // timeout
    let mut topics = Vec::new();
    for _ in 0..input.u32()? {
        let name = input.string()?.to_vec();
        let mut partitions = Vec::new();
        for _ in 0..input.u32()? {
            let index = input.u32()?;
            let size = input.u32()? as usize;
            let start = input.position;
            let count = check_batch(input.take(size)?)?;
            batches.push(at + start..at + start + size);
            partitions.push((index, count));
        }
        topics.push((name, partitions));
    }
    Ok(Reply { correlation, version, topics })
}

/// Checks length and CRC-32C of a v2 batch; answers its record count.
fn check_batch(batch: &[u8]) -> Result<u32> {
    let mut header = Cursor { bytes: batch, position: 8 };
    let length = header.u32()? as usize;
    ensure!(length + 12 == batch.len(), "one batch a partition is served");
    header.position = 16;
    ensure!(header.take(1)? == [2], "only batches of magic 2 are served");
    let crc = header.u32()?;
    let found = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &batch[21..]) as u32;
    ensure!(found == crc, "the CRC of a batch is wrong");
    header.position = 57;
    header.u32()
}

impl Reply {
    /// Appends the reply to `output`, giving out offsets from `offset`; answers the next offset.
    pub fn write(&self, mut offset: u64, output: &mut Vec<u8>) -> u64 {
        let start = output.len();
        output.extend_from_slice(&[0; 4]);
        output.extend_from_slice(&self.correlation.to_be_bytes());
        output.extend_from_slice(&(self.topics.len() as u32).to_be_bytes());
        for (name, partitions) in &self.topics {
            output.extend_from_slice(&(name.len() as u16).to_be_bytes());
            output.extend_from_slice(name);
            output.extend_from_slice(&(partitions.len() as u32).to_be_bytes());
            for (index, count) in partitions {
                output.extend_from_slice(&index.to_be_bytes());
                output.extend_from_slice(&0u16.to_be_bytes()); // no error
                output.extend_from_slice(&offset.to_be_bytes());
                output.extend_from_slice(&(-1i64).to_be_bytes()); // log append time
                if self.version >= 5 {
                    output.extend_from_slice(&0u64.to_be_bytes()); // log start offset
                }
                if self.version >= 8 {
                    output.extend_from_slice(&0u32.to_be_bytes()); // record errors
                    output.extend_from_slice(&(-1i16).to_be_bytes()); // error message
                }
                offset += u64::from(*count);
            }
        }
        output.extend_from_slice(&0u32.to_be_bytes()); // throttle time
        let size = (output.len() - start - 4) as u32;
        output[start..start + 4].copy_from_slice(&size.to_be_bytes());
        offset
    }
}

/// Reads big-endian integers out of a request and answers an error past its end.
struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8]> {
        let end = self.position.checked_add(size).context("a size overflows")?;
        let Some(taken) = self.bytes.get(self.position..end) else { bail!("a request ends too early") };
        self.position = end;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().expect("two bytes")))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    /// A string; empty for null.
    fn string(&mut self) -> Result<&'a [u8]> {
        let size = self.u16()?;
        self.take(if size == u16::MAX { 0 } else { usize::from(size) })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A Produce 8 request with one batch of `count` records for topic `t`, partition 0.
    pub fn request(correlation: u32, count: u32) -> Vec<u8> {
        let mut batch = vec![0; 61];
        batch.extend_from_slice(b"AAAA");
        let length = (batch.len() - 12) as u32;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[16] = 2;
        batch[57..61].copy_from_slice(&count.to_be_bytes());
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &batch[21..]) as u32;
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        let mut body = Vec::new();
        body.extend_from_slice(&[0, 0, 0, 8]);
        body.extend_from_slice(&correlation.to_be_bytes());
        body.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        body.extend_from_slice(&[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
        body.extend_from_slice(&(batch.len() as u32).to_be_bytes());
        body.extend_from_slice(&batch);
        [&(body.len() as u32).to_be_bytes()[..], &body].concat()
    }

    /// Correlation id, error code and base offset of a reply.
    pub fn read_reply(reply: &[u8]) -> (u32, u16, u64) {
        let mut input = Cursor { bytes: reply, position: 0 };
        let correlation = input.u32().unwrap();
        input.u32().unwrap();
        input.string().unwrap();
        input.u32().unwrap();
        input.u32().unwrap();
        let error = input.u16().unwrap();
        let base = u64::from_be_bytes(input.take(8).unwrap().try_into().unwrap());
        (correlation, error, base)
    }

    #[test]
    fn incomplete_and_wrong_requests_are_told_apart() {
        let whole = request(1, 1);
        assert_eq!(frame_size(&whole).unwrap(), Some(whole.len()));
        assert_eq!(frame_size(&whole[..whole.len() - 1]).unwrap(), None);
        assert_eq!(missing(&whole[..10]), whole.len() - 10);
        assert!(frame_size(&[0xff; 8]).is_err());
        assert!(parse(&whole[4..20], 4, &mut Vec::new()).is_err());
        let mut fetch = whole;
        fetch[5] = 1;
        assert!(parse(&fetch[4..], 4, &mut Vec::new()).is_err());
    }
}
