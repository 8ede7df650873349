//! The kinds of members: how each is read, checked, shown in an error, and written.
//!
//! Reading is lenient about what a later check will refuse and strict about types: a wrong type is worded as the
//! service's own converter words it.

use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::constraints::{Path, Rule, Violations, shown, text_length};
use crate::codec::{Decoder, Malformed, Number, Timestamp as Millis, Token, Writer};

/// How many entries of a list or map are kept. No list of the model may hold more than half of it; entries beyond are
/// counted, so that the check refuses them, but not stored: a body of 16 MiB has room for millions.
pub const ENTRIES_KEPT_MAX: usize = 1000;

/// A kind of member.
pub trait Kind {
    /// As read, before any check.
    type Raw;
    /// As checked.
    type Value;

    /// Reads a value that begins with `token`, which is not null. A type error is noted in the decoder: `None`.
    fn read<'a>(decoder: &mut Decoder<'a>, token: Token<'a>) -> Result<Option<Self::Raw>, Malformed>;
    /// Checks a value; what it breaks is noted in `violations`.
    fn check(
        raw: Self::Raw,
        rules: &[Rule],
        at: Path<'_>,
        violations: &mut Violations,
    ) -> Option<Self::Value>;
    /// The value as an error shows it.
    fn show(raw: &Self::Raw) -> String;
    /// Writes a value.
    fn write(value: &Self::Value, out: &mut dyn Writer);
}

/// Checks a member that may be missing.
pub fn check_member<K: Kind>(
    raw: Option<K::Raw>,
    required: bool,
    rules: &[Rule],
    at: Path<'_>,
    violations: &mut Violations,
) -> Option<K::Value> {
    match raw {
        Some(raw) => K::check(raw, rules, at, violations),
        None => {
            if required {
                violations.add(at, || None, "Member must not be null");
            }
            None
        }
    }
}

/// Whether `token` begins a structure; if not, that is noted.
pub fn enter_structure(decoder: &mut Decoder<'_>, token: &Token<'_>) -> Result<bool, Malformed> {
    match token {
        Token::Map => Ok(true),
        Token::List => decoder.mismatch(token, || START_OF_LIST.to_owned()).map(|_: Option<()>| false),
        _ => decoder.mismatch(token, || "Expected null".to_owned()).map(|_: Option<()>| false),
    }
}

const START_OF_LIST: &str = "Start of list found where not expected";
const START_OF_MAP: &str = "Start of structure or map found where not expected.";

/// Words the error of a scalar member. `wanted` is the end of the sentence: "an Integer".
fn mismatch<T>(decoder: &mut Decoder<'_>, token: &Token<'_>, wanted: &str) -> Result<Option<T>, Malformed> {
    let class = match token {
        Token::List => return decoder.mismatch(token, || START_OF_LIST.to_owned()),
        Token::Map => return decoder.mismatch(token, || START_OF_MAP.to_owned()),
        Token::Null => return Ok(None),
        Token::Boolean(_) => "java.lang.Boolean",
        Token::Number(_) => "com.amazon.coral.value.json.numbers.TruncatingBigNumber",
        Token::Text(_) => "java.lang.String",
        Token::Bytes(_) => "java.nio.HeapByteBuffer",
    };
    decoder.mismatch(token, || format!("class {class} can not be converted to {wanted}"))
}

/// Text.
#[derive(Debug)]
pub enum Text {}

impl Kind for Text {
    type Raw = String;
    type Value = String;

    fn read<'a>(decoder: &mut Decoder<'a>, token: Token<'a>) -> Result<Option<String>, Malformed> {
        match token {
            Token::Text(text) => Ok(Some(text.into_owned())),
            other => mismatch(decoder, &other, "an String"),
        }
    }

    fn check(raw: String, rules: &[Rule], at: Path<'_>, violations: &mut Violations) -> Option<String> {
        for rule in rules {
            match *rule {
                Rule::Length(min, max) => {
                    violations.length(at, text_length(&raw), (min, max), || raw.clone())
                }
                Rule::Pattern(pattern) if !pattern.matches(&raw) => {
                    let text = pattern.text();
                    let constraint = format!("Member must satisfy regular expression pattern: {text}");
                    violations.add(at, || Some(raw.clone()), constraint);
                }
                _ => {}
            }
        }
        Some(raw)
    }

    fn show(raw: &String) -> String {
        raw.clone()
    }

    fn write(value: &String, out: &mut dyn Writer) {
        out.text(value);
    }
}

