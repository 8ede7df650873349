//! How a record is printed: kcat's format letters, or JSON.
//!
//! | letter | prints |
//! |---|---|
//! | `%t` `%p` `%o` | topic, partition, offset |
//! | `%k` `%s` | key, value; nothing where there is none |
//! | `%K` `%S` | their lengths in bytes, -1 where there is none |
//! | `%R` | the value's length as 4 bytes, highest first |
//! | `%T` | timestamp, ms since 1970, -1 where there is none |
//! | `%h` | headers, `name=value` with commas in between; a null value is `NULL` |
//! | `%%` | `%` |
//!
//! Escapes: `\n`, `\r`, `\t`, `\0`, `\xHH`, `\\`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kolk_client::kafka::{OwnedRecord, RecordBody};
use serde_json::{Map, Value, json};

/// A format, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    KeyLength,
    Value,
    ValueLength,
    ValueLengthBinary,
    Timestamp,
    Headers,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                literal.push(c);
                continue;
            }
            let piece = match rest.next() {
                Some('%') => {
                    literal.push('%');
                    continue;
                }
                Some('t') => Piece::Topic,
                Some('p') => Piece::Partition,
                Some('o') => Piece::Offset,
                Some('k') => Piece::Key,
                Some('K') => Piece::KeyLength,
                Some('s') => Piece::Value,
                Some('S') => Piece::ValueLength,
                Some('R') => Piece::ValueLengthBinary,
                Some('T') => Piece::Timestamp,
                Some('h') => Piece::Headers,
                Some(other) => {
                    return Err(format!(
                        "`%{other}` is no format letter; there are %t %p %o %k %K %s %S %R %T %h %%"
                    ));
                }
                None => return Err("a `%` at the end; write `%%`".to_owned()),
            };
            pieces.push(Piece::Text(unescape(&literal)?));
            literal.clear();
            pieces.push(piece);
        }
        pieces.push(Piece::Text(unescape(&literal)?));
        pieces.retain(|piece| *piece != Piece::Text(Vec::new()));
        Ok(Format(pieces))
    }
}

/// Replaces escapes.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match rest.next() {
            Some('n') => out.push(b'\n'),
            Some('r') => out.push(b'\r'),
            Some('t') => out.push(b'\t'),
            Some('0') => out.push(0),
            Some('\\') => out.push(b'\\'),
            Some('x') => {
                let digits: String = rest.by_ref().take(2).collect();
                let byte = if digits.len() == 2 { u8::from_str_radix(&digits, 16).ok() } else { None };
                out.push(byte.ok_or_else(|| format!("`\\x{digits}` is not \\xHH"))?);
            }
            Some(other) => {
                return Err(format!("`\\{other}` is no escape; there are \\n \\r \\t \\0 \\xHH \\\\"));
            }
            None => return Err("a `\\` at the end; write `\\\\`".to_owned()),
        }
    }
    Ok(out)
}

impl Format {
    /// Adds a record to `out`.
    pub fn write(&self, topic: &str, partition: i32, record: &OwnedRecord, out: &mut Vec<u8>) {
        let length = |part: &Option<Bytes>| part.as_ref().map_or(-1, |bytes| bytes.len() as i64);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Topic => out.extend_from_slice(topic.as_bytes()),
                Piece::Partition => out.extend_from_slice(partition.to_string().as_bytes()),
                Piece::Offset => out.extend_from_slice(record.offset.to_string().as_bytes()),
                Piece::Key => out.extend_from_slice(record.body.key.as_deref().unwrap_or_default()),
                Piece::KeyLength => out.extend_from_slice(length(&record.body.key).to_string().as_bytes()),
                Piece::Value => out.extend_from_slice(record.body.value.as_deref().unwrap_or_default()),
                Piece::ValueLength => {
                    out.extend_from_slice(length(&record.body.value).to_string().as_bytes())
                }
                Piece::ValueLengthBinary => {
                    out.extend_from_slice(&(length(&record.body.value) as i32).to_be_bytes());
                }
                Piece::Timestamp => out.extend_from_slice(record.timestamp_ms.to_string().as_bytes()),
                Piece::Headers => {
                    for (at, (name, value)) in record.body.headers.iter().enumerate() {
                        if at > 0 {
                            out.push(b',');
                        }
                        out.extend_from_slice(name.as_bytes());
                        out.push(b'=');
                        out.extend_from_slice(value.as_deref().unwrap_or(b"NULL"));
                    }
                }
            }
        }
    }
}

