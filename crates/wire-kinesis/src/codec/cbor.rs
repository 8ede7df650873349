//! CBOR bodies: RFC 8949, with timestamps as whole milliseconds under tag 1.
//!
//! Lists and maps are written with indefinite length, as the AWS SDK for Java does and expects; both kinds of length
//! are read.

use std::borrow::Cow;

use bytes::Bytes;

use super::{DEPTH_MAX, Malformed, Number, Reader, Timestamp, Token, Writer};

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;
const BREAK: u8 = 0xff;

/// Pulls tokens out of a CBOR item.
pub(crate) struct CborReader<'a> {
    body: &'a Bytes,
    position: usize,
    /// For each list and map entered: entries left, or `None` when a break ends it.
    open: Vec<Option<u64>>,
}

impl<'a> CborReader<'a> {
    pub(crate) fn new(body: &'a Bytes) -> Self {
        Self { body, position: 0, open: Vec::new() }
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self.body.get(self.position).ok_or(Malformed)?;
        self.position += 1;
        Ok(byte)
    }

    fn uint(&mut self, bytes: usize) -> Result<u64, Malformed> {
        let mut value = 0;
        for _ in 0..bytes {
            value = value << 8 | u64::from(self.byte()?);
        }
        Ok(value)
    }

    /// The argument of an initial byte; `None` is "indefinite".
    fn argument(&mut self, initial: u8) -> Result<Option<u64>, Malformed> {
        match initial & 0x1f {
            small @ 0..=23 => Ok(Some(u64::from(small))),
            24 => self.uint(1).map(Some),
            25 => self.uint(2).map(Some),
            26 => self.uint(4).map(Some),
            27 => self.uint(8).map(Some),
            31 => Ok(None),
            _ => Err(Malformed),
        }
    }

    /// The range of the next `length` bytes of the body, which must be there.
    fn range(&mut self, length: u64) -> Result<std::ops::Range<usize>, Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let end = self.position.checked_add(length).filter(|&end| end <= self.body.len()).ok_or(Malformed)?;
        let start = std::mem::replace(&mut self.position, end);
        Ok(start..end)
    }

    /// The chunks of a string of indefinite length, joined.
    fn chunks(&mut self, major: u8) -> Result<Vec<u8>, Malformed> {
        let mut joined = Vec::new();
        loop {
            let initial = self.byte()?;
            if initial == BREAK {
                return Ok(joined);
            }
            if initial >> 5 != major {
                return Err(Malformed);
            }
            let length = self.argument(initial)?.ok_or(Malformed)?;
            let range = self.range(length)?;
            joined.extend_from_slice(&self.body[range]);
        }
    }

    fn text(&mut self, initial: u8) -> Result<Cow<'a, str>, Malformed> {
        match self.argument(initial)? {
            Some(length) => {
                let range = self.range(length)?;
                std::str::from_utf8(&self.body[range]).map(Cow::Borrowed).map_err(|_| Malformed)
            }
            None => String::from_utf8(self.chunks(TEXT)?).map(Cow::Owned).map_err(|_| Malformed),
        }
    }

    fn enter(&mut self, initial: u8) -> Result<(), Malformed> {
        if self.open.len() == DEPTH_MAX {
            return Err(Malformed);
        }
        let entries = self.argument(initial)?;
        self.open.push(entries);
        Ok(())
    }

    /// Whether the innermost list or map goes on.
    fn more(&mut self) -> Result<bool, Malformed> {
        let more = match self.open.last_mut().ok_or(Malformed)? {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None if self.body.get(self.position) == Some(&BREAK) => {
                self.position += 1;
                false
            }
            None => true,
        };
        if !more {
            self.open.pop();
        }
        Ok(more)
    }
}

