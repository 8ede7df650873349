//! What a request costs in things that can be counted: durable writes, calls on sockets, allocations, fresh memory,
//! instructions. Time wobbles, these do not: a request that begins to cost more fails on any machine.
//!
//! The whole server with both faces and the client share one thread, so that what the client sends together arrives
//! together, and so that this thread's allocations and instructions are the server's: the client sends bytes that were
//! encoded before, into a buffer that is there, and looks no further than where an answer ends.
//!
//! [`script`] has what is sent, [`calls`] counts what passes the door, [`allocations`] what memory is taken. The program of
//! this crate runs one script under a profiler; the tests hold the ceilings.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "measures a server over real sockets and files; it is not part of the simulated server"
)]

pub mod allocations;
pub mod calls;
pub mod script;

use std::sync::Arc;
use std::time::Duration;

use kolk::Server;
use kolk_engine::door::real;
use kolk_engine::local::{CommitBy, LocalOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use calls::{Calls, Counted, CountedNetwork, counted_disk};
use script::{Exchange, Face, Script};

/// A server on a disk, counted, with a client connected to each face. Lives on the runtime's only thread.
pub struct Counter {
    server: Server,
    /// To the face that was asked last: a connection that nobody uses is closed after a while.
    client: Option<(Face, TcpStream)>,
    calls: Arc<Calls>,
    input: Vec<u8>,
    _directory: tempfile::TempDir,
}

/// What the log keeps in memory for readers.
const TAIL_CACHE_BYTES: usize = 2 << 20;

/// The runtime that a [`Counter`] lives on.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl Counter {
    /// Starts the server with the topics that scripts use.
    pub async fn start() -> Counter {
        let directory = tempfile::tempdir().unwrap();
        let mut door = real::door(real::DiskOptions::default());
        let calls = Arc::new(Calls::default());
        door.disk = Arc::new(counted_disk(door.disk, calls.clone()));
        door.network = Arc::new(CountedNetwork(door.network, calls.clone()));
        // Replies that wait commit, so that what is counted runs on this thread. Nothing is rewritten or sealed meanwhile:
        // that costs what it costs when it runs, and it runs when it likes.
        let options = LocalOptions {
            commit_by: CommitBy::Leader,
            tail_cache_bytes: TAIL_CACHE_BYTES,
            seal_after: Duration::from_secs(3600),
            ..LocalOptions::for_wal(8 << 30)
        };
        let any = || "127.0.0.1:0".parse().unwrap();
        let server = Server::builder()
            .door(door)
            .local(options)
            .data_dir(directory.path())
            .kafka(any())
            .kinesis(any())
            .http(any())
            .create(script::TOPIC, script::PARTITIONS)
            .create(script::SPREAD, script::PARTITIONS)
            .create(script::STREAM, 1)
            .create(script::READ_STREAM, 1)
            .start()
            .await
            .unwrap();
        Counter { server, client: None, calls, input: vec![0; 4 << 20], _directory: directory }
    }

    async fn connect(&mut self, face: Face) {
        let address = match face {
            Face::Kafka => self.server.kafka_address(),
            Face::Kinesis => self.server.kinesis_address(),
        };
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        self.client = Some((face, stream));
    }

    /// Gets ready for a script and runs it until all is warm.
    pub async fn prepare(&mut self, script: Script) -> Exchange {
        let exchange = script.prepare(self).await;
        // Fills pools and caches.
        self.rounds(&exchange, script.rounds() / 2).await;
        exchange
    }

    /// What [`Script::rounds`] of a script take, warm.
    pub async fn count(&mut self, script: Script) -> Counted {
        let exchange = self.prepare(script).await;
        let before = self.calls.now();
        self.rounds(&exchange, script.rounds()).await;
        self.calls.now() - before
    }

    /// Sends the exchange's bytes and waits for its answers, again and again.
    pub async fn rounds(&mut self, exchange: &Exchange, rounds: usize) {
        for _ in 0..rounds {
            self.exchange(exchange).await;
        }
    }

    /// Sends the bytes and waits for the answers; the last one.
    pub(crate) async fn exchange(&mut self, exchange: &Exchange) -> &[u8] {
        if !matches!(&self.client, Some((face, _)) if *face == exchange.face) {
            self.connect(exchange.face).await;
        }
        let Counter { client: Some((_, stream)), input, .. } = self else { unreachable!("just connected") };
        stream.write_all(&exchange.request).await.unwrap();
        let mut end = 0;
        match exchange.face {
            Face::Kafka => {
                for _ in 0..exchange.answers {
                    end = stream.read_u32().await.unwrap() as usize;
                    stream.read_exact(&mut input[..end]).await.unwrap();
                }
            }
            Face::Kinesis => {
                while !script::is_whole(&input[..end]) {
                    let read = stream.read(&mut input[end..]).await.unwrap();
                    assert!(read > 0, "the server closed the connection");
                    end += read;
                }
                assert!(input.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&input[..end]));
            }
        }
        &input[..end]
    }

    /// Stops the server.
    pub async fn stop(self) {
        self.server.stop().await.unwrap();
    }
}
