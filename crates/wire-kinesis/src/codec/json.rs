//! JSON 1.1 bodies: RFC 8259, blobs in base64, timestamps in seconds with a fraction.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{DEPTH_MAX, Malformed, Number, Reader, Timestamp, Token, Writer};

/// Pulls tokens out of a JSON text.
pub(crate) struct JsonReader<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
    /// Whether the list or map entered last has given nothing yet, so that no comma is due.
    fresh: bool,
}

impl<'a> JsonReader<'a> {
    /// Fails when the body is not UTF-8.
    pub(crate) fn new(body: &'a [u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(body).map_err(|_| Malformed)?;
        Ok(Self { text, position: 0, depth: 0, fresh: false })
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The next byte that is not white space, without taking it.
    fn peek(&mut self) -> Result<u8, Malformed> {
        while let Some(&byte) = self.bytes().get(self.position) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(byte);
            }
            self.position += 1;
        }
        Err(Malformed)
    }

    fn expect(&mut self, word: &str) -> Result<(), Malformed> {
        if !self.bytes()[self.position..].starts_with(word.as_bytes()) {
            return Err(Malformed);
        }
        self.position += word.len();
        Ok(())
    }

    fn enter(&mut self) -> Result<(), Malformed> {
        if self.depth == DEPTH_MAX {
            return Err(Malformed);
        }
        self.depth += 1;
        self.position += 1;
        self.fresh = true;
        Ok(())
    }

    /// Takes the comma between two entries, or the end of the list or map: `false`.
    fn more(&mut self, close: u8) -> Result<bool, Malformed> {
        let byte = self.peek()?;
        if byte == close {
            self.position += 1;
            self.depth -= 1;
            self.fresh = false;
            return Ok(false);
        }
        if !std::mem::take(&mut self.fresh) {
            if byte != b',' {
                return Err(Malformed);
            }
            self.position += 1;
            self.peek()?;
        }
        Ok(true)
    }

    /// The string whose opening quote lies at the position.
    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let start = self.position + 1;
        let mut at = start;
        loop {
            at += memchr::memchr2(b'"', b'\\', &self.bytes()[at..]).ok_or(Malformed)?;
            if self.bytes()[at] == b'"' {
                break;
            }
            at += 2;
            if at > self.bytes().len() {
                return Err(Malformed);
            }
        }
        self.position = at + 1;
        let inside = &self.text[start..at];
        // No early exit: this way it runs in vector registers over megabytes of base64.
        if inside.bytes().fold(false, |found, byte| found | (byte < 0x20)) {
            return Err(Malformed);
        }
        match memchr::memchr(b'\\', inside.as_bytes()) {
            None => Ok(Cow::Borrowed(inside)),
            Some(first) => unescape(inside, first).map(Cow::Owned),
        }
    }

    fn number(&mut self) -> Result<Number, Malformed> {
        let rest = &self.bytes()[self.position..];
        let mut at = usize::from(rest.first() == Some(&b'-'));
        let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = digits(at);
        if whole == 0 || (whole > 1 && rest[at] == b'0') {
            return Err(Malformed);
        }
        at += whole;
        let mut real = false;
        if rest.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            if fraction == 0 {
                return Err(Malformed);
            }
            at += 1 + fraction;
            real = true;
        }
        if matches!(rest.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(rest.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at + 1 + sign);
            if exponent == 0 {
                return Err(Malformed);
            }
            at += 1 + sign + exponent;
            real = true;
        }
        let text = &self.text[self.position..self.position + at];
        self.position += at;
        match text.parse::<i64>() {
            Ok(whole) if !real => Ok(Number::Whole(whole)),
            _ => text.parse().map(Number::Real).map_err(|_| Malformed),
        }
    }
}

/// Resolves the escapes of a string that has its first backslash at `first`.
fn unescape(inside: &str, first: usize) -> Result<String, Malformed> {
    let mut out = String::with_capacity(inside.len());
    out.push_str(&inside[..first]);
    let mut rest = &inside[first..];
    while let Some(after) = rest.strip_prefix('\\') {
        let mut chars = after.chars();
        match chars.next().ok_or(Malformed)? {
            '"' => out.push('"'),
            '\\' => out.push('\\'),
            '/' => out.push('/'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let mut unit = hex_unit(&mut chars)?;
                if (0xd800..0xdc00).contains(&unit) {
                    let mut ahead = chars.clone();
                    if ahead.next() != Some('\\') || ahead.next() != Some('u') {
                        return Err(Malformed);
                    }
                    let low = hex_unit(&mut ahead)?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(Malformed);
                    }
                    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    chars = ahead;
                }
                // A lone low surrogate has no UTF-8 form and therefore no MD5 to route by.
                out.push(char::from_u32(unit).ok_or(Malformed)?);
            }
            _ => return Err(Malformed),
        }
        rest = chars.as_str();
        let plain = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        out.push_str(&rest[..plain]);
        rest = &rest[plain..];
    }
    Ok(out)
}

