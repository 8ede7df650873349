//! The Kinesis API over HTTP/1.1, HTTP/2 and h2c.
