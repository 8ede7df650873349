//! Snapshot files: the state lane by lane, each lane at a log position of its own.
//!
//! ```text
//!  | magic | lane, position, length, CRC | bytes | lane, ... | ... | end: magic, lanes, CRC of all before |
//! ```
//! A snapshot replaces the decisions up to each lane's position. It is written beside the running log, synced,
//! and counts once the manifest names it; until then, and after the next one, it is an ordinary left-over.
//! Integers are little-endian.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::{Cursor, crc32c, crc32c_digest};
use crate::door::{Disk, File, Open};
use crate::state::{Lane, State};
use crate::types::LogPosition;

const MAGIC: &[u8; 8] = b"KOLKSNP1";
const END_MAGIC: &[u8; 8] = b"1PNSKLOK";
const END_LEN: usize = 8 + 4 + 4;
/// Written to the file in pieces of about this size.
const WRITE_BYTES: usize = 1 << 20;

/// The name of a snapshot's file.
pub(super) fn file_name(id: u64) -> String {
    format!("{id:016x}.snap")
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("snapshot {}: {source}", file_name(*id))]
    Io { id: u64, source: std::io::Error },
    #[error("snapshot {} is damaged at byte {position}: {what}", file_name(*id))]
    Damaged { id: u64, position: u64, what: String },
}

/// Writes a snapshot, a lane at a time.
pub(super) struct SnapshotWriter {
    id: u64,
    file: Arc<dyn File>,
    position: u64,
    buffer: Vec<u8>,
    digest: crc_fast::Digest,
    lanes: u32,
}

impl SnapshotWriter {
    pub async fn create(disk: &dyn Disk, directory: &Path, id: u64) -> Result<Self, SnapshotError> {
        let io = |source| SnapshotError::Io { id, source };
        let file = disk.open(&directory.join(file_name(id)), Open::Write).await.map_err(io)?;
        file.set_len(0).await.map_err(io)?;
        let digest = crc32c_digest();
        Ok(SnapshotWriter { id, file, position: 0, buffer: MAGIC.to_vec(), digest, lanes: 0 })
    }

    /// Adds a lane as it was at `position`. A large one, which may be most of the state, is written from where it is.
    pub async fn lane(
        &mut self,
        lane: Lane,
        position: LogPosition,
        bytes: Vec<u8>,
    ) -> Result<(), SnapshotError> {
        self.buffer.push(lane.0);
        self.buffer.extend_from_slice(&position.0.to_le_bytes());
        self.buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(&crc32c(&bytes).to_le_bytes());
        self.lanes += 1;
        if bytes.len() >= WRITE_BYTES {
            self.flush().await?;
            return self.write(bytes.into()).await;
        }
        self.buffer.extend_from_slice(&bytes);
        if self.buffer.len() >= WRITE_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), SnapshotError> {
        let bytes = std::mem::take(&mut self.buffer);
        self.write(bytes.into()).await
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), SnapshotError> {
        self.digest.update(&bytes);
        let len = bytes.len() as u64;
        let written = self.file.write_at(self.position, bytes).await;
        written.map_err(|source| SnapshotError::Io { id: self.id, source })?;
        self.position += len;
        Ok(())
    }

    /// Ends the file and syncs it; gives back its size. The caller syncs the directory.
    pub async fn finish(mut self) -> Result<u64, SnapshotError> {
        self.buffer.extend_from_slice(END_MAGIC);
        self.buffer.extend_from_slice(&self.lanes.to_le_bytes());
        let mut digest = self.digest;
        digest.update(&self.buffer);
        self.buffer.extend_from_slice(&(digest.finalize() as u32).to_le_bytes());
        self.flush().await?;
        self.file.sync().await.map_err(|source| SnapshotError::Io { id: self.id, source })?;
        Ok(self.position)
    }
}