fn hex_unit(chars: &mut std::str::Chars<'_>) -> Result<u32, Malformed> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + chars.next().and_then(|c| c.to_digit(16)).ok_or(Malformed)?;
    }
    Ok(unit)
}

impl<'a> Reader<'a> for JsonReader<'a> {
    fn value(&mut self) -> Result<Token<'a>, Malformed> {
        Ok(match self.peek()? {
            b'{' => {
                self.enter()?;
                Token::Map
            }
            b'[' => {
                self.enter()?;
                Token::List
            }
            b'"' => Token::Text(self.string()?),
            b't' => {
                self.expect("true")?;
                Token::Boolean(true)
            }
            b'f' => {
                self.expect("false")?;
                Token::Boolean(false)
            }
            b'n' => {
                self.expect("null")?;
                Token::Null
            }
            _ => Token::Number(self.number()?),
        })
    }

    fn next_item(&mut self) -> Result<bool, Malformed> {
        self.more(b']')
    }

    fn next_key(&mut self) -> Result<Option<Cow<'a, str>>, Malformed> {
        if !self.more(b'}')? {
            return Ok(None);
        }
        if self.peek()? != b'"' {
            return Err(Malformed);
        }
        let key = self.string()?;
        if self.peek()? != b':' {
            return Err(Malformed);
        }
        self.position += 1;
        Ok(Some(key))
    }

    fn timestamp(&self, number: Number) -> Timestamp {
        match number {
            Number::Whole(seconds) => Timestamp(seconds.saturating_mul(1000)),
            Number::Real(seconds) => Timestamp((seconds * 1000.0).round() as i64),
        }
    }

    fn finish(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Ok(_) => Err(Malformed),
            Err(Malformed) => Ok(()),
        }
    }
}

/// Writes JSON without white space.
#[derive(Debug, Default)]
pub struct JsonWriter {
    out: Vec<u8>,
    /// Whether a value stands before, so that the next key or item wants a comma.
    comma: bool,
}

impl JsonWriter {
    /// With `capacity` bytes set aside.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity), comma: false }
    }

    fn begin(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }

    fn quoted(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.out.push(b'"');
        let bytes = text.as_bytes();
        let mut plain = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.out.extend_from_slice(&bytes[plain..at]);
            plain = at + 1;
            match byte {
                b'"' => self.out.extend_from_slice(b"\\\""),
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                _ => {
                    self.out.extend_from_slice(b"\\u00");
                    self.out.push(HEX[usize::from(byte >> 4)]);
                    self.out.push(HEX[usize::from(byte & 15)]);
                }
            }
        }
        self.out.extend_from_slice(&bytes[plain..]);
        self.out.push(b'"');
    }
}

impl Writer for JsonWriter {
    fn open_map(&mut self) {
        self.begin();
        self.out.push(b'{');
        self.comma = false;
    }

    fn close_map(&mut self) {
        self.out.push(b'}');
        self.comma = true;
    }

    fn open_list(&mut self) {
        self.begin();
        self.out.push(b'[');
        self.comma = false;
    }

    fn close_list(&mut self) {
        self.out.push(b']');
        self.comma = true;
    }

    fn key(&mut self, key: &str) {
        self.begin();
        self.quoted(key);
        self.out.push(b':');
        self.comma = false;
    }

    fn text(&mut self, text: &str) {
        self.begin();
        self.quoted(text);
    }

    fn integer(&mut self, number: i64) {
        self.begin();
        self.out.extend_from_slice(number.to_string().as_bytes());
    }

    fn boolean(&mut self, value: bool) {
        self.begin();
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.begin();
        self.out.push(b'"');
        let start = self.out.len();
        let length = bytes.len().div_ceil(3) * 4;
        self.out.resize(start + length, 0);
        let written =
            STANDARD.encode_slice(bytes, &mut self.out[start..]).expect("base64 takes 4 bytes for every 3");
        debug_assert_eq!(written, length);
        self.out.push(b'"');
    }

    fn timestamp(&mut self, Timestamp(ms): Timestamp) {
        self.begin();
        let sign = if ms < 0 { "-" } else { "" };
        let (seconds, ms) = (ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
        let text = match ms {
            0 => format!("{sign}{seconds}"),
            _ => format!("{sign}{seconds}.{ms:03}"),
        };
        self.out.extend_from_slice(text.as_bytes());
    }

    fn len(&self) -> usize {
        self.out.len()
    }

    fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.out))
    }
}
