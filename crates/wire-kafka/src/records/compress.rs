//! The four codecs of Kafka's records, with a bound on what comes out.
//!
//! Formats are those that Kafka's clients write: gzip members; snappy in xerial's blocks (Java, Go) or as one raw block
//! (librdkafka may); LZ4 frames of independent 64 KiB blocks (KIP-57); zstd frames (KIP-110).

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::Compression;

/// Why a block cannot be decompressed or compressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressError {
    /// More comes out than the caller allows. Nothing larger than the limit was held.
    #[error("decompresses to more than {limit} bytes")]
    TooLarge {
        /// The caller's limit.
        limit: usize,
    },
    /// More would be packed than the caller allows. Nothing larger than the limit was held.
    #[error("packed it is more than {limit} bytes")]
    PackedTooLarge {
        /// The caller's limit.
        limit: usize,
    },
    /// Not what the codec writes.
    #[error("damaged {codec} block: {why}")]
    Damaged {
        /// Name of the codec.
        codec: &'static str,
        /// What the decoder says.
        why: String,
    },
}

const XERIAL_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// Magic, then the version that wrote it and the oldest that can read it, an int32 each.
const XERIAL_HEADER_BYTES: usize = 16;
/// Input of one block, as Java clients cut it.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

/// Compresses a block at the codec's own level. `Compression::None` gives a copy.
pub fn compress(codec: Compression, block: &[u8]) -> Result<Vec<u8>, CompressError> {
    // Known to be all there is, a zstd frame tells its readers how long it becomes.
    if codec == Compression::Zstd {
        return zstd::bulk::compress(block, 0).map_err(|error| damaged(codec, error));
    }
    let mut out = Vec::new();
    compress_from(codec, None, &mut &*block, &mut out).map_err(|error| damaged(codec, error))?;
    Ok(out)
}

/// What putting a block into another codec may take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What it unpacks to.
    pub unpacked: usize,
    /// What it is packed to.
    pub packed: usize,
}

/// Puts a block into another codec, behind what is in `out`. It is packed while it is unpacked and never stands anywhere as
/// a whole; more than the limits allow is an error. Levels are 1 to 9 for gzip and what the library knows for zstd; other
/// codecs have none, and without one it is the codec's own.
pub fn recompress(
    from: Compression,
    block: &[u8],
    limits: Limits,
    to: Compression,
    level: Option<i32>,
    out: &mut Vec<u8>,
) -> Result<(), CompressError> {
    let mut reader = reader(from, block, limits.unpacked)?;
    let mut out = Within { out, left: limits.packed, is_over: false };
    let packed = compress_from(to, level, &mut reader, &mut out);
    packed.map_err(|error| {
        if out.is_over {
            CompressError::PackedTooLarge { limit: limits.packed }
        } else {
            of_read(from, limits.unpacked, error)
        }
    })
}

/// Takes so many bytes and no more.
struct Within<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
    is_over: bool,
}

impl Write for Within<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.left {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.left -= bytes.len();
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn compress_from(
    codec: Compression,
    level: Option<i32>,
    from: &mut dyn Read,
    out: &mut dyn Write,
) -> io::Result<()> {
    match codec {
        Compression::None => io::copy(from, out).map(drop),
        Compression::Gzip => {
            let level = level.and_then(|level| u32::try_from(level).ok());
            let level =
                level.map_or(flate2::Compression::default(), |level| flate2::Compression::new(level.min(9)));
            let mut encoder = flate2::write::GzEncoder::new(out, level);
            io::copy(from, &mut encoder)?;
            encoder.finish().map(drop)
        }
        Compression::Snappy => snappy_compress(from, out),
        Compression::Lz4 => {
            let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(info, out);
            io::copy(from, &mut encoder)?;
            encoder.finish().map(drop).map_err(io::Error::other)
        }
        Compression::Zstd => zstd::stream::copy_encode(from, out, level.unwrap_or(0)),
    }
}

/// Decompresses a block to at most `limit` bytes. Memory used on the way is bounded by the limit and by what a frame may
/// announce: with LZ4 a block of 4 MiB, with zstd a window of 8 MiB, or of the limit if that is more.
pub fn decompress(codec: Compression, block: &[u8], limit: usize) -> Result<Vec<u8>, CompressError> {
    let mut out = Vec::new();
    reader(codec, block, limit)?.read_to_end(&mut out).map_err(|error| of_read(codec, limit, error))?;
    Ok(out)
}

/// Bytes that decompressing a block while it is read has in memory at once, as far as the block announces them, at most
/// `limit` and little more: the window of a zstd frame, a snappy block. Other codecs take little. A block that is not what
/// its codec says announces what it likes; reading it fails.
pub fn standing_bytes(codec: Compression, block: &[u8], limit: usize) -> usize {
    let announced = match codec {
        Compression::None | Compression::Gzip | Compression::Lz4 => 0,
        Compression::Snappy => snappy_standing_bytes(block),
        Compression::Zstd => zstd_standing_bytes(block).unwrap_or(limit),
    };
    announced.min(limit)
}

fn snappy_standing_bytes(block: &[u8]) -> usize {
    let unpacked = |compressed| snap::raw::decompress_len(compressed).unwrap_or(0);
    let Some(mut rest) = block.strip_prefix(&XERIAL_MAGIC) else { return unpacked(block) };
    rest = rest.get(XERIAL_HEADER_BYTES - XERIAL_MAGIC.len()..).unwrap_or_default();
    let mut most = 0;
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((compressed, next)) = behind.split_at_checked(length) else { break };
        most = most.max(unpacked(compressed));
        rest = next;
    }
    most
}

