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

/// The CRC-32C of two runs of bytes, one behind the other, from the CRC of each and the length of the second. Takes some
/// hundred nanoseconds whatever the length: pays from some ten KiB on.
pub fn crc32c_combined(first: u32, second: u32, second_len: usize) -> u32 {
    // The first run's CRC is what it would be with as many zero bytes behind it as the second run has: multiplied by
    // x^(8 * length) modulo the polynomial.
    let mut shifted = first;
    let mut left = second_len;
    for power in &POWERS {
        if left & 1 != 0 {
            shifted = multiplied(shifted, *power);
        }
        left >>= 1;
        if left == 0 {
            return shifted ^ second;
        }
    }
    unreachable!("there is a power for each bit of a length")
}

/// The polynomial, its highest power left out, low powers in high bits as in all values here.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `x^(8 * 2^n)` modulo the polynomial, by n.
const POWERS: [u32; usize::BITS as usize] = {
    let mut powers = [0; usize::BITS as usize];
    // x^8
    powers[0] = 1 << (31 - 8);
    let mut n = 1;
    while n < powers.len() {
        powers[n] = multiplied(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
};

/// The product of two polynomials over GF(2) modulo [`POLYNOMIAL`].
const fn multiplied(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 31;
    loop {
        // Without a branch on the value: it is as good as random.
        product ^= b & 0u32.wrapping_sub(a >> bit & 1);
        b = (b >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(b & 1));
        if bit == 0 {
            return product;
        }
        bit -= 1;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_crcs_make_that_of_both_runs() {
        let bytes: Vec<u8> = (0..100_000u32).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
        for at in [0, 1, 2, 61, 4096, 65_537, 99_999, 100_000] {
            let (first, second) = bytes.split_at(at);
            let combined = super::crc32c_combined(super::crc32c(first), super::crc32c(second), second.len());
            assert_eq!(combined, super::crc32c(&bytes), "cut at {at}");
        }
    }

    #[test]
    fn check_values() {
        assert_eq!(super::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
