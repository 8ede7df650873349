//! Kafka's protocol on a socket.