/// The window of the one frame that a block is; `None` if it is several, or none.
fn zstd_standing_bytes(block: &[u8]) -> Option<usize> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    if zstd::zstd_safe::find_frame_compressed_size(block).ok()? != block.len() {
        return None;
    }
    let (descriptor, rest) = block.strip_prefix(&MAGIC)?.split_first()?;
    if descriptor & 0x20 != 0 {
        // A single segment: the window is all of the content.
        let content = zstd::zstd_safe::get_frame_content_size(block).ok()??;
        return usize::try_from(content).ok();
    }
    let window = rest.first()?;
    let base = 1usize << (10 + (window >> 3));
    Some(base + base / 8 * usize::from(window & 7))
}

/// Decompresses a block while it is read. Reading more than `limit` bytes is an error, see [`of_read`].
pub(super) fn reader<'a>(
    codec: Compression,
    block: &'a [u8],
    limit: usize,
) -> Result<Box<dyn Read + 'a>, CompressError> {
    let inner: Box<dyn Read + 'a> = match codec {
        Compression::None => Box::new(block),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(block)),
        Compression::Snappy => Box::new(SnappyReader::new(block, limit)?),
        Compression::Lz4 => Box::new(FrameDecoder::new(block)),
        Compression::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(block).map_err(|error| damaged(codec, error))?;
            // A frame announces its window and the decoder allocates it: 8 MiB is what level 19 uses.
            let window_log = limit.max(8 << 20).ilog2().min(27);
            decoder.window_log_max(window_log).map_err(|error| damaged(codec, error))?;
            Box::new(decoder)
        }
    };
    Ok(Box::new(Limited { inner, left: limit }))
}

/// What an error of such a reader means.
pub(super) fn of_read(codec: Compression, limit: usize, error: io::Error) -> CompressError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => CompressError::TooLarge { limit },
        _ => damaged(codec, error),
    }
}

fn damaged(codec: Compression, error: impl std::fmt::Display) -> CompressError {
    CompressError::Damaged { codec: codec.name(), why: error.to_string() }
}

/// Fails with [`io::ErrorKind::FileTooLarge`] where more comes than was allowed.
struct Limited<R> {
    inner: R,
    left: usize,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::ErrorKind::FileTooLarge.into()),
            };
        }
        let room = out.len().min(self.left);
        let count = self.inner.read(&mut out[..room])?;
        self.left -= count;
        Ok(count)
    }
}

fn snappy_compress(from: &mut dyn Read, out: &mut dyn Write) -> io::Result<()> {
    let mut encoder = snap::raw::Encoder::new();
    out.write_all(&XERIAL_MAGIC)?;
    out.write_all(&1i32.to_be_bytes())?;
    out.write_all(&1i32.to_be_bytes())?;
    let mut chunk = Vec::with_capacity(XERIAL_BLOCK_BYTES);
    loop {
        chunk.clear();
        from.take(XERIAL_BLOCK_BYTES as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            return Ok(());
        }
        let compressed = encoder.compress_vec(&chunk).map_err(io::Error::other)?;
        out.write_all(&(compressed.len() as i32).to_be_bytes())?;
        out.write_all(&compressed)?;
    }
}

