//! The walk over the write-ahead log: shows its frames in order, and judges gaps and its end. A start, `kolk verify`, `kolk
//! dump` and `kolk repair` look at a log through it, each with a [`Visit`] of its own.
//!
//! ```text
//!  file 4            file 5            file 6 (last)
//!  | 1 2 3 ... 40 |  | 41 ... 77 |     | 78 79 80 ?    no later good frame of this life: a torn tail, cut
//!                                      | 78 79 80 ? 82 a later good frame: damage, refuse
//! ```
//! Each frame names the CRC of the one before it, each file its first frame, each life that is over its last
//! frame: a gap anywhere but at the very end is damage and said with file, position and what to do. A cut file is
//! never appended to: every start is a new life in a new file.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::frame::{self, Found, Frame, FrameId, Life};
use super::manifest::{LifeEnd, Manifest};
use super::recovery::{ADVICE, OpenError, io_at, wal_directory};
use super::space::FoundFiles;
use super::wal::{self, WalFile, WalHeader};
use crate::defects::{Defect, defect};
use crate::door::{ALIGNMENT, Disk, Open};
use crate::state::CorruptState;

/// A file of the log as found.
struct FoundFile {
    file: WalFile,
    path: PathBuf,
    header: Option<WalHeader>,
}

/// Who is shown a log, front to back.
pub(super) trait Visit: Send {
    /// The next file of the log.
    fn file(&mut self, header: &WalHeader, file: &WalFile, path: &Path);

    /// The next frame, at a position of that file.
    fn frame(&mut self, frame: &Frame, header: &WalHeader, position: u64) -> Result<(), CorruptState>;

    /// What of the log the snapshot stands for; `None` to ask no frame for its sake.
    fn covered(&self) -> Option<Covered> {
        None
    }

    /// The log ends in a frame that was never acknowledged.
    fn torn(&mut self, path: &Path, position: u64, bytes: u64, frame: u64);

    /// Something of the log is not there. An error ends the walk; else it goes on behind the gap.
    fn gap(&mut self, gap: Gap) -> Result<(), OpenError> {
        Err(gap.into())
    }

    /// Whether files whose headers do not check are looked into.
    fn salvages(&self) -> bool {
        false
    }
}

/// The frames up to which a snapshot has its lanes: the lowest and the highest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Covered {
    pub least: u64,
    pub most: u64,
}

impl Covered {
    pub fn of(lanes: impl Iterator<Item = u64> + Clone) -> Self {
        Covered { least: lanes.clone().min().unwrap_or(0), most: lanes.max().unwrap_or(0) }
    }
}

/// Where the log does not go on as it should.
#[derive(Debug)]
pub(super) struct Gap {
    pub file: PathBuf,
    pub position: u64,
    pub what: String,
    /// The frames that are missing: the first, and one past the last.
    pub frames: (u64, u64),
}

impl From<Gap> for OpenError {
    fn from(gap: Gap) -> Self {
        OpenError::Damaged { file: gap.file, position: gap.position, what: gap.what, advice: ADVICE }
    }
}

/// How a log is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To go on writing: what the page cache has is synced and forgotten, half-made files are removed.
    Serve,
    /// To look only: nothing is changed.
    Inspect,
}

/// What a walk over the log found.
pub(super) struct Walked {
    /// Lives whose frames are in the log, in order of its files.
    pub lives: Vec<u64>,
    pub next: Expected,
    pub next_sequence: u64,
    /// All files; those not in the log are spare.
    pub files: FoundFiles,
}

