//! ApiVersions (key 18), versions 0 to 5.
//!
//! Answers the served table. A version above ours gets a version 0 body with UNSUPPORTED_VERSION that lists the range of
//! ApiVersions alone, from which clients go down (KIP-511). From version 3 the client's name is checked as Kafka does.
//! From version 5 a client may say which cluster and node it means to talk to; a mismatch answers REBOOTSTRAP_REQUIRED
//! (KIP-1242).
//!
//! Features: `metadata.version` alone, at the level of Kafka 4.4. `transaction.version` and `group.version` wait for
//! transactions and KIP-848: finalized, they would make clients use what is not served.

use bytes::Bytes;
use kolk_wire_kafka::codec::Message;
use kolk_wire_kafka::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use kolk_wire_kafka::{ApiKey, ErrorCode, Str};

use super::Context;
use crate::answer::Unencoded;
use crate::apis::{self, SERVED, Served};
use crate::connection::Close;

const METADATA_VERSION: &str = "metadata.version";
/// Level 33 is 4.4-IV2, what a broker of Kafka 4.4.0 formats its storage with; 7 (3.3-IV3) is the oldest it can run.
const LEVEL: i16 = 33;
const LEVEL_OLDEST: i16 = 7;

pub(crate) fn handle(context: &Context<'_>, body: Bytes) -> Result<Unencoded<ApiVersionsResponse>, Close> {
    let own = apis::find(ApiKey::ApiVersions.key()).expect("ApiVersions is served");
    if context.version() < own.min || context.version() > own.max {
        let response = ApiVersionsResponse {
            error_code: ErrorCode::UnsupportedVersion.code(),
            api_keys: vec![row(&own)],
            ..Default::default()
        };
        let (api, correlation_id) = (ApiKey::ApiVersions, context.header.correlation_id);
        return Ok(Unencoded::new(api, 0, correlation_id, response, None)?);
    }
    let request = ApiVersionsRequest::decode(body, context.version())?;
    context.answer(answer(context, &request))
}

fn answer(context: &Context<'_>, request: &ApiVersionsRequest) -> ApiVersionsResponse {
    let failed = |code: ErrorCode| ApiVersionsResponse { error_code: code.code(), ..Default::default() };
    if context.version() >= 3
        && !(is_plain(&request.client_software_name) && is_plain(&request.client_software_version))
    {
        return failed(ErrorCode::InvalidRequest);
    }
    let settings = context.broker().settings();
    let other_cluster = request.cluster_id.as_ref().is_some_and(|id| *id != *settings.cluster_id);
    let other_node = request.node_id != -1 && request.node_id != settings.node_id;
    if other_cluster || other_node {
        return failed(ErrorCode::RebootstrapRequired);
    }
    ApiVersionsResponse {
        api_keys: SERVED.iter().map(row).collect(),
        supported_features: vec![SupportedFeatureKey {
            name: METADATA_VERSION.into(),
            min_version: LEVEL_OLDEST,
            max_version: LEVEL,
        }],
        finalized_features_epoch: 0,
        finalized_features: vec![FinalizedFeatureKey {
            name: METADATA_VERSION.into(),
            max_version_level: LEVEL,
            min_version_level: LEVEL,
        }],
        ..Default::default()
    }
}

fn row(served: &Served) -> ApiVersion {
    ApiVersion { api_key: served.api.key(), min_version: served.min, max_version: served.max }
}

/// Kafka's pattern for client names: letters and digits at both ends, between them also `-` and `.`.
fn is_plain(text: &Str) -> bool {
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}