/// Snappy's blocks one after another: of xerial's, each of its own; a raw one is all there is.
struct SnappyReader<'a> {
    /// Blocks to come, or `None` when there is one raw block.
    blocks: Option<&'a [u8]>,
    out: Vec<u8>,
    at: usize,
    limit: usize,
}

impl<'a> SnappyReader<'a> {
    fn new(block: &'a [u8], limit: usize) -> Result<Self, CompressError> {
        let mut reader = SnappyReader { blocks: None, out: Vec::new(), at: 0, limit };
        if block.starts_with(&XERIAL_MAGIC) {
            let blocks = block.get(XERIAL_HEADER_BYTES..);
            reader.blocks = Some(blocks.ok_or_else(|| damaged(Compression::Snappy, "short header"))?);
        } else {
            reader.unpack(block).map_err(|error| of_read(Compression::Snappy, limit, error))?;
        }
        Ok(reader)
    }

    fn unpack(&mut self, compressed: &[u8]) -> io::Result<()> {
        let length = snap::raw::decompress_len(compressed).map_err(io::Error::other)?;
        if length > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // No snappy element of 3 bytes makes more than 64: a longer announcement is a lie, found before it is allocated.
        if length > compressed.len().saturating_mul(22) {
            return Err(io::Error::other("announced length is impossible"));
        }
        self.at = 0;
        self.out.clear();
        self.out.resize(length, 0);
        snap::raw::Decoder::new().decompress(compressed, &mut self.out).map_err(io::Error::other)?;
        Ok(())
    }

