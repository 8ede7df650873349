//! The manifest: what a data directory is, and which files in it count. A small text, replaced as a whole.
//!
//! ```text
//! kolk-data 2
//! cluster 1b4e28ba2fa1411d883f0016d3cca427
//! secret 5d0a... 88f1...
//! life 00b6...  secret 9f...  first 1  end 812 crc 5c0ffee1 file 9
//! life 77aa...  secret 03...  first 813
//! wal-from 4
//! crc 1c291ca3
//! ```
//! A change is written to `manifest.new` and to `manifest.copy`, both are synced, the first is renamed over `manifest`, and
//! the directory is synced: a crash leaves the old one or the new one. The last line is the CRC-32C of all before it.
//!
//! Verify, dump and repair read the copy where the manifest does not check any more; a start only looks whether it would do, to
//! say so. It is what the manifest says or, after a crash in between, what it was about to say, of which nobody had made any use: files that only the old one names are
//! removed behind the change, and those that only the new one names were there before it.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::frame::Life;
use crate::codec::crc32c;
use crate::door::{Disk, Open};

/// The data format that this program writes. It reads this one and all before it that were released.
pub const DATA_FORMAT: u32 = 2;
/// The first format that was released, or will be. Before it segments had their directories in one piece.
pub(super) const OLDEST_FORMAT: u32 = 2;
pub(super) const NAME: &str = "manifest";
pub(super) const NEW_NAME: &str = "manifest.new";
pub(super) const COPY_NAME: &str = "manifest.copy";

/// A life and the frames that it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LifeEntry {
    pub life: Life,
    pub first_frame: u64,
    /// Known once the life is over, by a clean stop or by the start after it.
    pub end: Option<LifeEnd>,
}

/// Where the log stood when a life was over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LifeEnd {
    /// The last frame; the one before the life's first if it wrote none.
    pub frame: u64,
    /// That frame's CRC.
    pub crc: u32,
    /// Sequence number of the last file.
    pub file: u64,
}

/// What the manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub cluster_id: u128,
    /// Never leaves the directory; seals what clients carry for us (shard iterators).
    pub secret: [u128; 2],
    /// Lives whose frames may still be needed, in order.
    pub lives: Vec<LifeEntry>,
    /// Write-ahead files with a lower sequence number are spare, whatever their headers say.
    pub wal_from: u64,
    /// Live segments, ascending.
    pub segments: Vec<u64>,
    /// Live snapshot, if any.
    pub snapshot: Option<u64>,
}

/// Why a manifest cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ManifestError {
    Newer(u32),
    /// Of a build before the first release.
    Older(u32),
    Damaged(&'static str),
}

impl Manifest {
    pub fn encode(&self) -> String {
        let mut out = format!("kolk-data {DATA_FORMAT}\ncluster {:032x}\n", self.cluster_id);
        let _ = writeln!(out, "secret {:032x} {:032x}", self.secret[0], self.secret[1]);
        for entry in &self.lives {
            let secret = u128::from_be_bytes(entry.life.secret);
            let _ =
                write!(out, "life {:016x} secret {secret:032x} first {}", entry.life.id, entry.first_frame);
            if let Some(LifeEnd { frame, crc, file }) = entry.end {
                let _ = write!(out, " end {frame} crc {crc:08x} file {file}");
            }
            out.push('\n');
        }
        let _ = writeln!(out, "wal-from {}", self.wal_from);
        if let Some(snapshot) = self.snapshot {
            let _ = writeln!(out, "snapshot {snapshot}");
        }
        for segment in &self.segments {
            let _ = writeln!(out, "segment {segment}");
        }
        let crc = crc32c(out.as_bytes());
        let _ = writeln!(out, "crc {crc:08x}");
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let damaged = ManifestError::Damaged;
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
        let version = text.lines().next().and_then(|line| line.strip_prefix("kolk-data "));
        let version = version.ok_or(damaged("it does not begin as a manifest"))?;
        match version.parse::<u32>() {
            Ok(DATA_FORMAT) => {}
            Ok(newer) if newer > DATA_FORMAT => return Err(ManifestError::Newer(newer)),
            Ok(older) if (1..OLDEST_FORMAT).contains(&older) => return Err(ManifestError::Older(older)),
            _ => return Err(damaged("its format is no number we know")),
        }
        let at = text.rfind("crc ").filter(|at| text[..*at].ends_with('\n'));
        let at = at.ok_or(damaged("its last line is missing"))?;
        if text[at..] != format!("crc {:08x}\n", crc32c(&bytes[..at])) {
            return Err(damaged("its CRC does not match"));
        }
        Self::fields(&text[..at]).ok_or(damaged("a line cannot be read"))
    }

