//! DescribeCluster (key 60), versions 0 to 2.
//!
//! One broker, which is its own controller. Asked for controllers (endpoint type 2, KIP-919) answers
//! UNSUPPORTED_ENDPOINT_TYPE: there is no separate controller to talk to.

use kolk_wire_kafka::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use kolk_wire_kafka::{ErrorCode, Str};

use super::metadata::CLUSTER_OPERATIONS;
use super::{Context, OPERATIONS_UNASKED};
use crate::connection::Close;

const ENDPOINT_BROKERS: i8 = 1;
const ENDPOINT_CONTROLLERS: i8 = 2;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: DescribeClusterRequest,
) -> Result<DescribeClusterResponse, Close> {
    if request.endpoint_type != ENDPOINT_BROKERS {
        let (code, message) = match request.endpoint_type {
            ENDPOINT_CONTROLLERS => (
                ErrorCode::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
                    .to_owned(),
            ),
            other => (ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}")),
        };
        return Ok(DescribeClusterResponse {
            error_code: code.code(),
            error_message: Some(Str::from(message)),
            ..Default::default()
        });
    }
    let settings = context.broker().settings();
    let (host, port) = context.advertised();
    Ok(DescribeClusterResponse {
        cluster_id: Str::from(&settings.cluster_id),
        controller_id: settings.node_id,
        endpoint_type: ENDPOINT_BROKERS,
        brokers: vec![DescribeClusterBroker {
            broker_id: settings.node_id,
            host,
            port,
            rack: None,
            is_fenced: false,
        }],
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            CLUSTER_OPERATIONS
        } else {
            OPERATIONS_UNASKED
        },
        ..Default::default()
    })
}