async fn find_files(
    disk: &dyn Disk,
    wal_path: &Path,
    lives: &[Life],
    purpose: Purpose,
) -> Result<Vec<FoundFile>, OpenError> {
    let mut files = Vec::new();
    for name in disk.list(wal_path).await.map_err(io_at(wal_path))? {
        let Some(slot) = wal::slot_of(&name) else { continue };
        let path = wal_path.join(&name);
        let how = if purpose == Purpose::Serve { Open::Durable } else { Open::Read };
        let file = disk.open(&path, how).await.map_err(io_at(&path))?;
        if purpose == Purpose::Serve {
            // The page cache may show what a failed sync never wrote, a length too; and the tail must be durable before it
            // is served.
            file.sync_and_evict().await.map_err(io_at(&path))?;
        }
        let size = file.size().await.map_err(io_at(&path))?;
        // A crash may leave part of a footer (see the rewrite's promotion) behind the frames.
        let capacity = size - size % ALIGNMENT as u64;
        if capacity < wal::HEADER_LEN + ALIGNMENT as u64 {
            // Its making was cut short, so nothing was ever written to it.
            if purpose == Purpose::Serve {
                disk.remove(&path).await.map_err(io_at(&path))?;
            }
            continue;
        }
        let block = file.read_at(0, ALIGNMENT).await.map_err(io_at(&path))?;
        let header = WalHeader::decode(&block, lives);
        files.push(FoundFile { header, file: WalFile::new(slot, capacity, file), path });
    }
    Ok(files)
}

/// Shows the log to `visit`, and judges gaps and its end.
pub(super) async fn walk(
    disk: &dyn Disk,
    directory: &Path,
    manifest: &Manifest,
    purpose: Purpose,
    visit: &mut dyn Visit,
) -> Result<Walked, OpenError> {
    let lives: Vec<Life> = manifest.lives.iter().map(|entry| entry.life).collect();
    let files = find_files(disk, &wal_directory(directory), &lives, purpose).await?;
    let next_slot = files.iter().map(|found| found.file.slot + 1).max().unwrap_or(1);
    let bytes = files.iter().map(|found| found.file.capacity).sum();
    let in_log = |found: &FoundFile| found.header.is_some_and(|header| header.sequence >= manifest.wal_from);
    let (mut chain, mut unused): (Vec<_>, Vec<_>) = files.into_iter().partition(in_log);
    chain.sort_by_key(|found| found.header.map(|header| header.sequence));
    if visit.salvages() {
        take_headless(&mut chain, &mut unused, &lives, manifest, visit).await?;
    }

    let mut sequence = manifest.wal_from;
    let mut expected: Option<Expected> = None;
    let mut ends_at = (wal_directory(directory), 0);
    for (at, found) in chain.iter().enumerate() {
        let header = found.header.expect("only files with a header are in the log");
        let begins = Expected::at_start_of(&header);
        let gap = |position, what, frames| Gap { file: found.path.clone(), position, what, frames };
        let mut next = expected.unwrap_or(begins);
        if header.sequence != sequence {
            let what =
                format!("it is file {} of the log, file {sequence} before it is missing", header.sequence);
            visit.gap(gap(0, what, (next.number, begins.number)))?;
            next = begins;
        }
        sequence = header.sequence + 1;
        if next != begins {
            let what = format!("it begins with frame {}, not {}", begins.number, next.number);
            visit.gap(gap(0, what, (next.number, begins.number)))?;
            next = begins;
        }
        if expected.is_none() {
            check_begin(visit, &found.path, begins.number)?;
        }
        visit.file(&header, &found.file, &found.path);
        let promised = match chain.get(at + 1).and_then(|next| next.header) {
            Some(next) => Some(Expected::at_start_of(&next)),
            None => {
                let entry = manifest.lives.iter().find(|entry| entry.life.id == header.life);
                entry.and_then(|entry| entry.end).map(Expected::behind)
            }
        };
        let life = lives.iter().find(|life| life.id == header.life).expect("decoded with its life");
        let mut scan = Scan::new(found);
        let mut position = wal::HEADER_LEN;
        loop {
            let end = match scan.frame_at(position, life).await? {
                Ok(frame) if (frame.id.number, frame.id.before_crc) == (next.number, next.before_crc) => {
                    if let Err(error) = visit.frame(&frame, &header, position) {
                        visit.gap(gap(position, error.to_string(), (next.number, next.number + 1)))?;
                    }
                    next = Expected { number: next.number + 1, before_crc: frame.crc };
                    position += u64::from(frame.len);
                    continue;
                }
                Ok(frame) if defect(Defect::StaleFrameReplayed) && frame.id.number < next.number => {
                    if let Err(error) = visit.frame(&frame, &header, position) {
                        visit.gap(gap(position, error.to_string(), (next.number, next.number + 1)))?;
                    }
                    position += u64::from(frame.len);
                    continue;
                }
                // A frame of an earlier use of the file.
                Ok(frame) if frame.id.number < next.number => "the next frame is not there",
                Ok(_) => "the frame there does not follow the one before it",
                Err(what) => what,
            };
            if promised.is_some_and(|promised| next.number >= promised.number) {
                break;
            }
            let wanted = next.number;
            let later = scan.later_frame(position, life, wanted).await?;
            let what = match (promised, &later) {
                (_, Some((at, later))) => {
                    let later = later.number;
                    format!("frame {wanted} should be there: {end}; frame {later} follows at byte {at}")
                }
                (Some(promised), None) => {
                    let last = promised.number - 1;
                    format!("frame {wanted} should be there, of {last} in this file: {end}")
                }
                (None, None) => {
                    let torn = scan.torn_len(position, life, wanted).await?;
                    if torn > 0 {
                        visit.torn(&found.path, position, torn, wanted);
                    }
                    break;
                }
            };
            let goes_on = later.map(|(_, later)| later).or(promised).expect("one of them is there");
            visit.gap(gap(position, what, (wanted, goes_on.number)))?;
            next = goes_on;
            match later {
                Some((at, _)) => position = at,
                None => break,
            }
        }
        expected = Some(next);
        ends_at = (found.path.clone(), position);
    }
    let next = expected.map(|expected| expected.number).or_else(|| freed_before(manifest));
    for found in unused.iter().filter(|found| found.header.is_none()) {
        // A damaged header of the newest file must not hide its frames.
        if let Some((_, first)) = first_of_headless(found, &lives).await?
            && next.is_none_or(|next| first.number >= next)
        {
            let what = format!("its header does not check, but it holds frame {}", first.number);
            let frames = (first.number, first.number);
            visit.gap(Gap { file: found.path.clone(), position: 0, what, frames })?;
        }
    }
    let next = check_end(visit, manifest, expected, ends_at, sequence)?;
    Ok(Walked {
        lives: chain.iter().filter_map(|found| found.header).map(|header| header.life).collect(),
        next,
        next_sequence: sequence,
        files: FoundFiles {
            spare: unused.into_iter().map(|found| found.file).collect(),
            next_slot,
            bytes,
            complete: chain.len() as u64,
            complete_bytes: chain.iter().map(|found| found.file.capacity).sum(),
        },
    })
}

