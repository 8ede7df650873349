//! What a member's value must be, and how the service says that it is not.
//!
//! `N validation errors detected: Value 'v' at 'path.to.member' failed to satisfy constraint: Member must ...; ...`
//! with at most ten of them, in the model's order.

use std::fmt::{self, Display};

/// How many broken constraints one answer lists.
pub const VIOLATIONS_MAX: usize = 10;

/// How much of a value an answer repeats. The service repeats all of it; ten copies of a 16 MiB value would be a way to
/// exhaust us.
pub const VALUE_SHOWN_BYTES_MAX: usize = 16 * 1024;

/// One constraint.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// Length between both, inclusive: UTF-16 units of text, bytes of a blob, entries of a list or map.
    Length(usize, usize),
    /// Number between both, inclusive.
    Value(i64, i64),
    /// The whole text matches.
    Pattern(Pattern),
    /// Each text of a list has a length between both, inclusive.
    ItemLength(usize, usize),
    /// Each key of a map has a length between both, inclusive.
    KeyLength(usize, usize),
    /// Each value of a map has a length between both, inclusive.
    ValueLength(usize, usize),
}

/// The regular expressions of the model, each with a matcher of its own: there are six, and none needs a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Names of streams and shards.
    Name,
    /// 128-bit decimal number: at most 39 digits.
    HashKey,
    /// Sequence number: at most 129 digits.
    SequenceNumber,
    /// ARN of a stream.
    StreamArn,
    /// ARN of a stream, channel or queue, or of a consumer under a stream.
    ResourceArn,
    /// Reserved id of a stream.
    StreamId,
}

impl Pattern {
    /// As the service prints it.
    pub const fn text(self) -> &'static str {
        match self {
            Pattern::Name => "[a-zA-Z0-9_.-]+",
            Pattern::HashKey => r"0|([1-9]\d{0,38})",
            Pattern::SequenceNumber => r"0|([1-9]\d{0,128})",
            Pattern::StreamArn => r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+",
            Pattern::ResourceArn => r"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+",
            Pattern::StreamId => "[a-z0-9]{20}-[a-z0-9]{3}",
        }
    }

    /// Whether the whole of `text` matches.
    pub fn matches(self, text: &str) -> bool {
        match self {
            Pattern::Name => {
                !text.is_empty()
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
            }
            Pattern::HashKey => is_decimal(text, 39),
            Pattern::SequenceNumber => is_decimal(text, 129),
            Pattern::StreamArn => text.match_indices(":stream/").any(|(at, found)| {
                arn_head_matches(&text[..at], false) && tail_matches(&text[at + found.len()..])
            }),
            Pattern::ResourceArn => ["stream/", "channel/", "queue/"].iter().any(|noun| {
                text.match_indices(noun).any(|(at, found)| {
                    arn_head_matches(&text[..at], true) && tail_matches(&text[at + found.len()..])
                })
            }),
            Pattern::StreamId => {
                let bytes = text.as_bytes();
                bytes.len() == 24
                    && bytes[20] == b'-'
                    && bytes
                        .iter()
                        .enumerate()
                        .all(|(at, b)| at == 20 || b.is_ascii_lowercase() || b.is_ascii_digit())
            }
        }
    }
}

fn is_decimal(text: &str, digits_max: usize) -> bool {
    text == "0"
        || (!text.is_empty()
            && text.len() <= digits_max
            && !text.starts_with('0')
            && text.bytes().all(|b| b.is_ascii_digit()))
}

/// `arn:aws.*:kinesis:.*:\d{12}` and, where `more` may follow the account, `:.*`.
fn arn_head_matches(head: &str, more: bool) -> bool {
    let Some(after) = head.strip_prefix("arn:aws") else { return false };
    let Some(service) = after.find(":kinesis:") else { return false };
    let rest = &after[service + ":kinesis:".len()..];
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    // The region may be empty or hold colons: the account is any run of twelve digits between colons (or at the end).
    let fields: Vec<&str> = rest.split(':').collect();
    let last = fields.len() - 1;
    fields
        .iter()
        .enumerate()
        .skip(1)
        .any(|(at, field)| is_account(field) && if more { at < last } else { at == last })
}

fn tail_matches(tail: &str) -> bool {
    !tail.is_empty() && !tail.chars().any(char::is_whitespace)
}

