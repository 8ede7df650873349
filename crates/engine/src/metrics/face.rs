//! What a face counts: requests of each API, and connections.
//!
//! An answered request costs five relaxed additions, on two or three neighbouring cache lines of its API.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::{Counter, Family, Gauge, Histogram, Page, SECONDS, Source};

static REQUESTS: Family = Family::counter("kolk_requests_total", &["protocol", "api"], "Requests taken.");
static SECONDS_OF_REQUESTS: Family = Family::histogram(
    "kolk_request_duration_seconds",
    &["protocol", "api"],
    "From a request being here to its answer being ready to send; long polls wait on purpose.",
);
static REQUEST_BYTES: Family = Family::counter(
    "kolk_request_bytes_total",
    &["protocol", "api"],
    "Bytes of requests (of HTTP: their bodies).",
);
static REPLY_BYTES: Family = Family::counter(
    "kolk_reply_bytes_total",
    &["protocol", "api"],
    "Bytes of answers (of HTTP: their bodies).",
);
static ERRORS: Family = Family::counter(
    "kolk_request_errors_total",
    &["protocol", "api", "error"],
    "Errors in answers, by the protocol's own name; one for each partition or record that has one.",
);
static CONNECTIONS: Family = Family::gauge("kolk_connections", &["protocol"], "Open connections.");
static ACCEPTED: Family =
    Family::counter("kolk_connections_accepted_total", &["protocol"], "Connections that were taken.");
static CLOSED: Family = Family::counter(
    "kolk_connections_closed_total",
    &["protocol", "reason"],
    "Connections that ended, by why.",
);

/// The numbers of one face.
#[derive(Debug)]
pub struct Face {
    protocol: &'static str,
    apis: Vec<Api>,
    /// By API and error: few, and only told when something goes wrong.
    errors: Mutex<BTreeMap<(usize, &'static str), u64>>,
    open: Gauge,
    accepted: Counter,
    closed: Mutex<BTreeMap<&'static str, u64>>,
}

/// One API's numbers: apart from its neighbours, and those of one request close together.
#[derive(Debug)]
#[repr(align(128))]
struct Api {
    name: &'static str,
    requests: Counter,
    request_bytes: Counter,
    reply_bytes: Counter,
    time: Histogram,
}

/// What an answered request took.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestCost {
    /// From being here to its answer being ready.
    pub time: Duration,
    /// Bytes of the request.
    pub request_bytes: usize,
    /// Bytes of the answer, as far as they are known; see [`Face::replied`].
    pub reply_bytes: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics under this lock")
}

impl Face {
    /// A face that speaks `protocol` and has these APIs; they are known by their place in the list.
    pub fn new(protocol: &'static str, apis: impl IntoIterator<Item = &'static str>) -> Self {
        let api = |name| Api {
            name,
            requests: Counter::default(),
            request_bytes: Counter::default(),
            reply_bytes: Counter::default(),
            time: Histogram::new(&SECONDS),
        };
        Face {
            protocol,
            apis: apis.into_iter().map(api).collect(),
            errors: Mutex::default(),
            open: Gauge::default(),
            accepted: Counter::default(),
            closed: Mutex::default(),
        }
    }

    /// A request was taken.
    pub fn taken(&self, api: usize) {
        self.apis[api].requests.add(1);
    }

    /// A request was answered, well or not.
    pub fn answered(&self, api: usize, cost: RequestCost) {
        let api = &self.apis[api];
        api.request_bytes.add(cost.request_bytes as u64);
        if cost.reply_bytes > 0 {
            api.reply_bytes.add(cost.reply_bytes as u64);
        }
        api.time.observe_time(cost.time);
    }

    /// More bytes of an answer that is made while it is sent.
    pub fn replied(&self, api: usize, bytes: usize) {
        self.apis[api].reply_bytes.add(bytes as u64);
    }

    /// An answer has an error, `count` times. `error` is the protocol's own name for it, one of a fixed set.
    pub fn error(&self, api: usize, error: &'static str, count: u64) {
        *lock(&self.errors).entry((api, error)).or_default() += count;
    }

    /// A connection was taken.
    pub fn opened(&self) {
        self.accepted.add(1);
        self.open.add(1);
    }

    /// A connection ended. `reason` is one of a fixed set.
    pub fn closed(&self, reason: &'static str) {
        self.open.sub(1);
        *lock(&self.closed).entry(reason).or_default() += 1;
    }
}

impl Source for Face {
    fn report(&self, page: &mut Page) {
        for family in [&REQUESTS, &SECONDS_OF_REQUESTS, &REQUEST_BYTES, &REPLY_BYTES, &ERRORS, &CLOSED] {
            page.family(family);
        }
        // An API appears once it was asked for: most clients use a few of fifty.
        for api in self.apis.iter().filter(|api| api.requests.get() > 0) {
            let labels = [self.protocol, api.name];
            page.count(&REQUESTS, &labels, api.requests.get());
            page.count(&REQUEST_BYTES, &labels, api.request_bytes.get());
            page.count(&REPLY_BYTES, &labels, api.reply_bytes.get());
            page.histogram(&SECONDS_OF_REQUESTS, &labels, &api.time);
        }
        for ((api, error), count) in &*lock(&self.errors) {
            page.count(&ERRORS, &[self.protocol, self.apis[*api].name, error], *count);
        }
        page.count(&CONNECTIONS, &[self.protocol], self.open.get());
        page.count(&ACCEPTED, &[self.protocol], self.accepted.get());
        for (reason, count) in &*lock(&self.closed) {
            page.count(&CLOSED, &[self.protocol, reason], *count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;

    #[test]
    fn a_face_shows_what_was_asked_of_it() {
        let face = Face::new("kafka", ["Produce", "Fetch"]);
        face.opened();
        face.opened();
        face.closed("idle");
        face.taken(0);
        let cost = RequestCost { time: Duration::from_millis(1), request_bytes: 100, reply_bytes: 40 };
        face.answered(0, cost);
        face.replied(0, 2);
        face.error(0, "CORRUPT_MESSAGE", 3);
        let mut page = Page::default();
        face.report(&mut page);
        let text = page.text(Format::Prometheus);
        for line in [
            "kolk_requests_total{protocol=\"kafka\",api=\"Produce\"} 1",
            "kolk_request_bytes_total{protocol=\"kafka\",api=\"Produce\"} 100",
            "kolk_reply_bytes_total{protocol=\"kafka\",api=\"Produce\"} 42",
            "kolk_request_duration_seconds_bucket{protocol=\"kafka\",api=\"Produce\",le=\"0.0005\"} 0",
            "kolk_request_duration_seconds_bucket{protocol=\"kafka\",api=\"Produce\",le=\"0.001\"} 1",
            "kolk_request_errors_total{protocol=\"kafka\",api=\"Produce\",error=\"CORRUPT_MESSAGE\"} 3",
            "kolk_connections{protocol=\"kafka\"} 1",
            "kolk_connections_accepted_total{protocol=\"kafka\"} 2",
            "kolk_connections_closed_total{protocol=\"kafka\",reason=\"idle\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
        }
        assert!(!text.contains("Fetch"), "nobody asked for it");
    }
}
