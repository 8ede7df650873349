//! Values that messages hold: [`Str`], [`Records`].

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;

/// A string that is a slice of the frame it came with: checked to be UTF-8 once, cloned without a copy.
///
/// It keeps the whole frame alive. What outlives the request (a topic's name in a table) wants [`Str::detached`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(ByteString);

impl Str {
    /// A string constant.
    pub const fn from_static(text: &'static str) -> Self {
        Str(ByteString::from_static(text))
    }

    /// The bytes as a string, if they are UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        ByteString::try_from(bytes).ok().map(Str)
    }

    /// The same text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A copy that does not hold the frame.
    pub fn detached(&self) -> Self {
        Str::from(self.as_str())
    }
}

impl Deref for Str {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Str(ByteString::from(text))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Str(ByteString::from(text))
    }
}

impl From<&String> for Str {
    fn from(text: &String) -> Self {
        Str::from(text.as_str())
    }
}

impl From<Str> for String {
    fn from(text: Str) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

/// The value of a records field: batches one after the other, not looked into.
#[derive(Clone, PartialEq, Eq)]
pub enum Records {
    /// Bytes at hand; decoding gives a slice of the frame, encoding a segment of its own.
    Bytes(Bytes),
    /// Bytes that are elsewhere: only their count goes into the message, and a
    /// [`Segment::External`](crate::codec::Segment::External) with the same token says where they belong.
    External {
        /// The sender's own mark, such as an index into its list of file ranges.
        token: u64,
        /// Bytes.
        length: usize,
    },
}

impl Records {
    /// Bytes, wherever they are.
    pub fn len(&self) -> usize {
        match self {
            Records::Bytes(bytes) => bytes.len(),
            Records::External { length, .. } => *length,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes at hand; decoded messages have no other kind.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Records::Bytes(bytes) => Some(bytes),
            Records::External { .. } => None,
        }
    }
}

impl Default for Records {
    fn default() -> Self {
        Records::Bytes(Bytes::new())
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Records::Bytes(bytes)
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Records::Bytes(bytes) => write!(f, "Records({} bytes)", bytes.len()),
            Records::External { token, length } => write!(f, "Records({length} bytes at {token})"),
        }
    }
}