/// A text out of a fixed set.
#[derive(Debug)]
pub struct Enumeration<E>(PhantomData<E>);

/// The values of an enumeration.
pub trait Enumerated: Copy + 'static {
    /// Text on the wire and value, in the order in which errors list them.
    const VALUES: &'static [(&'static str, Self)];
}

impl<E: Enumerated> Kind for Enumeration<E> {
    type Raw = String;
    type Value = E;

    fn read<'a>(decoder: &mut Decoder<'a>, token: Token<'a>) -> Result<Option<String>, Malformed> {
        Text::read(decoder, token)
    }

    fn check(raw: String, _rules: &[Rule], at: Path<'_>, violations: &mut Violations) -> Option<E> {
        let found = E::VALUES.iter().find(|(text, _)| *text == raw).map(|(_, value)| *value);
        if found.is_none() {
            let all: Vec<&str> = E::VALUES.iter().map(|(text, _)| *text).collect();
            let constraint = format!("Member must satisfy enum value set: [{}]", all.join(", "));
            violations.add(at, || Some(raw), constraint);
        }
        found
    }

    fn show(raw: &String) -> String {
        raw.clone()
    }

    fn write(value: &E, out: &mut dyn Writer) {
        // A handful of values: looking the text up beats one more trait method on every enumeration.
        let same = |candidate: &E| std::mem::discriminant(candidate) == std::mem::discriminant(value);
        let text = E::VALUES.iter().find(|(_, candidate)| same(candidate)).map_or("", |(text, _)| text);
        out.text(text);
    }
}

/// A 32-bit number; fractions are cut off and larger numbers held at the bound, as the service does.
#[derive(Debug)]
pub enum Integer {}

impl Kind for Integer {
    type Raw = i32;
    type Value = i32;

    fn read<'a>(decoder: &mut Decoder<'a>, token: Token<'a>) -> Result<Option<i32>, Malformed> {
        match token {
            Token::Number(number) => {
                Ok(Some(number.floor().clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32))
            }
            other => mismatch(decoder, &other, "an Integer"),
        }
    }

    fn check(raw: i32, rules: &[Rule], at: Path<'_>, violations: &mut Violations) -> Option<i32> {
        check_number(i64::from(raw), rules, at, violations);
        Some(raw)
    }

    fn show(raw: &i32) -> String {
        raw.to_string()
    }

    fn write(value: &i32, out: &mut dyn Writer) {
        out.integer(i64::from(*value));
    }
}

fn check_number(number: i64, rules: &[Rule], at: Path<'_>, violations: &mut Violations) {
    for rule in rules {
        let Rule::Value(min, max) = *rule else { continue };
        if number < min {
            let constraint = format!("Member must have value greater than or equal to {min}");
            violations.add(at, || Some(number.to_string()), constraint);
        }
        if number > max {
            let constraint = format!("Member must have value less than or equal to {max}");
            violations.add(at, || Some(number.to_string()), constraint);
        }
    }
}

/// A 64-bit number.
#[derive(Debug)]
pub enum Long {}

impl Kind for Long {
    type Raw = i64;
    type Value = i64;

    fn read<'a>(decoder: &mut Decoder<'a>, token: Token<'a>) -> Result<Option<i64>, Malformed> {
        match token {
            Token::Number(number) => Ok(Some(number.floor())),
            other => mismatch(decoder, &other, "an Long"),
        }
    }

    fn check(raw: i64, rules: &[Rule], at: Path<'_>, violations: &mut Violations) -> Option<i64> {
        check_number(raw, rules, at, violations);
        Some(raw)
    }

    fn show(raw: &i64) -> String {
        raw.to_string()
    }

    fn write(value: &i64, out: &mut dyn Writer) {
        out.integer(*value);
    }
}

/// A truth value; the texts `true` and `false` count as well.
#[derive(Debug)]
pub enum Boolean {}

impl Kind for Boolean {
    type Raw = bool;
    type Value = bool;

    fn read<'a>(decoder: &mut Decoder<'a>, token: Token<'a>) -> Result<Option<bool>, Malformed> {
        match &token {
            Token::Boolean(value) => Ok(Some(*value)),
            Token::Text(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Token::Text(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Token::Text(text) => decoder.mismatch(&token, || {
                format!("'{}' can not be converted to an Boolean", shown(text).to_uppercase())
            }),
            other => mismatch(decoder, other, "an Boolean"),
        }
    }

    fn check(raw: bool, _rules: &[Rule], _at: Path<'_>, _violations: &mut Violations) -> Option<bool> {
        Some(raw)
    }

    fn show(raw: &bool) -> String {
        raw.to_string()
    }

    fn write(value: &bool, out: &mut dyn Writer) {
        out.boolean(*value);
    }
}

/// Bytes: base64 in JSON (and in CBOR text), a byte string in CBOR. A CBOR blob shares the body's memory.
#[derive(Debug)]
pub enum Blob {}

impl Kind for Blob {
    type Raw = Bytes;
    type Value = Bytes;

