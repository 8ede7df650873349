//! What is inside a records field: record batches, and the message sets that came before them.
//!
//! - [`batch`]: the header of a batch (magic 2): read, check, change base offset, leader epoch and append time in place.
//! - [`record`]: the records in a batch, read without a copy where they are not compressed, and batches made of records.
//! - [`glance`](mod@glance): the records of a batch looked over without holding them.
//! - [`control`]: the markers that end a transaction.
//! - [`message_set`]: magic 0 and 1, read and written, and the ways up to magic 2 and down from it.
//! - [`compress`]: the four codecs, with a bound on what comes out.
//!
//! Owns the layouts and their checks. Leaves to the broker what depends on a topic's configuration (timestamps, sizes) or
//! on state (sequences, transactions).
//!
//! ```
//! use kolk_wire_kafka::records::{BatchBuilder, Batches, Compression, RecordIter, record::decompressed};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut builder = BatchBuilder::new(Compression::Zstd);
//! builder.append(1_700_000_000_000, Some(b"key"), Some(b"value"), &[("trace", Some(b"1"))]);
//! let sent = builder.build()?;
//! for batch in Batches::new(sent) {
//!     let (header, batch) = batch?;
//!     header.check_crc(&batch)?;
//!     let block = decompressed(&header, &batch, 1 << 20)?;
//!     for record in RecordIter::new(&header, &block) {
//!         let record = record?;
//!         assert_eq!((record.offset, record.value), (0, Some(&b"value"[..])));
//!     }
//! }
//! # Ok(()) }
//! ```

pub mod batch;
pub mod compress;
pub mod control;
pub mod crc;
pub mod glance;
pub mod message_set;
pub mod record;

pub use batch::{BatchError, BatchHeader, Compression, TimestampType, check_produce_batch};
pub use compress::CompressError;
pub use record::{BatchBuilder, Batches, Record, RecordError, RecordIter};