/// Loads a snapshot into `state`, which must be new, and gives back the position of each lane.
pub(super) async fn load(
    disk: &dyn Disk,
    directory: &Path,
    id: u64,
    state: &mut State,
) -> Result<[LogPosition; Lane::COUNT], SnapshotError> {
    let bytes = read(disk, directory, id).await?;
    let mut positions = [LogPosition(0); Lane::COUNT];
    for (lane, position, bytes) in lanes(id, &bytes)? {
        state.load_lane(lane, bytes).map_err(|error| {
            let what = format!("lane {} cannot be read: {error}", lane.0);
            SnapshotError::Damaged { id, position: 0, what }
        })?;
        positions[usize::from(lane.0)] = position;
    }
    Ok(positions)
}

/// Reads a snapshot's file whole: the state fits into memory, so does this.
pub(super) async fn read(disk: &dyn Disk, directory: &Path, id: u64) -> Result<Bytes, SnapshotError> {
    let io = |source| SnapshotError::Io { id, source };
    let file = disk.open(&directory.join(file_name(id)), Open::Read).await.map_err(io)?;
    let size = file.size().await.map_err(io)?;
    file.read_at(0, size as usize).await.map_err(io)
}

/// A lane as a snapshot has it.
pub(super) type LaneAt<'a> = (Lane, LogPosition, &'a [u8]);

/// The lanes of a snapshot whose checksums hold.
pub(super) fn lanes(id: u64, bytes: &[u8]) -> Result<Vec<LaneAt<'_>>, SnapshotError> {
    let damaged = |position: usize, what: &str| SnapshotError::Damaged {
        id,
        position: position as u64,
        what: what.into(),
    };
    let Some(end_at) = bytes.len().checked_sub(END_LEN).filter(|_| bytes.starts_with(MAGIC)) else {
        return Err(damaged(0, "it does not begin as a snapshot"));
    };
    let (body, end) = bytes.split_at(end_at);
    if &end[..8] != END_MAGIC || end[12..] != crc32c(&bytes[..bytes.len() - 4]).to_le_bytes() {
        return Err(damaged(end_at, "its end does not check"));
    }
    let count = u32::from_le_bytes(end[8..12].try_into().expect("4 of 16 bytes"));
    let mut cursor = Cursor::new(&body[MAGIC.len()..]);
    let mut lanes = Vec::with_capacity(Lane::COUNT);
    while !cursor.is_empty() {
        let at = end_at - cursor.remaining();
        let lane =
            next_lane(&mut cursor).ok_or_else(|| damaged(at, "a lane ends too early or does not check"))?;
        lanes.push(lane);
    }
    if lanes.len() != count as usize {
        return Err(damaged(end_at, "it does not have as many lanes as it says"));
    }
    Ok(lanes)
}

fn next_lane<'a>(cursor: &mut Cursor<'a>) -> Option<LaneAt<'a>> {
    let lane = Lane(cursor.take(1)?[0]);
    let position = LogPosition(u64::from_le_bytes(cursor.take(8)?.try_into().ok()?));
    let len = usize::try_from(u64::from_le_bytes(cursor.take(8)?.try_into().ok()?)).ok()?;
    let crc = u32::from_le_bytes(cursor.take(4)?.try_into().ok()?);
    let bytes = cursor.take(len)?;
    (crc32c(bytes) == crc).then_some((lane, position, bytes))
}

/// The lanes of a damaged snapshot whose own checksums hold.
pub(super) fn lanes_that_check(bytes: &[u8]) -> Vec<LaneAt<'_>> {
    let mut lanes: Vec<LaneAt<'_>> = Vec::new();
    let mut at = MAGIC.len();
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let mut cursor = Cursor::new(rest);
        let follows = |lane: &LaneAt<'_>| {
            let in_order = lanes.last().is_none_or(|before| before.0 < lane.0 && before.1 <= lane.1);
            in_order && !lane.2.is_empty()
        };
        match next_lane(&mut cursor).filter(follows) {
            Some(lane) => {
                at = bytes.len() - cursor.remaining();
                lanes.push(lane);
            }
            // Behind damage the next lane may begin anywhere.
            None => at += 1,
        }
    }
    lanes
}
