//! The two checksums of Kafka's records.
//!
//! By crate `crc-fast`: measured beside `crc32c` 0.6 on an x86-64 with VPCLMULQDQ (2026-11) it takes 35 ns against 68 ns for
//! 200 B, 0.23 us against 3.6 us for 16 KiB and 25 us against 112 us for 1 MiB.

use crc_fast::{CrcAlgorithm, checksum, crc32_iscsi};

/// CRC-32C (Castagnoli): batches of magic 2.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32_iscsi(bytes)
}

/// CRC-32 as in zip (ISO-HDLC): messages of magic 0 and 1.
pub fn crc32(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32IsoHdlc, bytes) as u32
}

#[cfg(test)]
mod tests {
    #[test]
    fn check_values() {
        assert_eq!(super::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