    fn read<'a>(decoder: &mut Decoder<'a>, token: Token<'a>) -> Result<Option<Bytes>, Malformed> {
        match token {
            Token::Bytes(bytes) => Ok(Some(bytes)),
            Token::Text(ref text) => match STANDARD.decode(text.as_bytes()) {
                Ok(bytes) => Ok(Some(Bytes::from(bytes))),
                Err(_) => decoder.mismatch(&token, || base64_complaint(text)),
            },
            other => mismatch(decoder, &other, "a Blob"),
        }
    }

    fn check(raw: Bytes, rules: &[Rule], at: Path<'_>, violations: &mut Violations) -> Option<Bytes> {
        for rule in rules {
            if let Rule::Length(min, max) = *rule {
                violations.length(at, raw.len(), (min, max), || Self::show(&raw));
            }
        }
        Some(raw)
    }

    fn show(raw: &Bytes) -> String {
        format!("java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", raw.len())
    }

    fn write(value: &Bytes, out: &mut dyn Writer) {
        out.blob(value);
    }
}

/// What is wrong with a text that is no base64: its length, else its first bad character, else its last bits.
fn base64_complaint(text: &str) -> String {
    let head = format!("'{}' can not be converted to a Blob: ", shown(text));
    let length = text_length(text);
    if !length.is_multiple_of(4) {
        return format!("{head}Base64 encoded length is expected a multiple of 4 bytes but found: {length}");
    }
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let ends_early = c == '=' && chars.peek().is_some_and(|next| *next != '=');
        if ends_early || !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')) {
            return format!("{head}Invalid Base64 character: '{c}'");
        }
    }
    // The service's own spelling.
    format!("{head}Invalid last non-pad Base64 character dectected")
}

/// A point in time.
#[derive(Debug)]
pub enum Timestamp {}

impl Kind for Timestamp {
    type Raw = Millis;
    type Value = Millis;

    fn read<'a>(decoder: &mut Decoder<'a>, token: Token<'a>) -> Result<Option<Millis>, Malformed> {
        match token {
            Token::Number(Number::Real(real)) if !real.is_finite() => Err(Malformed),
            Token::Number(number) => Ok(Some(decoder.timestamp(number))),
            other => mismatch(decoder, &other, "milliseconds since epoch"),
        }
    }

    fn check(raw: Millis, _rules: &[Rule], _at: Path<'_>, _violations: &mut Violations) -> Option<Millis> {
        Some(raw)
    }

    fn show(raw: &Millis) -> String {
        raw.0.to_string()
    }

    fn write(value: &Millis, out: &mut dyn Writer) {
        out.timestamp(*value);
    }
}

/// A list of one kind.
#[derive(Debug)]
pub struct List<K>(PhantomData<K>);

/// A list as read: at most [`ENTRIES_KEPT_MAX`] entries, and how many there were.
#[derive(Debug)]
pub struct RawList<T> {
    kept: Vec<Option<T>>,
    count: usize,
}

impl<K: Kind> Kind for List<K> {
    type Raw = RawList<K::Raw>;
    type Value = Vec<K::Value>;

