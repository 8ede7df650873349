//! One request: from its head to the bytes of its answer.
//!
//! Pages that may not ask are refused first. Then the order of checks is the service's, as observed: CORS, method, content type and target, size, whether the body can
//! be read at all, the operation, the signature, and only then what the body says.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use kolk_broker::admission::{Beside, REQUEST_BYTES};
use kolk_broker::{Class, Permit};
use kolk_engine::metrics::{Face, RequestCost};
use kolk_http::{BodyError, Sender};
use kolk_wire_kinesis::model::operations::TARGET_PREFIX;
use kolk_wire_kinesis::{ErrorCode, Format, Operation, ServiceError, date};

use tokio::time::Instant;

use crate::operations::{self, Answer, Call, Content};
use crate::origin;
use crate::service::Service;
use crate::sigv4;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const EXTENDED_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// What a browser may see of an answer.
const EXPOSED: &str =
    "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date";
/// How long a browser may remember a preflight, seconds.
const PREFLIGHT_SECONDS: &str = "172800";

/// The service as connections know it.
#[derive(Clone)]
pub(crate) struct Connected(pub Service);

impl kolk_http::Service for Connected {
    type Body = AnswerContent;

    async fn answer(&self, request: Request<Incoming>, from: Sender) -> Response<AnswerContent> {
        answer(&self.0, request, from).await
    }
}

/// Answers one request.
async fn answer(service: &Service, request: Request<Incoming>, from: Sender) -> Response<AnswerContent> {
    let taken = Instant::now();
    let (head, body) = request.into_parts();
    let mut asked = Asked::default();
    let origin = head.headers.get(header::ORIGIN);
    let is_stranger =
        origin.is_some_and(|origin| !origin::may_ask(origin.as_bytes(), &service.settings().origins_allowed));
    let from_browser = origin.is_some() && !is_stranger;
    let preflight = from_browser && head.method == Method::OPTIONS;
    let answered = if is_stranger {
        Err(stranger())
    } else if preflight {
        Ok(preflight_answer(&head.headers))
    } else {
        requested(service, &head, body, from, &mut asked).await.map(of_answer)
    };
    let mut response = answered.unwrap_or_else(|refused| {
        service.metrics().error(asked.place(), refused.name(), 1);
        refused.into_response()
    });
    let (place, metrics) = (asked.place(), service.metrics());
    metrics.taken(place);
    let cost = RequestCost { time: taken.elapsed(), request_bytes: asked.bytes, reply_bytes: 0 };
    metrics.answered(place, cost);
    response.body_mut().counted = Some((metrics.clone(), place));
    let headers = response.headers_mut();
    if from_browser {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if !preflight {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
    let door = service.broker().door();
    // SDKs correct their clocks by Date before they sign again.
    insert(headers, header::DATE, &date::in_header(door.clock.now_ms()));
    insert(headers, REQUEST_ID, &door.random.uuid().to_string());
    if !preflight {
        let mut id = [0; 72];
        door.random.fill(&mut id);
        insert(headers, EXTENDED_REQUEST_ID, &STANDARD.encode(id));
    }
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    headers.insert(name, HeaderValue::from_str(value).expect("dates and ids are visible ASCII"));
}

/// What a request is counted as.
#[derive(Default)]
struct Asked {
    operation: Option<Operation>,
    /// Of its body.
    bytes: usize,
}

impl Asked {
    /// Behind all operations: what never came to one.
    fn place(&self) -> usize {
        self.operation.map_or(Operation::ALL.len(), |operation| operation as usize)
    }
}

/// A request that never came to an operation.
enum Refused {
    /// With a body in the request's format.
    Service(Format, ServiceError),
    /// Bare XML, where no format is known.
    Plain(StatusCode, String),
    /// Status only, and the connection ends: the rest of the body is not worth reading.
    Closing(StatusCode),
}

impl Refused {
    /// For the counter of errors.
    fn name(&self) -> &'static str {
        match self {
            Refused::Service(_, error) => error.code.as_str(),
            Refused::Plain(status, _) | Refused::Closing(status) => {
                status.canonical_reason().expect("statuses that are used have names")
            }
        }
    }

    fn into_response(self) -> Response<AnswerContent> {
        match self {
            Refused::Service(format, error) => of_answer(Answer::error(format, &error)),
            Refused::Plain(status, text) => {
                let mut response = Response::new(AnswerContent::whole(Bytes::from(text)));
                *response.status_mut() = status;
                response
            }
            Refused::Closing(status) => {
                let mut response = Response::new(AnswerContent::whole(Bytes::new()));
                *response.status_mut() = status;
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                response
            }
        }
    }
}

fn undetermined() -> Refused {
    Refused::Plain(
        StatusCode::FORBIDDEN,
        "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized</Message>\n\
         </AccessDeniedException>\n"
            .to_owned(),
    )
}

/// Without the headers that would let the page read it.
fn stranger() -> Refused {
    Refused::Plain(
        StatusCode::FORBIDDEN,
        "<AccessDeniedException>\n  <Message>Pages of this origin may not ask; see --kinesis-cors</Message>\n\
         </AccessDeniedException>\n"
            .to_owned(),
    )
}

/// Runs the operation that the request asks for.
async fn requested(
    service: &Service,
    head: &hyper::http::request::Parts,
    body: Incoming,
    from: Sender,
    asked: &mut Asked,
) -> Result<Answer, Refused> {
    if head.method != Method::POST {
        return Err(undetermined());
    }
    let text =
        |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    let format =
        [Format::Json, Format::Cbor].into_iter().find(|format| format.content_type() == content_type);
    let mut target = text(TARGET).split('.');
    let (prefix, name) = (target.next().unwrap_or_default(), target.next().unwrap_or_default());
    let operation = match prefix {
        TARGET_PREFIX => Operation::from_name(name).filter(|operation| operations::is_served(*operation)),
        _ => None,
    };

    asked.operation = operation;
    let (body, permit) = read_body(service, head, body, operation, &from).await?;
    asked.bytes = body.len();
    if body.is_empty() {
        let code = if operation.is_some() { ErrorCode::Serialization } else { ErrorCode::UnknownOperation };
        return Err(Refused::Service(format.unwrap_or(Format::Cbor), ServiceError::bare(code)));
    }
    let Some(format) = format else {
        return Err(if prefix.is_empty() || name.is_empty() {
            undetermined()
        } else {
            Refused::Plain(StatusCode::NOT_FOUND, "<UnknownOperationException/>\n".to_owned())
        });
    };
    let Some(operation) = operation else {
        return Err(Refused::Service(format, ServiceError::bare(ErrorCode::UnknownOperation)));
    };
    let signed = sigv4::check(&head.headers, head.uri.query(), service.settings().unsigned_allowed);
    let call = Call { format, body, signed, permit: Some(permit), turn: from.turn };
    Ok(operations::run(service, operation, call).await)
}

/// A body up to this size is read before room for it is asked for: it does not queue with large ones that come slowly.
/// An HTTP/1 connection has one at a time; those of an HTTP/2 connection are bounded by its number of requests.
const SMALL_BYTES: usize = 8 * 1024;
const SMALL_BYTES_HTTP2: usize = 2 * 1024;

/// Reads the body into memory that the budget has granted.
async fn read_body(
    service: &Service,
    head: &hyper::http::request::Parts,
    body: Incoming,
    operation: Option<Operation>,
    from: &Sender,
) -> Result<(Bytes, Permit), Refused> {
    let limit = service.settings().body_bytes_max;
    let length =
        head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(Refused::Closing(StatusCode::PAYLOAD_TOO_LARGE));
    }
    // A sender that does not say how much is coming is granted the most it may send.
    let expected = length.map_or(limit, |length| length as usize);
    let class = match operation {
        Some(Operation::PutRecord | Operation::PutRecords) => Class::Data,
        _ => Class::Control,
    };
    // The body, and once more what is decoded out of it.
    let small = if head.version == Version::HTTP_2 { SMALL_BYTES_HTTP2 } else { SMALL_BYTES };
    let admission = service.broker().admission();
    let bytes = expected * 2 + REQUEST_BYTES;
    let permit = if expected <= small { None } else { Some(admission.receive(bytes, class).await) };
    let slowest = || admission.slowest(expected);
    let body = kolk_http::read_body(body, limit, expected, from.stall, slowest).await.map_err(|error| {
        Refused::Closing(match error {
            BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Broken => StatusCode::BAD_REQUEST,
            BodyError::Stalled => StatusCode::REQUEST_TIMEOUT,
        })
    })?;
    let bytes = body.len() * 2 + REQUEST_BYTES;
    let permit = match permit {
        None => admission.admit(bytes, class, Beside::Others(&from.turn)).await,
        Some(mut permit) => {
            permit.received();
            permit.shrink(bytes);
            permit
        }
    };
    Ok((body, permit))
}