/// Judges where the log begins: no decision may lie between the snapshot and its first frame.
fn check_begin(visit: &mut dyn Visit, file: &Path, first_frame: u64) -> Result<(), OpenError> {
    match visit.covered() {
        Some(Covered { least, .. }) if least + 1 < first_frame => {
            let what =
                format!("the log begins with frame {first_frame}, the snapshot ends with frame {least}");
            visit.gap(Gap { file: file.into(), position: 0, what, frames: (least + 1, first_frame) })
        }
        _ => Ok(()),
    }
}

/// Judges where the log ends, by what is known of it elsewhere, and returns the next frame. `expected` is what the last
/// file came to, `None` without a file; `next_file` is the sequence number behind it.
fn check_end(
    visit: &mut dyn Visit,
    manifest: &Manifest,
    expected: Option<Expected>,
    (file, position): (PathBuf, u64),
    next_file: u64,
) -> Result<Expected, OpenError> {
    // Written down when that life stopped well, or when the next one began.
    let end = manifest.lives.iter().rev().find_map(|entry| entry.end);
    let ended = end.map(Expected::behind);
    let mut next = match (expected, ended) {
        (Some(expected), _) => expected,
        (None, ended) => {
            // All files were freed: their decisions are in the snapshot, their batches in segments.
            let begins = ended.unwrap_or(Expected { number: 1, before_crc: 0 });
            check_begin(visit, &file, begins.number)?;
            begins
        }
    };
    let mut missing = |what: String, frames| visit.gap(Gap { file: file.clone(), position, what, frames });
    if let Some(ended) = ended.filter(|ended| next.number < ended.number) {
        let (from, last) = (next.number, ended.number - 1);
        missing(format!("frames {from} to {last} should follow: the manifest names them"), (from, last + 1))?;
        next = ended;
    } else if let Some(ended) = ended.filter(|ended| next.number == ended.number && next != *ended) {
        let last = ended.number - 1;
        missing(format!("frame {last} is not the one that the manifest names"), (last, last + 1))?;
        next = ended;
    } else if let Some(end) = end.filter(|end| end.file >= next_file) {
        // Its frames are in the snapshot, and batches in them are in no segment yet.
        missing(
            format!("file {} of the log should follow: the manifest names it", end.file),
            (next.number, next.number),
        )?;
    }
    // The file with the newest frame of its life is never freed before the next one.
    if let Some(Covered { most, .. }) = visit.covered()
        && next.number <= most
    {
        let what = format!("frames {} to {most} should follow: the snapshot has seen them", next.number);
        visit.gap(Gap { file, position, what, frames: (next.number, most + 1) })?;
        next = Expected { number: most + 1, before_crc: 0 };
    }
    Ok(next)
}

