//! Which handler serves which operation, and how its request and answer become values and bytes.

use std::sync::Arc;

use bytes::Bytes;
use kolk_broker::Permit;
use kolk_broker::admission::{Beside, REPEATS_MAX, REQUEST_BYTES};
use kolk_wire_kinesis::codec::RecordsPieces;
use kolk_wire_kinesis::requests::*;
use kolk_wire_kinesis::{
    DecodeError, ErrorCode, Format, Operation, Request, ServiceError, decode, encode_reply,
};

use tokio::sync::Semaphore;

use crate::handlers;
use crate::service::Service;

/// A request whose head is understood.
pub(crate) struct Call {
    pub format: Format,
    pub body: Bytes,
    /// Whether it is signed; said only once the body could be read.
    pub signed: Result<(), ServiceError>,
    /// The memory it was granted; an operation that waits for more gives it back first.
    pub permit: Option<Permit>,
    /// See [`kolk_http::Sender::turn`].
    pub turn: Arc<Semaphore>,
}

/// An answer: status, body, and the memory it was granted.
pub(crate) struct Answer {
    pub status: u16,
    pub format: Format,
    pub content: Content,
    pub permit: Option<Permit>,
}

/// The bytes of an answer.
pub(crate) enum Content {
    /// All of them.
    Whole(Bytes),
    /// Made while they are sent.
    Pieces(Box<RecordsPieces>),
}

impl Answer {
    pub(crate) fn error(format: Format, error: &ServiceError) -> Self {
        let content = Content::Whole(error.encode(format));
        Answer { status: error.code.status(), format, content, permit: None }
    }
}

impl Call {
    /// The request. Errors come in the service's order: a body that cannot be read, the signature, what the body says.
    fn read<R: Request>(&self) -> Result<R, ServiceError> {
        let decoded = decode::<R>(self.format, &self.body);
        if matches!(decoded, Err(DecodeError::Malformed)) {
            return Err(DecodeError::Malformed.into());
        }
        self.signed.clone()?;
        Ok(decoded?)
    }
}

macro_rules! served {
    ($( $operation:ident($input:ident) => $module:ident; )*) => {
        /// Whether an operation is served. Others are known by name and answered like unknown ones.
        pub fn is_served(operation: Operation) -> bool {
            matches!(operation, Operation::GetRecords $( | Operation::$operation )*)
        }

        /// Runs an operation to its answer.
        async fn dispatch(
            service: &Service,
            operation: Operation,
            call: &mut Call,
        ) -> Result<Answer, ServiceError> {
            let format = call.format;
            match operation {
                $(
                    Operation::$operation => {
                        let input = call.read::<$input>()?;
                        let reply = handlers::$module::handle(service, input).await?;
                        let content = Content::Whole(encode_reply::<$input>(format, &reply));
                        Ok(Answer { status: 200, format, content, permit: None })
                    }
                )*
                Operation::GetRecords => {
                    let input = call.read::<GetRecordsInput>()?;
                    // The page takes its own: who waits for memory holds none.
                    call.permit = None;
                    let (page, permit) = handlers::get_records::handle(service, input).await?;
                    let content = Content::Pieces(Box::new(RecordsPieces::new(format, page)));
                    Ok(Answer { status: 200, format, content, permit: Some(permit) })
                }
                _ => Err(ServiceError::bare(ErrorCode::UnknownOperation)),
            }
        }
    };
}

served! {
    AddTagsToStream(AddTagsToStreamInput) => add_tags_to_stream;
    CreateStream(CreateStreamInput) => create_stream;
    DecreaseStreamRetentionPeriod(DecreaseStreamRetentionPeriodInput) => decrease_stream_retention_period;
    DeleteStream(DeleteStreamInput) => delete_stream;
    DescribeLimits(DescribeLimitsInput) => describe_limits;
    DescribeStream(DescribeStreamInput) => describe_stream;
    DescribeStreamSummary(DescribeStreamSummaryInput) => describe_stream_summary;
    GetShardIterator(GetShardIteratorInput) => get_shard_iterator;
    IncreaseStreamRetentionPeriod(IncreaseStreamRetentionPeriodInput) => increase_stream_retention_period;
    ListShards(ListShardsInput) => list_shards;
    ListStreams(ListStreamsInput) => list_streams;
    ListTagsForResource(ListTagsForResourceInput) => list_tags_for_resource;
    ListTagsForStream(ListTagsForStreamInput) => list_tags_for_stream;
    MergeShards(MergeShardsInput) => merge_shards;
    PutRecord(PutRecordInput) => put_record;
    PutRecords(PutRecordsInput) => put_records;
    RemoveTagsFromStream(RemoveTagsFromStreamInput) => remove_tags_from_stream;
    SplitShard(SplitShardInput) => split_shard;
    TagResource(TagResourceInput) => tag_resource;
    UntagResource(UntagResourceInput) => untag_resource;
    UpdateShardCount(UpdateShardCountInput) => update_shard_count;
}

/// Whether an operation only looks: an answer that there is no room for yet may be dropped and made again.
fn is_repeatable(operation: Operation) -> bool {
    ["Describe", "Get", "List"].iter().any(|verb| operation.name().starts_with(verb))
}

/// Runs an operation to its answer, errors included. The answer holds its own memory.
pub(crate) async fn run(service: &Service, operation: Operation, mut call: Call) -> Answer {
    let format = call.format;
    let admission = service.broker().admission();
    let mut repeats = if is_repeatable(operation) { REPEATS_MAX } else { 0 };
    loop {
        let answer = match dispatch(service, operation, &mut call).await {
            Ok(answer) => answer,
            Err(error) => {
                if error.code.status() >= 500 {
                    service.log_failure(operation, &error);
                }
                service.metrics().error(operation as usize, error.code.as_str(), 1);
                Answer::error(format, &error)
            }
        };
        let (Content::Whole(bytes), Some(mut permit)) = (&answer.content, call.permit.take()) else {
            return answer;
        };
        let bytes = bytes.len() + REQUEST_BYTES;
        if let Some(mut answer) =
            permit.keep(admission, answer, bytes, Beside::Others(&call.turn), &mut repeats).await
        {
            permit.shrink(bytes);
            answer.permit = Some(permit);
            return answer;
        }
        call.permit = Some(permit);
    }
}
