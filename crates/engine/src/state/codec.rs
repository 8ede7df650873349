//! How state and decisions are written: [`crate::codec`]'s pieces for the nouns of the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::{Cursor, unzigzag, zigzag};
use crate::types::{Offset, PartitionId, TopicId};

/// Bytes of a decision or snapshot that no version of this program wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("corrupt state: {what}")]
pub struct CorruptState {
    /// What did not fit.
    pub what: &'static str,
}

impl CorruptState {
    pub(crate) fn new(what: &'static str) -> Self {
        CorruptState { what }
    }
}

pub(crate) use crate::codec::{put_bytes, put_uvarint as put_u64};

pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, zigzag(value));
}

pub(crate) fn put_u128(out: &mut Vec<u8>, value: u128) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

pub(crate) fn put_len(out: &mut Vec<u8>, len: usize) {
    put_u64(out, len as u64);
}

pub(crate) fn put_str(out: &mut Vec<u8>, value: &str) {
    put_bytes(out, value.as_bytes());
}

pub(crate) fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    put_bool(out, value.is_some());
    if let Some(value) = value {
        put(out, value);
    }
}

pub(crate) fn put_partition(out: &mut Vec<u8>, partition: PartitionId) {
    put_u128(out, partition.topic.0);
    put_i64(out, i64::from(partition.index));
}

pub(crate) fn put_map(out: &mut Vec<u8>, map: &BTreeMap<String, String>) {
    put_len(out, map.len());
    for (key, value) in map {
        put_str(out, key);
        put_str(out, value);
    }
}

/// Takes values off the front of a byte slice, and moves the slice forward.
pub(crate) struct Reader<'a, 'b> {
    rest: &'b mut &'a [u8],
}

type Result<T> = std::result::Result<T, CorruptState>;

impl<'a, 'b> Reader<'a, 'b> {
    pub(crate) fn new(rest: &'b mut &'a [u8]) -> Self {
        Reader { rest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn next<T>(&mut self, get: impl FnOnce(&mut Cursor<'a>) -> Option<T>) -> Result<T> {
        let mut cursor = Cursor::new(self.rest);
        let value = get(&mut cursor).ok_or(CorruptState::new("it ends early"))?;
        *self.rest = &self.rest[self.rest.len() - cursor.remaining()..];
        Ok(value)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        self.next(|cursor| cursor.take(len))
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn bool(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(CorruptState::new("a flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.next(Cursor::uvarint)
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        Ok(unzigzag(self.u64()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.u64()?.try_into().map_err(|_| CorruptState::new("a number is too large"))
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        self.i64()?.try_into().map_err(|_| CorruptState::new("a number is too large"))
    }

    pub(crate) fn i16(&mut self) -> Result<i16> {
        self.i64()?.try_into().map_err(|_| CorruptState::new("a number is too large"))
    }

    pub(crate) fn u128(&mut self) -> Result<u128> {
        let bytes = self.take(16)?.try_into().map_err(|_| CorruptState::new("it ends early"))?;
        Ok(u128::from_le_bytes(bytes))
    }

    /// A count of things that take at least one byte each, so never more than what is left.
    pub(crate) fn len(&mut self) -> Result<usize> {
        match usize::try_from(self.u64()?) {
            Ok(len) if len <= self.rest.len() => Ok(len),
            _ => Err(CorruptState::new("a count is larger than what follows")),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        self.next(Cursor::bytes)
    }

    pub(crate) fn shared_bytes(&mut self) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(self.bytes()?))
    }

    pub(crate) fn str(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| CorruptState::new("text is not UTF-8"))
    }

    pub(crate) fn string(&mut self) -> Result<String> {
        Ok(self.str()?.to_owned())
    }

    pub(crate) fn shared_str(&mut self) -> Result<Arc<str>> {
        Ok(self.str()?.into())
    }

    pub(crate) fn option<T>(&mut self, get: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.bool()? { Ok(Some(get(self)?)) } else { Ok(None) }
    }

    pub(crate) fn list<T>(&mut self, mut get: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let len = self.len()?;
        // The count is believed only as far as the bytes go: 64 elements are allocated on its word alone.
        let mut list = Vec::with_capacity(len.min(64));
        for _ in 0..len {
            list.push(get(self)?);
        }
        Ok(list)
    }

    pub(crate) fn map(&mut self) -> Result<BTreeMap<String, String>> {
        Ok(self.list(|r| Ok((r.string()?, r.string()?)))?.into_iter().collect())
    }

    pub(crate) fn topic_id(&mut self) -> Result<TopicId> {
        Ok(TopicId(self.u128()?))
    }

    pub(crate) fn offset(&mut self) -> Result<Offset> {
        Ok(Offset(self.i64()?))
    }

    pub(crate) fn partition(&mut self) -> Result<PartitionId> {
        Ok(PartitionId { topic: self.topic_id()?, index: self.i32()? })
    }
}