/// Where a value stands: `records.1.member.partitionKey`.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    /// The body itself.
    Root,
    /// A member of a structure, by its name on the wire.
    Member(&'a Path<'a>, &'a str),
    /// An entry of a list, counted from 0 (and shown from 1).
    Item(&'a Path<'a>, usize),
    /// The value under a key of a map.
    Key(&'a Path<'a>, &'a str),
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Path::Member(parent, _) | Path::Item(parent, _) | Path::Key(parent, _)) = self else {
            return Ok(());
        };
        if !matches!(parent, Path::Root) {
            write!(f, "{parent}.")?;
        }
        match self {
            Path::Root => Ok(()),
            Path::Member(_, name) => {
                let (first, rest) = name.split_at(1);
                write!(f, "{}{rest}", first.to_ascii_lowercase())
            }
            Path::Item(_, at) => write!(f, "{}.member", at + 1),
            Path::Key(_, key) => write!(f, "{}.member", shown(key)),
        }
    }
}

/// The constraints a request breaks, as the service words them.
#[derive(Debug, Default)]
pub struct Violations(Vec<String>);

impl Violations {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes a broken constraint. `value` is only asked for while there is room.
    pub fn add(&mut self, at: Path<'_>, value: impl FnOnce() -> Option<String>, constraint: impl Display) {
        if self.0.len() == VIOLATIONS_MAX {
            return;
        }
        let value = match value() {
            None => "null".to_owned(),
            Some(value) => format!("'{}'", shown(&value)),
        };
        self.0.push(format!("Value {value} at '{at}' failed to satisfy constraint: {constraint}"));
    }

    /// Checks a length.
    pub fn length(
        &mut self,
        at: Path<'_>,
        length: usize,
        (min, max): (usize, usize),
        show: impl Fn() -> String,
    ) {
        if length < min {
            let constraint = format!("Member must have length greater than or equal to {min}");
            self.add(at, || Some(show()), constraint);
        }
        if length > max {
            let constraint = format!("Member must have length less than or equal to {max}");
            self.add(at, || Some(show()), constraint);
        }
    }
}

impl Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} validation error{plural} detected: {}", self.0.join("; "))
    }
}

/// As much of a value as an answer repeats.
pub fn shown(value: &str) -> &str {
    &value[..value.floor_char_boundary(VALUE_SHOWN_BYTES_MAX)]
}

/// The length of text as the service counts it: UTF-16 units.
pub fn text_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_whole_text() {
        for (pattern, good, bad) in [
            (Pattern::Name, &["a", "A-b_c.9"][..], &["", "a b", "ä", "a/b"][..]),
            (
                Pattern::HashKey,
                &["0", "7", "340282366920938463463374607431768211455"],
                &["", "00", "-1", "1x"],
            ),
            (
                Pattern::StreamArn,
                &[
                    "arn:aws:kinesis:us-east-1:123456789012:stream/a",
                    "arn:aws-cn:kinesis::123456789012:stream/a/b",
                ],
                &[
                    "",
                    "arn:aws:kinesis:us-east-1:12345678901:stream/a",
                    "arn:aws:kinesis:us-east-1:123456789012:stream/",
                    "arn:aws:kinesis:us-east-1:123456789012:stream/a b",
                    "arn:aws:kinesis:123456789012:stream/a",
                    "arn:aws:s3:us-east-1:123456789012:stream/a",
                ],
            ),
            (
                Pattern::ResourceArn,
                &[
                    "arn:aws:kinesis:r:123456789012:stream/a",
                    "arn:aws:kinesis:r:123456789012:stream/a/consumer/b:1",
                ],
                &["arn:aws:kinesis:r:123456789012:table/a", "arn:aws:kinesis:r:123456789012"],
            ),
            (Pattern::StreamId, &["abcdefghij0123456789-abc"], &["abcdefghij0123456789_abc", "ab-c"]),
        ] {
            for text in good {
                assert!(pattern.matches(text), "{pattern:?} {text}");
            }
            for text in bad {
                assert!(!pattern.matches(text), "{pattern:?} {text}");
            }
        }
    }

    #[test]
    fn paths_read_as_the_service_writes_them() {
        let records = Path::Member(&Path::Root, "Records");
        let first = Path::Item(&records, 0);
        assert_eq!(Path::Member(&first, "PartitionKey").to_string(), "records.1.member.partitionKey");
        let tags = Path::Member(&Path::Root, "Tags");
        assert_eq!(Path::Key(&tags, "Owner").to_string(), "tags.Owner.member");
    }
}