    fn next_block(&mut self) -> io::Result<bool> {
        let Some(rest) = self.blocks.filter(|rest| !rest.is_empty()) else { return Ok(false) };
        let (length, behind) =
            rest.split_first_chunk::<4>().ok_or_else(|| io::Error::other("short block"))?;
        let length = usize::try_from(i32::from_be_bytes(*length));
        let length = length.map_err(|_| io::Error::other("negative length"))?;
        let (compressed, next) =
            behind.split_at_checked(length).ok_or_else(|| io::Error::other("short block"))?;
        self.blocks = Some(next);
        self.unpack(compressed)?;
        Ok(true)
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.out.len() {
            if out.is_empty() || !self.next_block()? {
                return Ok(0);
            }
        }
        let count = out.len().min(self.out.len() - self.at);
        out[..count].copy_from_slice(&self.out[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// The checksum byte that LZ4 frames of magic 0 messages carry: clients before 0.10 hashed the frame's magic as well
/// (KAFKA-3160). Turns such a frame into a right one, or a right one into such; `None` when it is no LZ4 frame.
pub(super) fn lz4_set_header_checksum(frame: &mut [u8], old_variant: bool) -> Option<()> {
    const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
    if !frame.starts_with(&MAGIC) {
        return None;
    }
    let flags = *frame.get(4)?;
    let descriptor_end = 6 + if flags & 0x08 != 0 { 8 } else { 0 } + if flags & 0x01 != 0 { 4 } else { 0 };
    let hashed = frame.get(if old_variant { 0 } else { 4 }..descriptor_end)?;
    let checksum = (twox_hash::XxHash32::oneshot(0, hashed) >> 8) as u8;
    *frame.get_mut(descriptor_end)? = checksum;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    #[test]
    fn what_goes_in_comes_out() {
        for length in [0, 1, 100, 32 * 1024, 70_000, 300_000] {
            let block: Vec<u8> = (0..length).map(|i: usize| (i / 7 % 251) as u8).collect();
            for codec in ALL {
                let compressed = compress(codec, &block).unwrap();
                assert_eq!(decompress(codec, &compressed, length).unwrap(), block, "{codec:?} {length}");
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let block = vec![0; 4 << 20];
        for codec in ALL {
            let compressed = compress(codec, &block).unwrap();
            let error = decompress(codec, &compressed, block.len() - 1).unwrap_err();
            assert_eq!(error, CompressError::TooLarge { limit: block.len() - 1 }, "{codec:?}");
        }
    }

    #[test]
    fn raw_snappy_is_read() {
        let raw = snap::raw::Encoder::new().compress_vec(b"one raw block, as librdkafka may send").unwrap();
        assert_eq!(
            decompress(Compression::Snappy, &raw, 100).unwrap(),
            b"one raw block, as librdkafka may send"
        );
    }

    #[test]
    fn a_snappy_length_that_lies_allocates_nothing() {
        let raw = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
        assert!(matches!(decompress(Compression::Snappy, &raw, 1 << 40), Err(CompressError::Damaged { .. })));
    }

    #[test]
    fn noise_is_an_error() {
        for codec in &ALL[1..] {
            for length in 0..200 {
                let noise: Vec<u8> =
                    (0..length).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
                if let Ok(out) = decompress(*codec, &noise, 1 << 16) {
                    assert!(out.is_empty() || length > 4, "{codec:?} {length}");
                }
            }
        }
    }

    #[test]
    fn zstd_windows_are_bounded() {
        // A frame header that asks for a window of 2 GiB in front of one raw block of one byte.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x09, 0x00, 0x00, 0x61];
        assert!(matches!(decompress(Compression::Zstd, &frame, 1 << 20), Err(CompressError::Damaged { .. })));
    }

    #[test]
    fn a_block_says_what_unpacking_it_takes() {
        const LIMIT: usize = 64 << 20;
        let zeros = vec![0; 6 << 20];
        for codec in ALL {
            let usual = compress(codec, &zeros).unwrap();
            assert!(standing_bytes(codec, &usual, LIMIT) <= 2 << 20, "{codec:?}");
        }
        let raw = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        assert_eq!(standing_bytes(Compression::Snappy, &raw, LIMIT), zeros.len());
        let xerial = [&XERIAL_MAGIC[..], &[0; 8], &(raw.len() as u32).to_be_bytes(), &raw].concat();
        assert_eq!(standing_bytes(Compression::Snappy, &xerial, LIMIT), zeros.len());
        let at_once = zstd::bulk::compress(&zeros, 1).unwrap();
        assert!(standing_bytes(Compression::Zstd, &at_once, LIMIT) <= zeros.len());
        // A window of 64 MiB in front of one raw block of one byte; then two such frames.
        let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x80, 0x09, 0x00, 0x00, 0x61];
        assert_eq!(standing_bytes(Compression::Zstd, &wide, LIMIT), LIMIT);
        let two = [&compress(Compression::Zstd, b"x").unwrap()[..], &wide].concat();
        assert_eq!(standing_bytes(Compression::Zstd, &two, LIMIT), LIMIT);
        assert_eq!(standing_bytes(Compression::Zstd, b"noise", LIMIT), LIMIT);
        assert_eq!(standing_bytes(Compression::Snappy, &[0xff; 20], LIMIT), 0);
    }

    #[test]
    fn lz4_header_checksums_of_both_eras() {
        let right = compress(Compression::Lz4, b"some text some text some text").unwrap();
        let mut old = right.clone();
        lz4_set_header_checksum(&mut old, true).unwrap();
        assert_ne!(old, right);
        assert!(decompress(Compression::Lz4, &old, 100).is_err());
        lz4_set_header_checksum(&mut old, false).unwrap();
        assert_eq!(old, right);
    }

    /// It was as large as it could be unpacked to before anybody looked at how large it was.
    #[test]
    fn what_is_packed_anew_stays_within_its_limit() {
        let block: Vec<u8> =
            (0..200_000u32).flat_map(|number| number.wrapping_mul(number).to_be_bytes()).collect();
        let from = compress(Compression::Zstd, &block).unwrap();
        for codec in ALL {
            let into = |packed| {
                let mut out = vec![7];
                let limits = Limits { unpacked: 1 << 20, packed };
                recompress(Compression::Zstd, &from, limits, codec, None, &mut out).map(|()| out)
            };
            let whole = into(usize::MAX).unwrap();
            assert_eq!(decompress(codec, &whole[1..], 1 << 20).unwrap(), block);
            assert_eq!(into(whole.len() - 1), Ok(whole.clone()));
            let limit = whole.len() - 2;
            assert_eq!(into(limit), Err(CompressError::PackedTooLarge { limit }), "{codec:?}");
            let limits = Limits { unpacked: block.len() - 1, packed: usize::MAX };
            let error = recompress(Compression::Zstd, &from, limits, codec, None, &mut Vec::new());
            assert_eq!(error, Err(CompressError::TooLarge { limit: block.len() - 1 }));
        }
    }
}