    fn read<'a>(decoder: &mut Decoder<'a>, token: Token<'a>) -> Result<Option<Self::Raw>, Malformed> {
        match token {
            Token::List => {}
            Token::Map => return decoder.mismatch(&token, || START_OF_MAP.to_owned()),
            other => return decoder.mismatch(&other, || "Expected list or null".to_owned()),
        }
        let mut list = RawList { kept: Vec::new(), count: 0 };
        while decoder.next_item()? {
            if list.kept.len() < ENTRIES_KEPT_MAX {
                list.kept.push(decoder.member::<K>()?);
            } else {
                decoder.skip()?;
            }
            list.count += 1;
        }
        Ok(Some(list))
    }

    fn check(
        raw: Self::Raw,
        rules: &[Rule],
        at: Path<'_>,
        violations: &mut Violations,
    ) -> Option<Self::Value> {
        for rule in rules {
            match *rule {
                Rule::Length(min, max) => violations.length(at, raw.count, (min, max), || Self::show(&raw)),
                Rule::ItemLength(min, max) => {
                    let fits = |item: &K::Raw| (min..=max).contains(&text_length(&K::show(item)));
                    if !raw.kept.iter().flatten().all(fits) {
                        let constraint =
                            format!("Member must satisfy constraint: {}", length_words(min, max));
                        violations.add(at, || Some(Self::show(&raw)), constraint);
                    }
                }
                _ => {}
            }
        }
        let mut values = Vec::with_capacity(raw.kept.len());
        for (index, item) in raw.kept.into_iter().enumerate() {
            values.extend(check_member::<K>(item, true, &[], Path::Item(&at, index), violations));
        }
        Some(values)
    }

    fn show(raw: &Self::Raw) -> String {
        let items: Vec<String> =
            raw.kept.iter().map(|item| item.as_ref().map_or_else(|| "null".to_owned(), K::show)).collect();
        format!("[{}]", items.join(", "))
    }

    fn write(value: &Self::Value, out: &mut dyn Writer) {
        out.open_list();
        for item in value {
            K::write(item, out);
        }
        out.close_list();
    }
}

/// Texts under texts, in the order of the body; the last of two equal keys counts (within the first
/// [`ENTRIES_KEPT_MAX`] entries: comparing more would be a way to keep us busy).
#[derive(Debug)]
pub enum TextMap {}

/// A map as read: at most [`ENTRIES_KEPT_MAX`] entries, and how many there were.
#[derive(Debug)]
pub struct RawMap {
    kept: Vec<(String, Option<String>)>,
    count: usize,
}

impl Kind for TextMap {
    type Raw = RawMap;
    type Value = Vec<(String, String)>;

    fn read<'a>(decoder: &mut Decoder<'a>, token: Token<'a>) -> Result<Option<RawMap>, Malformed> {
        match token {
            Token::Map => {}
            Token::List => return decoder.mismatch(&token, || START_OF_LIST.to_owned()),
            other => return decoder.mismatch(&other, || "Expected map or null".to_owned()),
        }
        let mut map = RawMap { kept: Vec::new(), count: 0 };
        let mut entries = 0;
        while let Some(key) = decoder.next_key()? {
            entries += 1;
            if entries > ENTRIES_KEPT_MAX {
                decoder.skip()?;
                map.count += 1;
                continue;
            }
            let value = decoder.member::<Text>()?;
            match map.kept.iter_mut().find(|(known, _)| *known == key) {
                Some(same) => same.1 = value,
                None => {
                    map.kept.push((key.into_owned(), value));
                    map.count += 1;
                }
            }
        }
        Ok(Some(map))
    }

    fn check(raw: RawMap, rules: &[Rule], at: Path<'_>, violations: &mut Violations) -> Option<Self::Value> {
        let fits = |text: &str, min, max| (min..=max).contains(&text_length(text));
        for rule in rules {
            match *rule {
                Rule::Length(min, max) => violations.length(at, raw.count, (min, max), || Self::show(&raw)),
                Rule::KeyLength(min, max) if !raw.kept.iter().all(|(key, _)| fits(key, min, max)) => {
                    let constraint = format!("Map keys must satisfy constraint: {}", length_words(min, max));
                    violations.add(at, || Some(Self::show(&raw)), constraint);
                }
                Rule::ValueLength(min, max)
                    if !raw
                        .kept
                        .iter()
                        .filter_map(|(_, value)| value.as_ref())
                        .all(|v| fits(v, min, max)) =>
                {
                    let constraint = format!("Map value must satisfy constraint: {}", length_words(min, max));
                    violations.add(at, || Some(Self::show(&raw)), constraint);
                }
                _ => {}
            }
        }
        let mut entries = Vec::with_capacity(raw.kept.len());
        for (key, value) in raw.kept {
            let value = check_member::<Text>(value, true, &[], Path::Key(&at, &key), violations);
            entries.extend(value.map(|value| (key, value)));
        }
        Some(entries)
    }

    fn show(raw: &RawMap) -> String {
        let entries: Vec<String> = raw
            .kept
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("null")))
            .collect();
        format!("{{{}}}", entries.join(", "))
    }

    fn write(value: &Self::Value, out: &mut dyn Writer) {
        out.open_map();
        for (key, text) in value {
            out.key(key);
            out.text(text);
        }
        out.close_map();
    }
}

fn length_words(min: usize, max: usize) -> String {
    format!(
        "[Member must have length less than or equal to {max}, Member must have length greater than or equal to {min}]"
    )
}