/// The frame that a log goes on with whose files the manifest has freed up to the last one of an ended life; `None` where it has
/// not. What a spare file still holds from before it is no part of the log, though its header does not check.
fn freed_before(manifest: &Manifest) -> Option<u64> {
    let end = manifest.lives.iter().rev().find_map(|entry| entry.end)?;
    (end.file < manifest.wal_from).then_some(end.frame + 1)
}

/// The first frame of a file that has no header, and the life that it is of.
async fn first_of_headless(found: &FoundFile, lives: &[Life]) -> Result<Option<(Life, FrameId)>, OpenError> {
    let mut scan = Scan::new(found);
    for life in lives {
        if let Ok(frame) = scan.frame_at(wal::HEADER_LEN, life).await? {
            return Ok(Some((*life, frame.id)));
        }
    }
    Ok(None)
}

/// Puts files whose headers do not check where their first frames belong.
async fn take_headless(
    chain: &mut Vec<FoundFile>,
    unused: &mut Vec<FoundFile>,
    lives: &[Life],
    manifest: &Manifest,
    visit: &mut dyn Visit,
) -> Result<(), OpenError> {
    let mut headless = Vec::new();
    for found in std::mem::take(unused) {
        let begins = match found.header {
            None => first_of_headless(&found, lives).await?,
            Some(_) => None,
        };
        match begins {
            Some((life, id)) => headless.push((found, life, id)),
            None => unused.push(found),
        }
    }
    headless.sort_by_key(|(.., id)| id.number);

    let oldest = chain.first().and_then(|found| found.header).map(|header| header.first_frame);
    let oldest = oldest.or_else(|| freed_before(manifest));
    let oldest = oldest.or(manifest.lives.first().map(|life| life.first_frame)).unwrap_or(1);
    let later = headless.split_off(headless.partition_point(|(.., id)| id.number < oldest));
    // Where the log's first files are missing, they are those whose frames lead up to the first that is there. What
    // else begins earlier is left from before the log's start.
    for (found, life, id) in headless.into_iter().rev() {
        let first = chain.first().and_then(|found| found.header);
        match first.filter(|first| first.sequence > manifest.wal_from) {
            Some(first) if leads_to(&found, &life, Expected::at_start_of(&first)).await? => {
                take_in(chain, 0, found, (&life, id, first.sequence - 1), visit)?;
            }
            _ => unused.push(found),
        }
    }
    for (found, life, id) in later {
        let at =
            chain.partition_point(|other| other.header.is_some_and(|header| header.first_frame < id.number));
        let before = at.checked_sub(1).and_then(|before| chain[before].header);
        let sequence = before.map_or(manifest.wal_from, |before| before.sequence + 1);
        take_in(chain, at, found, (&life, id, sequence), visit)?;
    }
    Ok(())
}

/// Whether the frames of a file follow one another up to `wanted`.
async fn leads_to(found: &FoundFile, life: &Life, wanted: Expected) -> Result<bool, OpenError> {
    let mut scan = Scan::new(found);
    let mut position = wal::HEADER_LEN;
    let mut next = None;
    while let Ok(frame) = scan.frame_at(position, life).await? {
        let is = Expected { number: frame.id.number, before_crc: frame.id.before_crc };
        if next.is_some_and(|next| next != is) {
            break;
        }
        let after = Expected { number: is.number + 1, before_crc: frame.crc };
        if after == wanted {
            return Ok(true);
        }
        next = Some(after);
        position += u64::from(frame.len);
    }
    Ok(false)
}

