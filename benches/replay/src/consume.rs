//! Reading a topic whole, again and again, without looking into its records.

use super::kafka;
use anyhow::{Context, Result};
use clap::Args;
use std::io::Write;
use std::time::Instant;

/// What `consume` takes.
#[derive(Args)]
pub struct Consume {
    #[arg(long)]
    server: String,
    #[arg(long)]
    topic: String,
    #[arg(long, default_value_t = 1)]
    partitions: u32,
    /// Readers at once, each on its own connection, each of everything.
    #[arg(long, default_value_t = 1)]
    readers: usize,
    /// How often each reads it.
    #[arg(long, default_value_t = 1)]
    times: usize,
    /// Bytes of a Fetch, at most (a partition's first batch always comes whole).
    #[arg(long, default_value_t = 1 << 20)]
    bytes_max: u32,
}

/// Reads; prints the bytes of all readers and how long they took.
pub fn run(args: &Consume) -> Result<()> {
    let start = Instant::now();
    let bytes = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..args.readers).map(|_| scope.spawn(|| read(args))).collect();
        readers.into_iter().map(|reader| reader.join().expect("no panic")).sum::<Result<u64>>()
    })?;
    println!("{{\"bytes\":{bytes},\"seconds\":{:.4}}}", start.elapsed().as_secs_f64());
    Ok(())
}

fn read(args: &Consume) -> Result<u64> {
    let mut socket = super::connect(&args.server)?;
    let mut reply = Vec::new();
    let mut total = 0;
    let partitions = (0..args.times).flat_map(|_| 0..args.partitions);
    for partition in partitions {
        let mut offset = 0;
        loop {
            let request = kafka::fetch_request(&args.topic, partition, offset, args.bytes_max, 0);
            socket.write_all(&request)?;
            kafka::read_reply_into(&mut socket, &mut reply)?;
            let fetched = kafka::fetched(&reply)?;
            if offset >= fetched.high_watermark {
                break;
            }
            let (end, bytes) = kafka::end_of(fetched.records).context("a reply without a whole batch")?;
            offset = end;
            total += bytes as u64;
        }
    }
    Ok(total)
}
