//! The durable probe: a server that can do nothing but Produce, and does that as cheaply as it can be done.
//!
//! It is the yardstick of the bench: what a durable ack costs on this machine and this disk, in this minute, with
//! the least code around it. Every batch's CRC is checked; every ack waits until its bytes are on disk, in one log
//! of blocks that were written before (`O_DIRECT | O_DSYNC`), many requests to a frame. There is no recovery, no
//! reading, no state but a counter.
//!
//! `--arrangement` says who writes the frame: `leader` = the connection that finds the log idle, blocking its
//! worker; `thread` = a thread of its own. `raw` measures the bare durable 4 KiB write.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a probe measures the machine itself; it is not part of the simulated server"
)]

mod log;
mod produce;

use anyhow::{Context, Result};
use bytes::{Buf, BytesMut};
use clap::{Parser, Subcommand, ValueEnum};
use log::Log;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve Produce (versions 3 to 8) until killed; prints the address when ready.
    Serve {
        /// Folder for the log file.
        #[arg(long)]
        dir: PathBuf,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
        /// Who writes the frames.
        #[arg(long, value_enum, default_value = "leader")]
        arrangement: Arrangement,
        /// Size of the log file, written once before the start and then over and over.
        #[arg(long, default_value_t = 256)]
        log_mib: usize,
    },
    /// Time durable 4 KiB writes into written blocks; prints the median in microseconds.
    Raw {
        /// Folder for the file.
        #[arg(long)]
        dir: PathBuf,
        /// How many writes.
        #[arg(long, default_value_t = 200)]
        writes: usize,
    },
}

/// Who writes and syncs a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arrangement {
    /// Whoever finds the log idle, on its own worker thread; leadership is handed on after each frame.
    Leader,
    /// One thread that does nothing else.
    Thread,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Serve { dir, listen, arrangement, log_mib } => {
            let log = Log::open(&dir, log_mib << 20, arrangement)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(async {
                let listener = TcpListener::bind(&listen).await?;
                println!("{}", listener.local_addr()?);
                serve(listener, log).await
            })
        }
        Command::Raw { dir, writes } => raw(&dir, writes),
    }
}

async fn serve(listener: TcpListener, log: Arc<Log>) -> Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            if let Err(error) = connection(socket, &log).await {
                eprintln!("connection closed: {error:#}");
            }
        });
    }
}

/// Requests that one connection hands to the log together hold at most this many bytes, or are one request.
const ROUND_BYTES: usize = 1 << 20;

/// Reads what has come, hands all whole requests to the log at once, answers when they are durable.
async fn connection(mut socket: TcpStream, log: &Arc<Log>) -> Result<()> {
    let mut input = BytesMut::with_capacity(256 << 10);
    let mut output = Vec::new();
    loop {
        let mut replies = Vec::new();
        let mut batches = Vec::new();
        let mut taken = 0;
        while let Some(size) = produce::frame_size(&input[taken..])? {
            if taken > 0 && taken + size > ROUND_BYTES {
                break;
            }
            let start = taken + 4;
            replies.push(produce::parse(&input[start..taken + size], start, &mut batches)?);
            taken += size;
        }
        if taken == 0 {
            let wanted = produce::missing(&input);
            input.reserve(wanted.max(64 << 10));
            if socket.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
            continue;
        }
        let first = log.append(batches.iter().map(|range| &input[range.clone()])).await;
        input.advance(taken);
        output.clear();
        let mut offset = first;
        for reply in &replies {
            offset = reply.write(offset, &mut output);
        }
        socket.write_all(&output).await?;
    }
}

fn raw(dir: &std::path::Path, writes: usize) -> Result<()> {
    let file = log::prepared(&dir.join("raw"), 1 << 20)?;
    let buffer = log::Buffer::new(4096);
    let mut times = Vec::with_capacity(writes);
    for n in 0..writes {
        let start = Instant::now();
        rustix::io::pwrite(&file, buffer.aligned(4096), (n % 256 * 4096) as u64).context("durable write")?;
        times.push(start.elapsed());
    }
    std::fs::remove_file(dir.join("raw"))?;
    times.sort_unstable();
    println!("{:.1}", times[writes / 2].as_secs_f64() * 1e6);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two requests in one write come back as two replies with dense offsets, in both arrangements.
    #[test]
    fn pipelined_requests_are_answered_in_order() {
        for arrangement in [Arrangement::Leader, Arrangement::Thread] {
            let dir = tempfile::tempdir().unwrap();
            let log = Log::open(dir.path(), 1 << 20, arrangement).unwrap();
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                tokio::spawn(serve(listener, log));
                let mut socket = TcpStream::connect(address).await.unwrap();
                let requests = [produce::tests::request(7, 3), produce::tests::request(8, 2)].concat();
                socket.write_all(&requests).await.unwrap();
                for (correlation, base) in [(7, 0), (8, 3)] {
                    let size = socket.read_u32().await.unwrap() as usize;
                    let mut reply = vec![0; size];
                    socket.read_exact(&mut reply).await.unwrap();
                    assert_eq!(produce::tests::read_reply(&reply), (correlation, 0, base));
                }
                // A batch whose bytes were hurt on the way closes the connection.
                let mut hurt = produce::tests::request(9, 1);
                *hurt.last_mut().unwrap() ^= 1;
                socket.write_all(&hurt).await.unwrap();
                assert_eq!(socket.read(&mut [0; 16]).await.unwrap_or(0), 0);
            });
            let stored = std::fs::read(dir.path().join("log")).unwrap();
            assert!(stored.windows(4).any(|four| four == b"AAAA"), "the records are in the log");
        }
    }
}
