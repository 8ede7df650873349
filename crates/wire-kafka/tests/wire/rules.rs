//! What happens to fields that a version lacks, and other rules that bytes alone do not show.

use kolk_wire_kafka::codec::{EncodeError, Message, Request};
use kolk_wire_kafka::messages::fetch::{FetchRequest, FetchResponse};
use kolk_wire_kafka::messages::list_offsets::ListOffsetsRequest;
use kolk_wire_kafka::messages::metadata::{MetadataRequest, MetadataResponse};
use kolk_wire_kafka::messages::produce::ProduceRequest;
use kolk_wire_kafka::{ApiKey, ErrorCode, Str};

#[test]
fn ignorable_fields_are_dropped_and_others_refused() {
    let response = MetadataResponse { cluster_id: Some("c".into()), ..Default::default() };
    assert!(response.to_bytes(1).is_ok(), "the cluster's id is ignorable");
    let request =
        MetadataRequest { allow_auto_topic_creation: false, topics: Some(vec![]), ..Default::default() };
    assert_eq!(
        request.to_bytes(3),
        Err(EncodeError::FieldNotInVersion { field: "allow_auto_topic_creation", version: 3 })
    );
    assert!(request.to_bytes(4).is_ok());
    let request = ProduceRequest { transactional_id: Some("t".into()), ..Default::default() };
    assert_eq!(
        request.to_bytes(2),
        Err(EncodeError::FieldNotInVersion { field: "transactional_id", version: 2 })
    );
}

#[test]
fn null_where_a_version_has_none_is_refused() {
    let all = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(all.to_bytes(0), Err(EncodeError::UnexpectedNull { field: "topics", version: 0 }));
    assert!(all.to_bytes(1).is_ok());
}

#[test]
fn defaults_are_the_protocol_s() {
    let fetch = FetchRequest::default();
    assert_eq!((fetch.replica_id, fetch.max_bytes, fetch.session_epoch), (-1, i32::MAX, -1));
    assert_eq!(ListOffsetsRequest::default().to_bytes(0).unwrap().len(), 8);
    assert!(MetadataRequest::default().allow_auto_topic_creation);
    assert_eq!(FetchResponse::default().node_endpoints, []);
}

#[test]
fn strings_over_the_limit_are_refused() {
    let request = ProduceRequest { transactional_id: Some("x".repeat(32768).into()), ..Default::default() };
    for version in [3, 9] {
        assert_eq!(request.to_bytes(version), Err(EncodeError::TooLong { length: 32768 }));
    }
}

#[test]
fn the_table_of_apis() {
    assert_eq!(ApiKey::ALL.len(), 77);
    for api in ApiKey::ALL {
        assert_eq!(ApiKey::from_key(api.key()), Some(*api));
        assert!(api.min_version() <= api.max_version() && api.max_version() <= api.max_version_known());
    }
    assert_eq!(ApiKey::from_key(7), None);
    assert_eq!((ApiKey::Produce.min_version(), ApiKey::Produce.max_version()), (0, 13));
    assert_eq!(ApiKey::OffsetForLeaderEpoch.name(), "OffsetForLeaderEpoch");
    assert_eq!((ApiKey::InitProducerId.max_version(), ApiKey::InitProducerId.max_version_known()), (5, 6));
    assert_eq!((ApiKey::Fetch.request_header_version(11), ApiKey::Fetch.request_header_version(12)), (1, 2));
    assert_eq!(
        (ApiKey::Fetch.response_header_version(11), ApiKey::Fetch.response_header_version(12)),
        (0, 1)
    );
    assert_eq!(
        (ApiKey::ApiVersions.request_header_version(3), ApiKey::ApiVersions.response_header_version(3)),
        (2, 0)
    );
    assert!(!ApiKey::SaslHandshake.is_flexible(1));
    assert_eq!(FetchRequest::KEY, ApiKey::Fetch);
}

#[test]
fn the_table_of_errors() {
    assert_eq!(ErrorCode::ALL.len(), 138);
    for (at, error) in ErrorCode::ALL.iter().enumerate() {
        assert_eq!(error.code(), at as i16 - 1, "codes have no gaps");
        assert_eq!(ErrorCode::from_code(error.code()), Some(*error));
        assert!(!error.message().is_empty() && error.message().len() < 90);
    }
    assert_eq!(ErrorCode::from_code(137), None);
    assert_eq!(ErrorCode::NotCoordinator.name(), "NOT_COORDINATOR");
    assert!(ErrorCode::NotCoordinator.is_retriable() && !ErrorCode::InvalidRecord.is_retriable());
}

#[test]
fn strings_are_slices_until_detached() {
    let frame = MetadataRequest {
        topics: Some(vec![kolk_wire_kafka::messages::metadata::MetadataRequestTopic {
            name: Some("orders".into()),
            ..Default::default()
        }]),
        ..Default::default()
    }
    .to_bytes(9)
    .unwrap();
    let request = MetadataRequest::decode(frame.clone(), 9).unwrap();
    let name: Str = request.topics.unwrap()[0].name.clone().unwrap();
    assert!(frame.as_ptr_range().contains(&name.as_ptr()), "decoded without a copy");
    assert!(!frame.as_ptr_range().contains(&name.detached().as_ptr()));
    assert_eq!(name, name.detached());
}