/// A record as an object: topic, partition, offset, timestamp (ms), key, value, headers [key, value]. What is not UTF-8
/// has the name with `_base64` behind it.
pub fn to_json(topic: &str, partition: i32, record: &OwnedRecord) -> Value {
    let mut object = Map::new();
    object.insert("topic".to_owned(), topic.into());
    object.insert("partition".to_owned(), partition.into());
    object.insert("offset".to_owned(), record.offset.into());
    object.insert("timestamp".to_owned(), record.timestamp_ms.into());
    put(&mut object, "key", record.body.key.as_deref());
    put(&mut object, "value", record.body.value.as_deref());
    let headers = record.body.headers.iter().map(|(name, value)| {
        let mut header = Map::new();
        header.insert("key".to_owned(), name.as_str().into());
        put(&mut header, "value", value.as_deref());
        Value::Object(header)
    });
    object.insert("headers".to_owned(), headers.collect());
    Value::Object(object)
}

fn put(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), text.into()),
        Some(Err(bytes)) => object.insert(format!("{name}_base64"), STANDARD.encode(bytes).into()),
    };
}

/// A record of such an object, and its partition if it names one.
pub fn from_json(line: &[u8]) -> Result<(RecordBody, Option<i32>), String> {
    let object: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let object = object.as_object().ok_or("not an object")?;
    let known = [
        "topic",
        "partition",
        "offset",
        "timestamp",
        "key",
        "key_base64",
        "value",
        "value_base64",
        "headers",
    ];
    if let Some(unknown) = object.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("`{unknown}` is no member of a record"));
    }
    let whole = |name: &str| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| format!("`{name}` is no whole number")),
    };
    let mut body = RecordBody {
        key: take(object, "key")?,
        value: take(object, "value")?,
        headers: Vec::new(),
        timestamp_ms: whole("timestamp")?.filter(|at| *at >= 0),
    };
    for header in object.get("headers").and_then(Value::as_array).into_iter().flatten() {
        let header = header.as_object().ok_or("a header is an object")?;
        let name = header.get("key").and_then(Value::as_str).ok_or("a header has a `key`")?;
        body.headers.push((name.to_owned(), take(header, "value")?));
    }
    let partition = whole("partition")?.map(i32::try_from).transpose();
    Ok((body, partition.map_err(|_| "`partition` is too large")?))
}

fn take(object: &Map<String, Value>, name: &str) -> Result<Option<Bytes>, String> {
    if let Some(text) = object.get(&format!("{name}_base64")) {
        let text = text.as_str().ok_or_else(|| format!("`{name}_base64` is no text"))?;
        let bytes = STANDARD.decode(text).map_err(|error| format!("`{name}_base64`: {error}"))?;
        return Ok(Some(bytes.into()));
    }
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Bytes::copy_from_slice(text.as_bytes()))),
        // What is not text is kept as the JSON it is.
        Some(other) => Ok(Some(json!(other).to_string().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> OwnedRecord {
        OwnedRecord {
            offset: 7,
            timestamp_ms: 1000,
            is_append_time: false,
            body: RecordBody {
                key: Some(Bytes::from_static(b"k")),
                value: Some(Bytes::from_static(b"va")),
                headers: vec![("a".to_owned(), Some(Bytes::from_static(b"1"))), ("b".to_owned(), None)],
                timestamp_ms: Some(1000),
            },
        }
    }

    fn written(format: &str, record: &OwnedRecord) -> Vec<u8> {
        let mut out = Vec::new();
        format.parse::<Format>().expect(format).write("t", 3, record, &mut out);
        out
    }

    #[test]
    fn every_letter_prints() {
        let all = written(r"%t %p %o %k:%K %s:%S %T %h %%\n\t\x41\\n", &record());
        assert_eq!(all, b"t 3 7 k:1 va:2 1000 a=1,b=NULL %\n\tA\\n");
        assert_eq!(written("%R%s", &record()), b"\0\0\0\x02va");
        let empty = OwnedRecord { body: RecordBody::default(), ..record() };
        assert_eq!(written("[%k%K%s%S%R%h]", &empty), b"[-1-1\xff\xff\xff\xff]");
    }

    #[test]
    fn what_is_no_format_is_refused() {
        for text in ["%x", "%", r"\q", r"\x4", r"\xzz", "\\"] {
            assert!(text.parse::<Format>().is_err(), "{text}");
        }
    }

    #[test]
    fn json_goes_there_and_back() {
        let mut record = record();
        let check = |record: &OwnedRecord| {
            let line = to_json("t", 3, record).to_string();
            assert_eq!(from_json(line.as_bytes()), Ok((record.body.clone(), Some(3))), "{line}");
        };
        check(&record);
        record.body.key = None;
        record.body.value = Some(Bytes::from_static(b"\xff\x00"));
        check(&record);
        record.body.value = None;
        check(&record);
        for line in
            ["", "[]", "{\"x\":1}", "{\"partition\":\"a\"}", "{\"value_base64\":\"%\"}", "{\"headers\":[1]}"]
        {
            assert!(from_json(line.as_bytes()).is_err(), "{line}");
        }
        assert_eq!(from_json(b"{\"value\":{\"a\":1}}").expect("an object").0.value, Some("{\"a\":1}".into()));
    }
}
