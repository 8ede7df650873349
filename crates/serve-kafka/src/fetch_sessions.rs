//! Incremental fetch sessions (KIP-227): a consumer of many partitions tells only what changed, and is told only that.
//!
//! Owns the sessions and their caps. Promises: at most so many sessions and cached partitions, of these fewer where the memory
//! budget is small; when full, a new request
//! gets session id 0 ("none"), which every client takes. A session is held by one request at a time; a second request
//! meanwhile finds it missing, and its client starts a new one.

use std::sync::Mutex;
use std::time::Duration;

use kolk_engine::map::HashMap;
use kolk_engine::state::TOPIC_NAME_MAX;
use kolk_wire_kafka::messages::fetch::{FetchPartition, FetchRequest};
use kolk_wire_kafka::{ErrorCode, Str};
use tokio::time::Instant;
use uuid::Uuid;

/// Partitions that all sessions together remember where the memory budget is as usual: some 250 bytes each.
pub(crate) const PARTITIONS_MAX: usize = 200_000;
/// A session unused for so long makes room for a new one (`min.incremental.fetch.session.eviction.ms`).
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);

/// The epoch that asks for no session.
const FINAL_EPOCH: i32 = -1;
/// The epoch that asks for a new session.
const INITIAL_EPOCH: i32 = 0;

/// One partition that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub topic: Topic,
    pub partition: i32,
    pub offset: i64,
    pub bytes_max: i32,
    pub current_leader_epoch: i32,
    pub last_fetched_epoch: i32,
    /// High watermark and log start that the client was told last; -1 for none.
    told: (i64, i64),
}

/// A topic as the request names it: by name below version 13, else by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Topic {
    pub name: Str,
    pub id: Uuid,
}

#[derive(Debug)]
struct Session {
    id: i32,
    /// What the next request must say.
    epoch: i32,
    by_id: bool,
    partitions: Vec<Asked>,
    places: HashMap<(Topic, i32), usize>,
    /// Where the next reply begins, so that no partition starves behind busy ones.
    start: usize,
    used: Instant,
}

/// What one request fetches, and what becomes of its session.
#[derive(Debug)]
pub(crate) struct Turn {
    /// What to read, in order.
    pub asked: Vec<Asked>,
    session: Option<Session>,
    incremental: bool,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<i32, Session>,
    partitions: usize,
}

#[derive(Debug)]
pub(crate) struct FetchSessions {
    count_max: usize,
    partitions_max: usize,
    inner: Mutex<Inner>,
}

impl FetchSessions {
    /// At most so many sessions, and partitions in all of them.
    pub fn new(count_max: usize, partitions_max: usize) -> Self {
        FetchSessions { count_max, partitions_max, inner: Mutex::default() }
    }

