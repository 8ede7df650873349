//! Sequence numbers: 56 decimal digits that name a shard, an offset and a second.
//!
//! Written in hexadecimal a sequence number has 47 digits:
//!
//! ```text
//! 2 | shard created, s | shard index & 0xf | index | unknown | record appended, s | shard index | 2
//! 1 |        9         |         1         |  16   |    2    |         9          |      8      | 1
//! ```
//!
//! The index is the record's offset plus one: 0 is the start of a shard, [`INDEX_MAX`] its end. Since a shard's
//! creation and index stand before the second, the numbers of a shard grow with its offsets whatever the clock does,
//! and those of a child lie above those of its parents.
//!
//! Source: the layout of the numbers that the service hands out (version 2), as decoded by its users since 2014.

use std::fmt;
use std::str::FromStr;

/// The index of a shard's end; no record has it.
pub const INDEX_MAX: u64 = 0x7fff_ffff_ffff_ffff;

/// The highest shard index; the service counts with 31 bits.
pub const SHARD_INDEX_MAX: u32 = 0x7fff_ffff;

/// Seconds from which on the service calls a number invalid (the year 2477).
const SECS_MAX: u64 = 16_025_175_000;

const TEN_19: u64 = 10_000_000_000_000_000_000;

/// A sequence number, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceNumber {
    /// When the shard was created, seconds since 1970.
    pub shard_created_secs: u64,
    /// The shard within its stream.
    pub shard_index: u32,
    /// Offset + 1; 0 is the shard's start, [`INDEX_MAX`] its end.
    pub index: u64,
    /// When the record was appended, seconds since 1970.
    pub record_secs: u64,
}

/// What a sequence number points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// The start of the shard.
    Start,
    /// The record at this offset of the shard's partition.
    Offset(i64),
    /// The end of a closed shard.
    End,
}

/// Why a text is no sequence number of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// Not a decimal number.
    #[error("a sequence number is a decimal number")]
    NotANumber,
    /// A number, but not in the layout of version 2.
    #[error("the number is in no layout that is in use")]
    UnknownLayout,
}

/// Why a sequence number does not belong to a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequenceMismatch {
    /// It names another shard of the stream.
    #[error("the number names shard {found}, not shard {expected}")]
    OtherShard {
        /// The shard that was asked for.
        expected: u32,
        /// The shard that the number names.
        found: u32,
    },
    /// It names a shard of the same index that was created at another time: another life of the stream.
    #[error("the number comes from a shard created at second {found}, not {expected}")]
    OtherStream {
        /// When the shard was created.
        expected: u64,
        /// When the number says so.
        found: u64,
    },
}

impl SequenceNumber {
    /// The number of a shard's start; all of its records lie above.
    pub fn start(shard_created_secs: u64, shard_index: u32) -> Self {
        Self { shard_created_secs, shard_index, index: 0, record_secs: shard_created_secs }
    }

    /// The number of a record.
    pub fn record(shard_created_secs: u64, shard_index: u32, offset: i64, record_secs: u64) -> Self {
        let index = u64::try_from(offset).expect("offsets are not negative") + 1;
        Self { shard_created_secs, shard_index, index, record_secs }
    }

    /// The number of a closed shard's end; all of its records lie below.
    pub fn end(shard_created_secs: u64, shard_index: u32, closed_secs: u64) -> Self {
        Self { shard_created_secs, shard_index, index: INDEX_MAX, record_secs: closed_secs }
    }

    /// What it points at.
    pub fn position(&self) -> Position {
        match self.index {
            0 => Position::Start,
            INDEX_MAX => Position::End,
            index => Position::Offset(index as i64 - 1),
        }
    }

    /// Checks that it belongs to the shard of that index and creation, and says where in it.
    pub fn position_in(
        &self,
        shard_index: u32,
        shard_created_secs: u64,
    ) -> Result<Position, SequenceMismatch> {
        if self.shard_index != shard_index {
            return Err(SequenceMismatch::OtherShard { expected: shard_index, found: self.shard_index });
        }
        if self.shard_created_secs != shard_created_secs {
            let found = self.shard_created_secs;
            return Err(SequenceMismatch::OtherStream { expected: shard_created_secs, found });
        }
        Ok(self.position())
    }

    /// The number itself: its upper 60 and its lower 128 bits.
    fn pack(&self) -> (u64, u128) {
        const SECS: u64 = (1 << 36) - 1;
        let high = 2 << 56
            | (self.shard_created_secs & SECS) << 20
            | u64::from(self.shard_index & 0xf) << 16
            | (self.index & INDEX_MAX) >> 48;
        let low = u128::from(self.index & 0xffff_ffff_ffff) << 80
            | u128::from(self.record_secs & SECS) << 36
            | u128::from(self.shard_index) << 4
            | 2;
        (high, low)
    }

    fn unpack(high: u64, low: u128) -> Result<Self, SequenceError> {
        let number = Self {
            shard_created_secs: (high >> 20) & 0xf_ffff_ffff,
            shard_index: (low >> 4) as u32,
            index: (high & 0xffff) << 48 | (low >> 80) as u64,
            record_secs: (low >> 36) as u64 & 0xf_ffff_ffff,
        };
        let sound = high >> 56 == 2
            && low & 0xf == 2
            && number.index <= INDEX_MAX
            && number.shard_index <= SHARD_INDEX_MAX
            && number.shard_created_secs < SECS_MAX;
        if sound { Ok(number) } else { Err(SequenceError::UnknownLayout) }
    }
}

