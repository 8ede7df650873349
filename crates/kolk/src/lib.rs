//! Kolk in a program: [`Server::builder`] starts one, [`config`] has its settings.
//!
//! The `kolk` binary is this crate with flags in front: `kolk serve` in [`server`] and [`serve`], the commands
//! against a running server in `cli`. What a server does is in the crates below: `kolk-broker` what operations
//! mean, `kolk-serve-kafka` and `kolk-serve-kinesis` who is talking, `kolk-engine` where everything is kept.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = kolk::Server::builder()
//!     .ephemeral()
//!     .kafka("127.0.0.1:0".parse()?)
//!     .kinesis("127.0.0.1:0".parse()?)
//!     .http("127.0.0.1:0".parse()?)
//!     .start()
//!     .await?;
//! println!("Kafka clients connect to {}", server.kafka_address());
//! server.stop().await?;
//! # Ok(())
//! # }
//! ```

pub mod config;
mod operator;
pub mod serve;
pub mod server;
pub mod version;

pub use server::{Builder, Server, ServerError};