fn preflight_answer(asked: &HeaderMap) -> Response<AnswerContent> {
    let mut response = Response::new(AnswerContent::whole(Bytes::new()));
    let headers = response.headers_mut();
    for (asked_by, answered_by) in [
        (header::ACCESS_CONTROL_REQUEST_HEADERS, header::ACCESS_CONTROL_ALLOW_HEADERS),
        (header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_ALLOW_METHODS),
    ] {
        if let Some(value) = asked.get(asked_by) {
            headers.insert(answered_by, value.clone());
        }
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECONDS));
    response
}

fn of_answer(answer: Answer) -> Response<AnswerContent> {
    let Answer { status, format, content, permit } = answer;
    let mut response = Response::new(AnswerContent { content, permit: permit.map(Arc::new), counted: None });
    *response.status_mut() =
        StatusCode::from_u16(status).expect("the table of error codes has HTTP statuses");
    let content_type = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// The body of an answer, and the memory it was granted.
pub(crate) struct AnswerContent {
    content: Content,
    permit: Option<Arc<Permit>>,
    /// Where its bytes are counted.
    counted: Option<(Arc<Face>, usize)>,
}

/// Bytes on their way through the HTTP library, which may keep them for as long as the peer does not read: their memory
/// is given back when it lets go of them.
struct Held {
    bytes: Bytes,
    _permit: Arc<Permit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AnswerContent {
    fn whole(bytes: Bytes) -> Self {
        AnswerContent { content: Content::Whole(bytes), permit: None, counted: None }
    }
}

impl Body for AnswerContent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = match &mut self.content {
            Content::Whole(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Content::Pieces(pieces) => pieces.next(),
        };
        if let (Some(bytes), Some((metrics, place))) = (&next, &self.counted) {
            metrics.replied(*place, bytes.len());
        }
        let held = |bytes| match &self.permit {
            Some(permit) => Bytes::from_owner(Held { bytes, _permit: Arc::clone(permit) }),
            None => bytes,
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(held(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Pieces(_) => SizeHint::default(),
        }
    }
}
