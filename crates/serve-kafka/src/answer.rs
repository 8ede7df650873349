//! Answers from when they are made to when they are written.
//!
//! Owns the rule that every API keeps: **the bytes of an answer are counted, then admitted, then encoded, and stay admitted
//! until the socket has taken them.** Clients choose how slowly they read; what waits for them is in the byte budget. The
//! types see to it: a [`Reply`] comes from [`Unencoded::encode`] alone, which takes the permit, and whoever copies bytes
//! into an [`Outbox`] hands their permit over with them.

use std::time::Duration;

use bytes::BytesMut;
use kolk_broker::{Admission, Permit};
use kolk_engine::Piece;
use kolk_wire_kafka::ApiKey;
use kolk_wire_kafka::codec::{EncodeError, Message};
use kolk_wire_kafka::frame;

use crate::reply::{External, Reply};

/// What stands in front of a response: its size, its correlation id, no tags.
const HEADER_BYTES: usize = 4 + 4 + 1;

/// Memory that an outbox keeps when it is empty, in bytes.
const OUTBOX_KEPT_BYTES: usize = 16 * 1024;

/// An answer that was counted and is not encoded yet.
#[derive(Debug)]
pub(crate) struct Unencoded<M> {
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: M,
    records: Option<External>,
    bytes: usize,
}

impl<M: Message> Unencoded<M> {
    /// Counts an answer.
    pub fn new(
        api: ApiKey,
        version: i16,
        correlation_id: i32,
        body: M,
        records: Option<External>,
    ) -> Result<Self, EncodeError> {
        let sources = records.iter().flat_map(|records| &records.sources);
        let elsewhere: usize = sources.flat_map(|(_, pieces)| pieces).map(Piece::len).sum();
        let bytes = HEADER_BYTES + body.encoded_size(version)? - elsewhere;
        Ok(Unencoded { api, version, correlation_id, body, records, bytes })
    }

    /// Bytes that the reply will take, without those of records that lie elsewhere.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The reply. `permit` holds its bytes, and `beside` bytes: what its records have in memory or are brought there. What it
    /// holds for the making of the answer is given back once that is gone.
    pub fn encode(self, mut permit: Permit, beside: usize) -> Result<Reply, EncodeError> {
        let Unencoded { api, version, correlation_id, body, records, bytes } = self;
        debug_assert!(permit.bytes() >= bytes + beside, "{bytes} bytes were not admitted");
        let frame = frame::encode_response(api, version, correlation_id, &body)?;
        let errors = error_codes(&body);
        drop(body);
        permit.received();
        permit.shrink(bytes + beside);
        Ok(Reply::new(frame, records, errors, permit))
    }
}

/// An [`Unencoded`] answer of any API.
pub(crate) trait Answer: Send {
    /// [`Unencoded::bytes`]
    fn bytes(&self) -> usize;
    /// [`Unencoded::encode`]
    fn encode(self: Box<Self>, permit: Permit, beside: usize) -> Result<Reply, EncodeError>;
}

impl<M: Message + Send> Answer for Unencoded<M> {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn encode(self: Box<Self>, permit: Permit, beside: usize) -> Result<Reply, EncodeError> {
        Unencoded::encode(*self, permit, beside)
    }
}

/// Error codes in a response other than NONE, each with how many partitions, topics or groups have it.
pub(crate) fn error_codes<M: Message>(body: &M) -> Vec<(i16, u32)> {
    let mut errors: Vec<(i16, u32)> = Vec::new();
    body.error_codes(&mut |code| {
        if code != 0 {
            match errors.iter_mut().find(|(known, _)| *known == code) {
                Some((_, count)) => *count += 1,
                None => errors.push((code, 1)),
            }
        }
    });
    errors
}

/// Small answers that leave in one write, and what they hold of the budget.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: BytesMut,
    /// Bytes that came in since it was empty.
    collected: usize,
    permit: Option<Permit>,
}

impl Outbox {
    /// Bytes collected and not written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Collects pieces of an answer, which `permit` holds. [`Outbox::settle`] is called once they stand nowhere else.
    pub fn put<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>, permit: Permit) {
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
            self.collected += piece.len();
        }
        match &mut self.permit {
            Some(held) => held.merge(permit),
            None => self.permit = Some(permit),
        }
    }

    /// Gives back what is held for more than the bytes that were collected: for the making of answers.
    pub fn settle(&mut self) {
        if let Some(held) = &mut self.permit {
            held.shrink(self.collected);
        }
    }

    /// What is to be written. [`Outbox::written`] is called once it is gone.
    pub fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// See [`Permit::patience`].
    pub fn patience(&mut self, admission: &Admission, usual: Duration) -> Duration {
        self.permit.as_mut().map_or(usual, |held| held.patience(admission, usual))
    }

    /// Gives back what the answers held, and memory beyond what is usual.
    pub fn written(&mut self) {
        debug_assert!(self.bytes.is_empty(), "it is all written");
        self.permit = None;
        if std::mem::take(&mut self.collected) > OUTBOX_KEPT_BYTES {
            self.bytes = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use kolk_broker::{Admission, Class};
    use kolk_wire_kafka::messages::sync_group::SyncGroupResponse;

    use super::*;

    fn assignment(bytes: usize) -> Unencoded<SyncGroupResponse> {
        let body = SyncGroupResponse { assignment: vec![7; bytes].into(), ..Default::default() };
        Unencoded::new(ApiKey::SyncGroup, 5, 1, body, None).expect("it can be written")
    }

    /// What is counted is what is admitted: it must not be less than what is encoded.
    #[test]
    fn an_answer_is_counted_as_what_it_becomes() {
        let admission = Admission::new(0);
        for bytes in [0, 1, 100, 20_000] {
            let answer = assignment(bytes);
            let counted = answer.bytes();
            let permit = admission.try_admit(counted + 100, Class::Data).expect("room");
            assert_eq!(answer.encode(permit, 10).expect("it can be written").len(), counted);
        }
    }

    /// SyncGroup and JoinGroup encoded first and asked then: 36 MiB stood in no budget on every connection that waited.
    #[test]
    #[should_panic(expected = "were not admitted")]
    fn an_answer_that_was_not_admitted_is_not_encoded() {
        let permit = Admission::new(0).try_admit(1000, Class::Data).expect("room");
        let _ = assignment(2000).encode(permit, 0);
    }

    #[test]
    fn what_was_collected_is_held_until_it_is_written() {
        let admission = Admission::new(0);
        let free = admission.available();
        let mut outbox = Outbox::default();
        for _ in 0..3 {
            let permit = admission.try_admit(1000, Class::Data).expect("room");
            outbox.put([&b"abc"[..]], permit);
        }
        outbox.settle();
        assert_eq!((outbox.len(), free - admission.available()), (9, 9));
        let _ = outbox.bytes().split();
        outbox.written();
        assert_eq!(admission.available(), free);
    }
}
