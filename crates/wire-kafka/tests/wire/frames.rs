//! Headers, and responses in pieces.

use bytes::{Bytes, BytesMut};
use kolk_wire_kafka::codec::{EncodeError, Message, Segment};
use kolk_wire_kafka::frame::{self, RequestHeader};
use kolk_wire_kafka::messages::api_versions::ApiVersionsResponse;
use kolk_wire_kafka::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use kolk_wire_kafka::messages::heartbeat::HeartbeatRequest;
use kolk_wire_kafka::messages::produce::ProduceRequest;
use kolk_wire_kafka::{ApiKey, Records};

fn fetch_response(records: Vec<Option<Records>>) -> FetchResponse {
    let partitions = records
        .into_iter()
        .enumerate()
        .map(|(at, records)| PartitionData { partition_index: at as i32, records, ..Default::default() })
        .collect();
    let topic = FetchableTopicResponse { topic: "t".into(), partitions, ..Default::default() };
    FetchResponse { responses: vec![topic], ..Default::default() }
}

#[test]
fn requests_come_back_with_their_headers() {
    for (version, client_id) in [(0, None), (3, Some("me")), (4, Some("me")), (4, None)] {
        let header = RequestHeader {
            api_key: ApiKey::Heartbeat.key(),
            api_version: version,
            correlation_id: -5,
            client_id: client_id.map(Into::into),
        };
        let request = HeartbeatRequest { group_id: "g".into(), generation_id: 3, ..Default::default() };
        let frame = frame::encode_request(&header, &request).unwrap();
        let mut buffer = BytesMut::from(&frame.to_bytes().unwrap()[..]);
        assert_eq!(buffer.len(), frame.length);
        buffer.extend_from_slice(b"next");
        let whole = frame::split(&mut buffer, 1 << 20).unwrap().unwrap();
        assert_eq!(&buffer[..], b"next");
        let (decoded, body) = RequestHeader::decode(whole).unwrap();
        assert_eq!(decoded, header);
        assert_eq!(HeartbeatRequest::decode_rest(body, version), Ok((request, Bytes::new())));
    }
}

#[test]
fn an_api_versions_request_of_the_future_has_a_header() {
    // What KIP-511 asks for: version 99 is answered, so its header has to be read.
    let frame = Bytes::from_static(&[0, 18, 0, 99, 0, 0, 0, 7, 0, 1, b'c', 0, 1, 2, 3]);
    let (header, body) = RequestHeader::decode(frame).unwrap();
    assert_eq!((header.api_version, header.correlation_id, &body[..]), (99, 7, &[1, 2, 3][..]));
    // Tags in a flexible header are skipped.
    let frame = Bytes::from_static(&[0, 12, 0, 4, 0, 0, 0, 7, 0xff, 0xff, 1, 0, 2, 9, 9, 42]);
    assert_eq!(&RequestHeader::decode(frame).unwrap().1[..], [42]);
}

#[test]
fn response_headers() {
    let body = ApiVersionsResponse::default();
    let frame = frame::encode_response(ApiKey::ApiVersions, 3, 9, &body).unwrap().to_bytes().unwrap();
    assert_eq!(&frame[4..8], [0, 0, 0, 9]);
    let (correlation_id, rest) =
        frame::decode_response_header(frame.slice(4..), ApiKey::ApiVersions, 3).unwrap();
    assert_eq!((correlation_id, ApiVersionsResponse::decode(rest, 3)), (9, Ok(body)));

    let body = fetch_response(vec![None]);
    for version in [4, 12] {
        let frame = frame::encode_response(ApiKey::Fetch, version, 9, &body).unwrap().to_bytes().unwrap();
        assert_eq!(frame[..4], (frame.len() as i32 - 4).to_be_bytes());
        let (correlation_id, rest) =
            frame::decode_response_header(frame.slice(4..), ApiKey::Fetch, version).unwrap();
        assert_eq!((correlation_id, FetchResponse::decode(rest, version)), (9, Ok(body.clone())));
    }
}

#[test]
fn records_go_out_from_where_they_lie() {
    let large = Bytes::from(vec![7; 5000]);
    let pieces = fetch_response(vec![
        Some(Records::External { token: 11, length: 3000 }),
        Some(large.clone().into()),
        Some(Bytes::from_static(b"small").into()),
        Some(Records::External { token: 12, length: 0 }),
    ]);
    let copied = fetch_response(vec![
        Some(Bytes::from(vec![1; 3000]).into()),
        Some(large.clone().into()),
        Some(Bytes::from_static(b"small").into()),
        Some(Bytes::new().into()),
    ]);
    for version in [0, 4, 11] {
        let frame = frame::encode_response(ApiKey::Fetch, version, 1, &pieces).unwrap();
        assert_eq!(frame.to_bytes(), Err(EncodeError::ExternalRecords));
        let mut joined = Vec::new();
        let mut outside = Vec::new();
        for segment in &frame.segments {
            match segment {
                Segment::Bytes(bytes) => joined.extend_from_slice(bytes),
                Segment::External { token, length } => {
                    outside.push((*token, *length));
                    joined.resize(joined.len() + length, 1);
                }
            }
        }
        assert_eq!(outside, [(11, 3000), (12, 0)]);
        assert_eq!(frame.length, joined.len());
        assert_eq!(
            joined,
            frame::encode_response(ApiKey::Fetch, version, 1, &copied).unwrap().to_bytes().unwrap()
        );
        let not_copied = |s: &Segment| matches!(s, Segment::Bytes(bytes) if bytes.as_ptr() == large.as_ptr());
        assert!(frame.segments.iter().any(not_copied), "large records are a segment of their own");
    }
}

#[test]
fn produced_records_are_a_slice_of_the_frame() {
    use kolk_wire_kafka::messages::produce::{PartitionProduceData, TopicProduceData};
    let partition = PartitionProduceData { index: 0, records: Some(Bytes::from(vec![3; 9000]).into()) };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![partition], ..Default::default() };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() };
    for version in [2, 8, 12] {
        let body = request.to_bytes(version).unwrap();
        let decoded = ProduceRequest::decode(body.clone(), version).unwrap();
        let records =
            decoded.topic_data[0].partition_data[0].records.as_ref().and_then(Records::bytes).unwrap();
        assert!(body.as_ptr_range().contains(&records.as_ptr()));
        assert_eq!(decoded, request);
    }
}
