//! What all clients have in common.

use std::collections::BTreeMap;
use std::future::Future;

use kolk_client::Error;
use kolk_client::kafka::NewTopic;
use kolk_wire_kafka::ErrorCode;

use crate::history::{Name, Recorder, Told, What, bare};
use crate::world::World;

/// One client of the run.
#[derive(Clone)]
pub(super) struct Client {
    pub world: World,
    pub name: Name,
    pub recorder: Recorder,
}

impl Client {
    pub fn new(world: World, recorder: Recorder, name: &str) -> Client {
        Client { world, name: name.into(), recorder }
    }

    /// The clock that operations are stamped with.
    pub fn now_ms(&self) -> i64 {
        self.world.sim.outside().clock.now_ms()
    }

    /// Carries an operation out and writes it down.
    pub async fn act<T: Clone>(
        &self,
        what: impl Fn(Told<T>) -> What,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Told<T> {
        let began = what(Told::Unknown("no answer".to_owned()));
        let ticket = self.recorder.begin(&self.name, self.now_ms(), began);
        let told = told(call.await);
        self.recorder.end(ticket, self.now_ms(), |slot| *slot = what(told.clone()));
        told
    }

    /// The same again and again until it is answered: for what comes after all faults, when nothing may be refused.
    pub async fn surely<T: Clone, F: Future<Output = Result<T, Error>>>(
        &self,
        what: impl Fn(Told<T>) -> What,
        mut call: impl FnMut() -> F,
    ) -> T {
        let mut told = Told::Unknown(String::new());
        for _ in 0..TRIES {
            told = self.act(&what, call()).await;
            match told {
                Told::Ok(answer) => return answer,
                Told::Refused(_) => break,
                Told::Unknown(_) => self.world.pause(200).await,
            }
        }
        panic!("{}: the server has healed, and does not answer: {:?}", self.name, what(told))
    }

    /// Makes a topic.
    pub async fn create(&self, topic: &Name, partitions: i32, configs: BTreeMap<String, String>) -> Told<()> {
        let new = NewTopic {
            name: bare(topic).to_owned(),
            partitions: Some(partitions),
            replication: None,
            configs: configs.clone().into_iter().collect(),
        };
        let kafka = self.world.kafka();
        let what = |told| What::Create { topic: topic.clone(), partitions, configs: configs.clone(), told };
        self.act(what, kafka.create_topic(&new)).await
    }

    /// Whether it is time to end; else lets up to so many milliseconds pass first.
    pub async fn goes_on(&self, below_ms: u64) -> bool {
        self.world.pause(below_ms).await;
        !self.world.is_winding_down()
    }

    /// One of a list.
    pub fn one_of<'a, T>(&self, list: &'a [T]) -> Option<&'a T> {
        if list.is_empty() { None } else { list.get(self.world.below(list.len() as u64) as usize) }
    }
}

const TRIES: u32 = 300;

/// What an answer says.
pub(super) fn told<T>(answer: Result<T, Error>) -> Told<T> {
    match answer {
        Ok(answer) => Told::Ok(answer),
        Err(error) if leaves_open(&error) => Told::Unknown(error.to_string()),
        Err(error) => Told::Refused(error.to_string()),
    }
}

/// Whether an error leaves open what became of the call, or has a reason that passes.
pub(super) fn leaves_open(error: &Error) -> bool {
    match error {
        // Bytes that do not check are no passing trouble, whatever Kafka's clients make of them.
        Error::Refused { code: ErrorCode::CorruptMessage, .. } | Error::Garbled { .. } => false,
        // Readers of a log that is trimmed meet this.
        Error::Refused { code: ErrorCode::OffsetOutOfRange, .. } => true,
        Error::Refused { code, .. } => code.is_retriable(),
        Error::Kinesis { status: 500.., .. } => true,
        // Clocks jump: iterators expire, and sequence numbers lie in the future.
        Error::Kinesis { code, .. } => {
            matches!(code.as_str(), "ExpiredIteratorException" | "InvalidArgumentException")
        }
        Error::Connect { .. } | Error::Closed { .. } | Error::TimedOut { .. } | Error::Stopped => true,
        _ => false,
    }
}

/// A value as it is sent: what the checker knows it by, and padding, so that the log has bytes to rewrite.
pub(super) fn padded(value: &str, padding: u64) -> String {
    format!("{value} {}", ".".repeat(padding as usize))
}

/// The value without its padding.
pub(super) fn unpadded(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.split(' ').next().unwrap_or_default().to_owned()
}