    /// Works out what a request asks for. `fresh_id` draws random numbers.
    pub fn begin(
        &self,
        request: FetchRequest,
        by_id: bool,
        fresh_id: impl Fn() -> u64,
    ) -> Result<Turn, ErrorCode> {
        // No topic has such a name, and a session would remember it, however long.
        if request.topics.iter().any(|topic| topic.topic.len() > TOPIC_NAME_MAX) {
            return Err(ErrorCode::InvalidTopicException);
        }
        if request.session_epoch == FINAL_EPOCH || request.session_epoch == INITIAL_EPOCH {
            if request.session_id != 0 {
                self.take(request.session_id);
            }
            let wants_session = request.session_epoch == INITIAL_EPOCH;
            let asked = list(request, by_id);
            let session =
                (wants_session && !asked.is_empty()).then(|| self.open(&asked, by_id, fresh_id)).flatten();
            return Ok(Turn { asked, session, incremental: false });
        }
        let mut session = self.take(request.session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != request.session_epoch {
            self.put(session);
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.by_id != by_id {
            self.put(session);
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.epoch = if session.epoch == i32::MAX { 1 } else { session.epoch + 1 };
        for topic in &request.forgotten_topics_data {
            let key = topic_of(&topic.topic, topic.topic_id, by_id);
            for partition in &topic.partitions {
                session.forget(&key, *partition);
            }
        }
        for asked in list(request, by_id) {
            session.set(asked);
        }
        if session.partitions.is_empty() {
            return Ok(Turn { asked: Vec::new(), session: None, incremental: false });
        }
        let start = session.start % session.partitions.len();
        let (before, from) = session.partitions.split_at(start);
        let asked = from.iter().chain(before).cloned().collect();
        Ok(Turn { asked, session: Some(session), incremental: true })
    }

    /// How many partitions a session remembers: what its next request asks for beside what it names.
    pub fn partitions_of(&self, id: i32) -> usize {
        let inner = self.inner.lock().expect("nobody panics while holding the sessions");
        inner.sessions.get(&id).map_or(0, |session| session.partitions.len())
    }

    fn take(&self, id: i32) -> Option<Session> {
        let mut inner = self.inner.lock().expect("nobody panics while holding the sessions");
        let session = inner.sessions.remove(&id)?;
        inner.partitions -= session.partitions.len();
        Some(session)
    }

    /// Keeps a session until its next request, if there is room: others may have been opened while it was in use.
    fn put(&self, mut session: Session) -> bool {
        session.used = Instant::now();
        let mut inner = self.inner.lock().expect("nobody panics while holding the sessions");
        let fits = inner.sessions.len() < self.count_max
            && inner.partitions + session.partitions.len() <= self.partitions_max;
        if fits {
            inner.partitions += session.partitions.len();
            inner.sessions.insert(session.id, session);
        }
        fits
    }

    fn open(&self, asked: &[Asked], by_id: bool, fresh_id: impl Fn() -> u64) -> Option<Session> {
        let mut inner = self.inner.lock().expect("nobody panics while holding the sessions");
        if inner.sessions.len() >= self.count_max || inner.partitions + asked.len() > self.partitions_max {
            let oldest = inner.sessions.values().min_by_key(|session| session.used)?;
            if oldest.used.elapsed() < EVICTABLE_AFTER {
                return None;
            }
            let id = oldest.id;
            let evicted = inner.sessions.remove(&id).expect("it was just found");
            inner.partitions -= evicted.partitions.len();
        }
        let id = loop {
            let id = (fresh_id() >> 33) as i32;
            if id != 0 && !inner.sessions.contains_key(&id) {
                break id;
            }
        };
        drop(inner);
        let mut session = Session {
            id,
            epoch: 1,
            by_id,
            partitions: Vec::with_capacity(asked.len()),
            places: HashMap::default(),
            start: 0,
            used: Instant::now(),
        };
        for asked in asked {
            session.set(asked.clone());
        }
        Some(session)
    }

    /// Ends a turn: gives the session id for the reply and says, asked partition by asked partition, which are to be in
    /// it. `told(i)` is the high watermark, log start and whether there is data or an error.
    pub fn end(&self, turn: Turn, told: impl Fn(usize) -> (i64, i64, bool)) -> (i32, Vec<bool>) {
        let count = turn.asked.len();
        let Some(mut session) = turn.session else { return (0, vec![true; count]) };
        let start = if turn.incremental { session.start % session.partitions.len() } else { 0 };
        let mut included = Vec::with_capacity(count);
        for index in 0..count {
            let (high_watermark, log_start, has_more) = told(index);
            let place = (start + index) % session.partitions.len();
            let partition = &mut session.partitions[place];
            let changed = partition.told != (high_watermark, log_start);
            partition.told = (high_watermark, log_start);
            if has_more {
                session.start = place + 1;
            }
            included.push(!turn.incremental || has_more || changed);
        }
        let id = session.id;
        let kept = self.put(session);
        // Of a session that is gone while it goes on, the next request is told so; of a new one, this reply says that
        // there is none.
        (if kept || turn.incremental { id } else { 0 }, included)
    }
}

impl Session {
    fn set(&mut self, mut asked: Asked) {
        let key = (asked.topic.clone(), asked.partition);
        match self.places.get(&key) {
            Some(place) => {
                asked.topic = self.partitions[*place].topic.clone();
                asked.told = self.partitions[*place].told;
                self.partitions[*place] = asked;
            }
            None => {
                self.places.insert((asked.topic.clone(), asked.partition), self.partitions.len());
                self.partitions.push(asked);
            }
        }
    }

    fn forget(&mut self, topic: &Topic, partition: i32) {
        let Some(place) = self.places.remove(&(topic.clone(), partition)) else { return };
        self.partitions.swap_remove(place);
        if let Some(moved) = self.partitions.get(place) {
            self.places.insert((moved.topic.clone(), moved.partition), place);
        }
    }
}

fn topic_of(name: &Str, id: Uuid, by_id: bool) -> Topic {
    if by_id { Topic { name: Str::default(), id } } else { Topic { name: name.clone(), id: Uuid::nil() } }
}

fn list(request: FetchRequest, by_id: bool) -> Vec<Asked> {
    let topics = request.topics.into_iter();
    topics
        .flat_map(|topic| {
            // The request may wait for long, and a session stays: the name would keep the whole frame.
            let key = topic_of(&topic.topic.detached(), topic.topic_id, by_id);
            topic.partitions.into_iter().map(move |partition| asked(key.clone(), &partition))
        })
        .collect()
}

fn asked(topic: Topic, partition: &FetchPartition) -> Asked {
    Asked {
        topic,
        partition: partition.partition,
        offset: partition.fetch_offset,
        bytes_max: partition.partition_max_bytes,
        current_leader_epoch: partition.current_leader_epoch,
        last_fetched_epoch: partition.last_fetched_epoch,
        told: (-1, -1),
    }
}