/// Numeric order: of one shard, order in the log.
impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.pack().cmp(&other.pack())
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, low) = self.pack();
        let mut limbs = [high, (low >> 64) as u64, low as u64];
        let mut take_19_digits = || {
            let mut rest = 0u128;
            for limb in &mut limbs {
                let value = rest << 64 | u128::from(*limb);
                *limb = (value / u128::from(TEN_19)) as u64;
                rest = value % u128::from(TEN_19);
            }
            rest as u64
        };
        let (low, middle, high) = (take_19_digits(), take_19_digits(), take_19_digits());
        write!(f, "{high}{middle:019}{low:019}")
    }
}

impl FromStr for SequenceNumber {
    type Err = SequenceError;

    fn from_str(text: &str) -> Result<Self, SequenceError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SequenceError::NotANumber);
        }
        // 2^188 has 57 digits; what has more is in no layout, and must not make us count on.
        if text.len() > 57 {
            return Err(SequenceError::UnknownLayout);
        }
        let mut limbs = [0u64; 3];
        for digit in text.bytes() {
            let mut carry = u128::from(digit - b'0');
            for limb in limbs.iter_mut().rev() {
                let value = u128::from(*limb) * 10 + carry;
                *limb = value as u64;
                carry = value >> 64;
            }
        }
        Self::unpack(limbs[0], u128::from(limbs[1]) << 64 | u128::from(limbs[2]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers handed out by kinesalite 3.3.3, which reproduces the service's: start, fourth index and end of one shard.
    #[test]
    fn observed_numbers_decode() {
        let start: SequenceNumber = OBSERVED_START.parse().unwrap();
        assert_eq!(start.position(), Position::Start);
        assert_eq!(start.shard_index, 1);
        assert_eq!(start.to_string(), OBSERVED_START);
        let record: SequenceNumber = OBSERVED_RECORD.parse().unwrap();
        assert_eq!(record.position_in(1, start.shard_created_secs), Ok(Position::Offset(2)));
        assert_eq!(record.to_string(), OBSERVED_RECORD);
        let end: SequenceNumber = OBSERVED_END.parse().unwrap();
        assert_eq!(end.position(), Position::End);
        assert_eq!(end.to_string(), OBSERVED_END);
        assert!(start < record && record < end);
    }

    const OBSERVED_START: &str = "49680476682442280249237789831622129709532562891013619730";
    const OBSERVED_RECORD: &str = "49680476682442280249237789831625756486991406915976691730";
    const OBSERVED_END: &str = "49680476682453430621837055143191688642849272648750333970";

    #[test]
    fn what_is_no_number_of_ours_is_said_so() {
        for text in ["", "x", "-1", "1.5", "٣"] {
            assert_eq!(text.parse::<SequenceNumber>(), Err(SequenceError::NotANumber), "{text}");
        }
        let long = "9".repeat(129);
        for text in ["0", "1", "49", "99999999999999999999999999999999999999999999999999999999", &long] {
            assert_eq!(text.parse::<SequenceNumber>(), Err(SequenceError::UnknownLayout), "{text}");
        }
    }

    #[test]
    fn a_number_belongs_to_one_shard_of_one_stream() {
        let number = SequenceNumber::record(1_700_000_000, 3, 41, 1_700_000_009);
        assert_eq!(number.position_in(3, 1_700_000_000), Ok(Position::Offset(41)));
        assert_eq!(
            number.position_in(4, 1_700_000_000),
            Err(SequenceMismatch::OtherShard { expected: 4, found: 3 })
        );
        assert_eq!(
            number.position_in(3, 1_700_000_001),
            Err(SequenceMismatch::OtherStream { expected: 1_700_000_001, found: 1_700_000_000 })
        );
    }

    fn any_number() -> impl Strategy<Value = SequenceNumber> {
        (0..SECS_MAX, 0..=SHARD_INDEX_MAX, 0..=INDEX_MAX, 0..1u64 << 36).prop_map(
            |(shard_created_secs, shard_index, index, record_secs)| SequenceNumber {
                shard_created_secs,
                shard_index,
                index,
                record_secs,
            },
        )
    }

    proptest! {
        #[test]
        fn numbers_round_trip_in_56_digits(number in any_number()) {
            let text = number.to_string();
            prop_assert_eq!(text.len(), 56);
            prop_assert!(text.starts_with("49") || text.starts_with('5') || text.starts_with('6') || text.starts_with('7'));
            prop_assert_eq!(text.parse(), Ok(number));
        }

        #[test]
        fn order_of_numbers_is_order_of_texts(a in any_number(), b in any_number()) {
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn numbers_of_a_shard_grow_with_offsets_whatever_the_clock_does(
            created in 1_500_000_000u64..2_000_000_000, shard in 0..=SHARD_INDEX_MAX,
            offset in 0i64..i64::MAX - 3, secs in 0u64..1 << 36, later in 0u64..1 << 36,
        ) {
            let number = SequenceNumber::record(created, shard, offset, secs);
            prop_assert!(number > SequenceNumber::start(created, shard));
            prop_assert!(number < SequenceNumber::record(created, shard, offset + 1, later));
            prop_assert!(number < SequenceNumber::end(created, shard, later));
            prop_assert!(SequenceNumber::start(created + 1, shard.wrapping_add(1) & SHARD_INDEX_MAX) > number);
        }

        #[test]
        fn any_text_is_read_without_harm(text in "[0-9]{0,140}|.{0,20}") {
            let _ = text.parse::<SequenceNumber>();
        }
    }
}
