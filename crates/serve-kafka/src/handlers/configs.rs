//! What DescribeConfigs and CreateTopics tell about configs.

use kolk_engine::state::Topic;
use kolk_wire_kafka::messages::create_topics::CreatableTopicConfigs;

use super::Context;

/// A new topic's effective configs.
pub(crate) fn of_created(_context: &Context<'_>, _topic: &Topic) -> Vec<CreatableTopicConfigs> {
    Vec::new()
}