impl<'a> Reader<'a> for CborReader<'a> {
    fn value(&mut self) -> Result<Token<'a>, Malformed> {
        let mut initial = self.byte()?;
        // Tags say what a value means; the model knows that already.
        while initial >> 5 == TAG {
            self.argument(initial)?.ok_or(Malformed)?;
            initial = self.byte()?;
        }
        Ok(match initial >> 5 {
            UNSIGNED => {
                let value = self.argument(initial)?.ok_or(Malformed)?;
                Token::Number(i64::try_from(value).map_or(Number::Real(value as f64), Number::Whole))
            }
            NEGATIVE => {
                let value = self.argument(initial)?.ok_or(Malformed)?;
                Token::Number(
                    i64::try_from(value).map_or(Number::Real(-1.0 - value as f64), |v| Number::Whole(!v)),
                )
            }
            BYTES => Token::Bytes(match self.argument(initial)? {
                Some(length) => {
                    let range = self.range(length)?;
                    self.body.slice(range)
                }
                None => Bytes::from(self.chunks(BYTES)?),
            }),
            TEXT => Token::Text(self.text(initial)?),
            LIST => {
                self.enter(initial)?;
                Token::List
            }
            MAP => {
                self.enter(initial)?;
                Token::Map
            }
            SIMPLE => match initial & 0x1f {
                20 => Token::Boolean(false),
                21 => Token::Boolean(true),
                22 | 23 => Token::Null,
                25 => Token::Number(Number::Real(half(self.uint(2)? as u16))),
                26 => Token::Number(Number::Real(f64::from(f32::from_bits(self.uint(4)? as u32)))),
                27 => Token::Number(Number::Real(f64::from_bits(self.uint(8)?))),
                _ => return Err(Malformed),
            },
            _ => unreachable!("a tag was read past, and three bits name nothing else"),
        })
    }

    fn next_item(&mut self) -> Result<bool, Malformed> {
        self.more()
    }

    fn next_key(&mut self) -> Result<Option<Cow<'a, str>>, Malformed> {
        if !self.more()? {
            return Ok(None);
        }
        let initial = self.byte()?;
        if initial >> 5 != TEXT {
            return Err(Malformed);
        }
        self.text(initial).map(Some)
    }

    /// Whole numbers are milliseconds, as the Java SDK writes them; a float can only come from a writer that follows
    /// RFC 8949, for whom tag 1 means seconds.
    fn timestamp(&self, number: Number) -> Timestamp {
        match number {
            Number::Whole(ms) => Timestamp(ms),
            Number::Real(seconds) => Timestamp((seconds * 1000.0).round() as i64),
        }
    }

    fn finish(&mut self) -> Result<(), Malformed> {
        if self.position == self.body.len() { Ok(()) } else { Err(Malformed) }
    }
}

/// The value of an IEEE 754 half-precision number.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f64::from(bits & 0x3ff);
    sign * match (bits >> 10) & 0x1f {
        0 => fraction / f64::from(1u32 << 24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1.0 + fraction / 1024.0) * 2f64.powi(i32::from(exponent) - 15),
    }
}

/// Writes CBOR.
#[derive(Debug, Default)]
pub struct CborWriter {
    out: Vec<u8>,
}

impl CborWriter {
    /// With `capacity` bytes set aside.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity) }
    }

    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        match argument {
            0..=23 => self.out.push(major | argument as u8),
            24..=0xff => self.out.extend_from_slice(&[major | 24, argument as u8]),
            0x100..=0xffff => {
                self.out.push(major | 25);
                self.out.extend_from_slice(&(argument as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.out.push(major | 26);
                self.out.extend_from_slice(&(argument as u32).to_be_bytes());
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend_from_slice(&argument.to_be_bytes());
            }
        }
    }
}

impl Writer for CborWriter {
    fn open_map(&mut self) {
        self.out.push(MAP << 5 | 31);
    }

    fn close_map(&mut self) {
        self.out.push(BREAK);
    }

    fn open_list(&mut self) {
        self.out.push(LIST << 5 | 31);
    }

    fn close_list(&mut self) {
        self.out.push(BREAK);
    }

    fn key(&mut self, key: &str) {
        self.text(key);
    }

    fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn integer(&mut self, number: i64) {
        match u64::try_from(number) {
            Ok(number) => self.head(UNSIGNED, number),
            Err(_) => self.head(NEGATIVE, !number as u64),
        }
    }

    fn boolean(&mut self, value: bool) {
        self.out.push(SIMPLE << 5 | if value { 21 } else { 20 });
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn timestamp(&mut self, Timestamp(ms): Timestamp) {
        self.head(TAG, 1);
        self.integer(ms);
    }

    fn len(&self) -> usize {
        self.out.len()
    }

    fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.out))
    }
}