    fn fields(text: &str) -> Option<Manifest> {
        let mut manifest = Manifest {
            cluster_id: 0,
            secret: [0; 2],
            lives: Vec::new(),
            wal_from: 0,
            segments: Vec::new(),
            snapshot: None,
        };
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["cluster", id] => manifest.cluster_id = u128::from_str_radix(id, 16).ok()?,
                ["secret", high, low] => {
                    manifest.secret =
                        [u128::from_str_radix(high, 16).ok()?, u128::from_str_radix(low, 16).ok()?];
                }
                ["wal-from", from] => manifest.wal_from = from.parse().ok()?,
                ["segment", id] => manifest.segments.push(id.parse().ok()?),
                ["snapshot", id] => manifest.snapshot = Some(id.parse().ok()?),
                ["life", id, "secret", secret, "first", first, ref end @ ..] => {
                    let secret = u128::from_str_radix(secret, 16).ok()?.to_be_bytes();
                    manifest.lives.push(LifeEntry {
                        life: Life { id: u64::from_str_radix(id, 16).ok()?, secret },
                        first_frame: first.parse().ok()?,
                        end: match end {
                            [] => None,
                            ["end", frame, "crc", crc, "file", file] => Some(LifeEnd {
                                frame: frame.parse().ok()?,
                                crc: u32::from_str_radix(crc, 16).ok()?,
                                file: file.parse().ok()?,
                            }),
                            _ => return None,
                        },
                    });
                }
                _ => return None,
            }
        }
        Some(manifest)
    }

    /// Replaces the directory's manifest durably. After an error it may be replaced or not.
    pub async fn store(&self, disk: &dyn Disk, directory: &Path) -> io::Result<()> {
        self.write_new(disk, directory).await?;
        replace(disk, directory).await
    }

    /// Writes the manifest and its copy beside the present one; after an error that one counts.
    pub async fn write_new(&self, disk: &dyn Disk, directory: &Path) -> io::Result<()> {
        let text = Bytes::from(self.encode());
        write(disk, &directory.join(NEW_NAME), text.clone()).await?;
        write(disk, &directory.join(COPY_NAME), text).await
    }

    /// [`Manifest::store`] where the copy is all there is: that is not touched.
    pub async fn restore(&self, disk: &dyn Disk, directory: &Path) -> io::Result<()> {
        write(disk, &directory.join(NEW_NAME), Bytes::from(self.encode())).await?;
        replace(disk, directory).await
    }
}

async fn write(disk: &dyn Disk, path: &Path, text: Bytes) -> io::Result<()> {
    let file = disk.open(path, Open::Write).await?;
    file.set_len(text.len() as u64).await?;
    file.write_at(0, text).await?;
    file.sync().await
}

/// Puts what [`Manifest::write_new`] wrote in the manifest's place.
pub(super) async fn replace(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    disk.rename(&directory.join(NEW_NAME), &directory.join(NAME)).await?;
    disk.sync_dir(directory).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let life = |id| Life { id, secret: [id as u8; 16] };
        Manifest {
            cluster_id: 99,
            secret: [7, u128::MAX],
            lives: vec![
                LifeEntry {
                    life: life(1),
                    first_frame: 1,
                    end: Some(LifeEnd { frame: 8, crc: 0xabc, file: 2 }),
                },
                LifeEntry { life: life(2), first_frame: 9, end: None },
            ],
            wal_from: 3,
            segments: vec![4, 7],
            snapshot: Some(5),
        }
    }

    #[test]
    fn it_comes_back_and_any_change_is_noticed() {
        let text = manifest().encode();
        assert_eq!(Manifest::decode(text.as_bytes()), Ok(manifest()));
        for at in 0..text.len() {
            let mut broken = text.clone().into_bytes();
            broken[at] ^= 1;
            assert!(Manifest::decode(&broken).is_err(), "byte {at}");
        }
        assert!(Manifest::decode(&text.as_bytes()[..text.len() - 1]).is_err());
    }

    #[test]
    fn another_format_is_told_apart_from_damage() {
        let of = |format: u32| manifest().encode().replacen("kolk-data 2", &format!("kolk-data {format}"), 1);
        assert_eq!(Manifest::decode(of(3).as_bytes()), Err(ManifestError::Newer(3)));
        assert_eq!(Manifest::decode(of(1).as_bytes()), Err(ManifestError::Older(1)));
    }
}