/// Makes a file without a header part of the log, by its life, its first frame and the sequence that its place tells.
fn take_in(
    chain: &mut Vec<FoundFile>,
    at: usize,
    mut found: FoundFile,
    (life, id, sequence): (&Life, FrameId, u64),
    visit: &mut dyn Visit,
) -> Result<(), OpenError> {
    let what = "its header does not check; the frames in it are there".to_owned();
    visit.gap(Gap { file: found.path.clone(), position: 0, what, frames: (id.number, id.number) })?;
    let FrameId { number: first_frame, before_crc, .. } = id;
    found.header =
        Some(WalHeader { sequence, life: life.id, first_frame, before_crc, capacity: found.file.capacity });
    chain.insert(at, found);
    Ok(())
}

/// The next frame by what was read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub number: u64,
    pub before_crc: u32,
}

impl Expected {
    fn at_start_of(header: &WalHeader) -> Self {
        Self { number: header.first_frame, before_crc: header.before_crc }
    }

    fn behind(end: LifeEnd) -> Self {
        Self { number: end.frame + 1, before_crc: end.crc }
    }
}

/// Reads a file front to back in large pieces.
struct Scan<'a> {
    disk_file: &'a FoundFile,
    window: Bytes,
    window_at: u64,
}

/// Bytes read at a time.
const WINDOW: u64 = 4 << 20;

impl<'a> Scan<'a> {
    fn new(disk_file: &'a FoundFile) -> Self {
        Self { disk_file, window: Bytes::new(), window_at: 0 }
    }

    /// At least `len` bytes at `position`; `None` past the end.
    async fn bytes(&mut self, position: u64, len: u64) -> Result<Option<Bytes>, OpenError> {
        let capacity = self.disk_file.file.capacity;
        if position + len > capacity {
            return Ok(None);
        }
        let window_end = self.window_at + self.window.len() as u64;
        if position < self.window_at || position + len > window_end {
            let wanted = len.max(WINDOW).min(capacity - position);
            let read = self.disk_file.file.file.read_at(position, wanted as usize).await;
            self.window = read.map_err(io_at(&self.disk_file.path))?;
            self.window_at = position;
        }
        Ok(Some(self.window.slice((position - self.window_at) as usize..)))
    }

    /// The frame at a position, or in words why there is none.
    async fn frame_at(
        &mut self,
        position: u64,
        life: &Life,
    ) -> Result<Result<Frame, &'static str>, OpenError> {
        let mut need = ALIGNMENT as u64;
        loop {
            let Some(bytes) = self.bytes(position, need).await? else {
                return Ok(Err("the file ends there"));
            };
            match frame::find(&bytes, life) {
                Found::Frame(frame) => return Ok(Ok(frame)),
                Found::Longer(len) if len as u64 > need => need = len as u64,
                Found::Longer(_) => return Ok(Err("the frame's length does not fit")),
                Found::Nothing(what) => return Ok(Err(what)),
            }
        }
    }

    /// A good frame of this life behind `position` that is not older than `wanted`: where, and what it expects.
    async fn later_frame(
        &mut self,
        position: u64,
        life: &Life,
        wanted: u64,
    ) -> Result<Option<(u64, Expected)>, OpenError> {
        let mut at = position + ALIGNMENT as u64;
        while at < self.disk_file.file.capacity {
            if let Ok(frame) = self.frame_at(at, life).await?
                && frame.id.number >= wanted
            {
                let expects = Expected { number: frame.id.number, before_crc: frame.id.before_crc };
                return Ok(Some((at, expects)));
            }
            at += ALIGNMENT as u64;
        }
        Ok(None)
    }

    /// Length of the frame that was being written at `position` when the process ended; 0 if none was.
    async fn torn_len(&mut self, position: u64, life: &Life, wanted: u64) -> Result<u64, OpenError> {
        let Some(bytes) = self.bytes(position, ALIGNMENT as u64).await? else { return Ok(0) };
        Ok(frame::announced(&bytes, life).filter(|(number, _)| *number == wanted).map_or(0, |(_, len)| len))
    }
}
