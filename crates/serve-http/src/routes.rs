//! One request: which path, and what it answers.

use std::path::PathBuf;
use std::sync::Arc;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use kolk_engine::metrics::{Face, Format, Page, RequestCost, Source};
use kolk_http::{Sender, read_body};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{Backup, BackupError, Operator};

/// Paths as metrics name them.
pub(crate) const NAMES: [&str; 6] = ["/healthz", "/readyz", "/metrics", "/admin/backup", "/", "other"];
const OTHER: usize = NAMES.len() - 1;

/// Bytes of a request's body at most.
const BODY_BYTES_MAX: usize = 64 * 1024;

const INDEX: &str =
    "Kolk\n\n/healthz  the process lives\n/readyz   the log takes writes\n/metrics  Prometheus\n";

/// Answers requests. A cheap handle.
#[derive(Clone)]
pub(crate) struct Routes {
    pub operator: Arc<dyn Operator>,
    pub metrics: Arc<Face>,
}

struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    /// For 405.
    allow: Option<&'static str>,
}

impl Answer {
    fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Answer { status, content_type: "text/plain; charset=utf-8", body: text.into(), allow: None }
    }

    fn json(status: StatusCode, value: &Value) -> Self {
        let body = format!("{value}\n").into();
        Answer { status, content_type: "application/json", body, allow: None }
    }

    fn error(status: StatusCode, reason: &str) -> Self {
        Answer::json(status, &json!({ "error": reason }))
    }
}

impl kolk_http::Service for Routes {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>, from: Sender) -> Response<Full<Bytes>> {
        let taken = Instant::now();
        let is_head = request.method() == Method::HEAD;
        let place = NAMES.iter().position(|name| *name == request.uri().path()).unwrap_or(OTHER);
        self.metrics.taken(place);
        let mut request_bytes = 0;
        let answer = self.route(place, request, from, &mut request_bytes).await;
        if !answer.status.is_success() {
            let name = answer.status.canonical_reason().expect("statuses that are used have names");
            self.metrics.error(place, name, 1);
        }
        let cost = RequestCost { time: taken.elapsed(), request_bytes, reply_bytes: answer.body.len() };
        self.metrics.answered(place, cost);
        let mut response = Response::new(Full::new(if is_head { Bytes::new() } else { answer.body }));
        *response.status_mut() = answer.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(allow) = answer.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

impl Routes {
    async fn route(
        &self,
        place: usize,
        request: Request<Incoming>,
        from: Sender,
        request_bytes: &mut usize,
    ) -> Answer {
        let (head, body) = request.into_parts();
        let allow = match NAMES[place] {
            "other" => {
                return Answer::text(StatusCode::NOT_FOUND, "there is nothing here; / tells what is\n");
            }
            "/admin/backup" => "POST",
            _ => "GET, HEAD",
        };
        if !allow.split(", ").any(|method| head.method == *method) {
            let answer = Answer::text(StatusCode::METHOD_NOT_ALLOWED, format!("the method is {allow}\n"));
            return Answer { allow: Some(allow), ..answer };
        }
        match NAMES[place] {
            "/healthz" => Answer::text(StatusCode::OK, "ok\n"),
            "/readyz" => match self.operator.ready() {
                Ok(()) => Answer::text(StatusCode::OK, "ready\n"),
                Err(reason) => {
                    Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n"))
                }
            },
            "/metrics" => {
                let mut page = Page::default();
                self.operator.report(&mut page);
                self.metrics.report(&mut page);
                let format = wanted_format(&head.headers);
                let body = page.text(format).into();
                Answer { status: StatusCode::OK, content_type: format.content_type(), body, allow: None }
            }
            "/admin/backup" => {
                if let Some(refused) = refuse_strangers(&head.headers, &from) {
                    return refused;
                }
                let Ok(body) = read_body(body, BODY_BYTES_MAX, 0, from.stall, || Duration::MAX).await else {
                    return Answer::error(StatusCode::BAD_REQUEST, "the body did not come, or is too long");
                };
                *request_bytes = body.len();
                self.backup(&body).await
            }
            _ => Answer::text(StatusCode::OK, INDEX),
        }
    }

    async fn backup(&self, body: &Bytes) -> Answer {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(directory) = asked["directory"].as_str().map(PathBuf::from) else {
            return Answer::error(StatusCode::BAD_REQUEST, "the body is {\"directory\": PATH}");
        };
        if !directory.is_absolute() {
            return Answer::error(StatusCode::BAD_REQUEST, "the directory is an absolute path");
        }
        match self.operator.backup(directory).await {
            Ok(Backup { files, bytes }) => {
                Answer::json(StatusCode::OK, &json!({ "files": files, "bytes": bytes }))
            }
            Err(BackupError::Refused(reason)) => Answer::error(StatusCode::CONFLICT, &reason),
            Err(BackupError::Failed(reason)) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &reason),
        }
    }
}

/// OpenMetrics for those who name it, as Prometheus does since 2.5; the older format for all others.
fn wanted_format(headers: &HeaderMap) -> Format {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("application/openmetrics-text") { Format::OpenMetrics } else { Format::Prometheus }
}

/// What changes something is for programs of this machine.
fn refuse_strangers(headers: &HeaderMap, from: &Sender) -> Option<Answer> {
    let is_near = |address: std::net::SocketAddr| address.ip().is_loopback();
    if !is_near(from.peer) || !is_near(from.local) {
        return Some(Answer::error(StatusCode::FORBIDDEN, "this is for programs of the server's machine"));
    }
    if headers.contains_key(header::ORIGIN) {
        return Some(Answer::error(StatusCode::FORBIDDEN, "this is not for pages of a browser"));
    }
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if !is_json {
        let reason = "the content type is application/json";
        return Some(Answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
    }
    None
}
