//! Sends questions to one broker and keeps the answers as text, without what differs from broker to broker.

use std::fmt::Debug;
use std::time::Duration;

use kolk_client::Address;
use kolk_client::kafka::Connection;
use kolk_engine::door::Door;
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::codec::Request;
use kolk_wire_kafka::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use kolk_wire_kafka::messages::find_coordinator::FindCoordinatorRequest;
use kolk_wire_kafka::messages::init_producer_id::InitProducerIdRequest;
use kolk_wire_kafka::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use kolk_wire_kafka::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use uuid::Uuid;

/// No broker needs so long for an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// A broker whose metadata follow its decisions gets so long to follow.
const SETTLED_AFTER: Duration = Duration::from_millis(150);

/// What was asked and what came.
pub struct Answer {
    pub question: String,
    pub text: String,
}

pub struct Asker {
    door: Door,
    address: Address,
    keeps_texts: bool,
    connection: Option<Connection>,
    pub answers: Vec<Answer>,
}

impl Asker {
    pub fn new(door: Door, address: Address, keeps_texts: bool) -> Asker {
        Asker { door, address, keeps_texts, connection: None, answers: Vec::new() }
    }

    /// Asks and keeps the answer; `None` if the broker closed the connection or said nothing.
    pub async fn ask<R: Request>(&mut self, what: &str, version: i16, request: &R) -> Option<R::Response> {
        self.ask_and_even(what, version, request, |_| ()).await
    }

    /// The same; `even` puts into order what a broker may answer in any.
    pub async fn ask_and_even<R: Request>(
        &mut self,
        what: &str,
        version: i16,
        request: &R,
        even: impl FnOnce(&mut R::Response),
    ) -> Option<R::Response> {
        let mut outcome = self.try_call(version, request).await;
        if let Ok(answer) = &mut outcome {
            even(answer);
        }
        let question = format!("{} {version}: {what}", R::KEY.name());
        match &outcome {
            Ok(answer) => self.keep(question, answer),
            Err(text) => self.keep(question, text),
        }
        outcome.ok()
    }

    /// Asks without keeping the answer, which must come.
    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_call(version, request).await.unwrap()
    }

    async fn try_call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, String> {
        let connection = match self.connection.take().filter(|open| !open.is_closed()) {
            Some(open) => open,
            None => self.connect().await,
        };
        let outcome = connection.call_version(version, request, PATIENCE).await;
        if outcome.is_ok() {
            self.connection = Some(connection);
        }
        outcome.map_err(|error| match error {
            kolk_client::Error::Closed { .. } => "the connection was closed".to_owned(),
            kolk_client::Error::TimedOut { .. } => "no answer".to_owned(),
            other => other.to_string(),
        })
    }

    /// A connection of its own, for what must not wait behind another question.
    pub async fn connect(&self) -> Connection {
        Connection::open(&self.door, &self.address, "compare", PATIENCE).await.unwrap()
    }

    /// Keeps something that was asked otherwise.
    pub fn keep(&mut self, question: String, answer: &dyn Debug) {
        let text = format!("{answer:#?}");
        let mut lines = Vec::new();
        let mut is_text = false;
        for line in text.lines() {
            let line = self.even_out(line);
            // `error_message: Some(` has its text in the next line.
            if !is_text {
                lines.push(line.clone());
            } else if line.trim() == ")," {
                is_text = false;
            }
            is_text |= line.ends_with(": .. Some(");
        }
        for line in &mut lines {
            *line = line.replace(": .. Some(", ": ..");
        }
        without_own_configs(&mut lines);
        self.answers.push(Answer { question, text: lines.join("\n") });
    }

    /// Waits until what was decided shows in the answers of a broker that tells its metadata later.
    pub async fn settle(&self) {
        tokio::time::sleep(SETTLED_AFTER).await;
    }

    /// A broker that makes its own topics for groups first gets the time to do so.
    pub async fn wait_for_coordinator(&mut self) {
        let find = FindCoordinatorRequest { coordinator_keys: vec!["warm".into()], ..Default::default() };
        let group = OffsetFetchRequestGroup { group_id: "warm".into(), topics: None, ..Default::default() };
        let fetch = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        let find_transactions = FindCoordinatorRequest {
            key_type: 1,
            coordinator_keys: vec!["warm".into()],
            ..Default::default()
        };
        let init = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 1000,
            ..Default::default()
        };
        loop {
            let found = self.call(4, &find).await;
            let is_there = found.coordinators[0].error_code == 0
                && self.call(9, &fetch).await.groups[0].error_code == 0
                && self.call(4, &init).await.error_code == 0;
            // A broker without transactions has another answer, and no coordinator to wait for.
            let transactions = self.call(4, &find_transactions).await.coordinators[0].error_code;
            if is_there && ErrorCode::from_code(transactions) != Some(ErrorCode::CoordinatorNotAvailable) {
                return;
            }
            self.settle().await;
        }
    }

    /// Makes a topic, which must work.
    pub async fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) });
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5000, ..Default::default() };
        let answer = self.call(7, &request).await;
        assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
        let topic = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
        loop {
            let found = self.call(12, &request).await;
            let led =
                found.topics[0].partitions.iter().filter(|one| one.error_code == 0 && one.leader_id >= 0);
            if led.count() as i32 == partitions {
                break;
            }
            self.settle().await;
        }
        self.settle().await;
    }

    /// A topic's id.
    pub async fn topic_id(&mut self, name: &str) -> Uuid {
        let topic = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
        self.call(12, &request).await.topics[0].topic_id
    }

    /// One line without ids, addresses and places and, unless asked for, without what is there to be read by people.
    fn even_out(&self, line: &str) -> String {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        let (key, value) = rest.split_once(": ").unwrap_or((rest, ""));
        let is_for_people = key == "documentation" || key.ends_with("error_message");
        let goes_on = if value == "Some(" { " Some(" } else { "" };
        match key {
            "cluster_id" | "log_dir" | "log_append_time_ms" => format!("{indent}{key}: ..{goes_on}"),
            _ if is_for_people && !self.keeps_texts => format!("{indent}{key}: ..{goes_on}"),
            // A new cluster of Kafka's writes some of its defaults down.
            "config_source" => line.replace('3', "5"),
            "port" => line.replace(&self.address.port.to_string(), "PORT"),
            _ => without_ids(line),
        }
    }
}

/// Takes out the entries of configs that are Kolk's own.
fn without_own_configs(lines: &mut Vec<String>) {
    while let Some(at) = lines.iter().position(|line| line.trim_start().starts_with("name: \"kolk.")) {
        let opening = &lines[at - 1];
        let end = format!("{}}},", &opening[..opening.len() - opening.trim_start().len()]);
        let length = lines[at..].iter().position(|line| *line == end).unwrap();
        lines.drain(at - 1..=at + length);
    }
}

/// Ids (`8-4-4-4-12` hexadecimal digits) become `<id>`, but for the one of nothing.
fn without_ids(line: &str) -> String {
    const DIGITS: usize = 36;
    let mut rest = line;
    let mut out = String::with_capacity(line.len());
    while let Some(next) = rest.chars().next() {
        match rest.get(..DIGITS).and_then(|text| Uuid::try_parse(text).ok()) {
            Some(id) => {
                out.push_str(if id.is_nil() { "<no id>" } else { "<id>" });
                rest = &rest[DIGITS..];
            }
            None => {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    out
}
