//! A disk on which some batches cannot be read: what a consumer of many partitions is told, and that it gets on.
//!
//! Kafka sends files without looking at them: an error there ends the connection, and the consumer comes back to the same
//! end, whatever else it asked for.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use kolk_broker::Settings;
use kolk_engine::BoxFuture;
use kolk_engine::door::over::{FileOver, FilesOver};
use kolk_engine::door::{File, Site, real};
use kolk_engine::local::{LocalEngine, LocalOptions};
use kolk_engine::metrics::{Format, Page, Source};
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::fetch::{FetchPartition, FetchRequest, FetchResponse};
use kolk_wire_kafka::records::Batches;

use crate::support::*;

const PARTITIONS: i32 = 50;
/// The partition with batches that cannot be read.
const BAD: i32 = 7;
/// What those batches hold.
const MARK: &str = "cannot be read";

/// A file of which what has the mark in it cannot be read, while its disk is broken.
#[derive(Debug)]
struct BrokenFile(Arc<dyn File>, Arc<AtomicBool>);

impl FileOver for BrokenFile {
    fn below(&self) -> &dyn File {
        &*self.0
    }

    fn read_at_from(&self, site: Site, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            let bytes = self.0.read_at_from(site, position, len).await?;
            let is_bad = bytes.windows(MARK.len()).any(|part| part == MARK.as_bytes());
            if is_bad && self.1.load(Ordering::SeqCst) {
                Err(io::Error::other("this sector cannot be read"))
            } else {
                Ok(bytes)
            }
        })
    }

    fn resident(&self, _position: u64, _len: usize) -> Option<BorrowedFd<'_>> {
        None
    }
}

struct World {
    server: TestServer,
    client: Client,
    is_broken: Arc<AtomicBool>,
    /// Bytes of the budget that nobody holds while nothing is asked for.
    free: usize,
    _directory: tempfile::TempDir,
}

impl World {
    /// Partitions of four batches of about `batch_bytes`; the third of partition [`BAD`] cannot be read.
    async fn new(batch_bytes: usize) -> World {
        let directory = tempfile::tempdir().unwrap();
        let is_broken = Arc::new(AtomicBool::new(true));
        let mut door = real::door(real::DiskOptions::default());
        let files = is_broken.clone();
        door.disk =
            Arc::new(FilesOver::new(door.disk, move |_, file| Arc::new(BrokenFile(file, files.clone()))));
        let options = LocalOptions { tail_cache_bytes: 64 * 1024, ..LocalOptions::default() };
        let engine = LocalEngine::open(door.clone(), directory.path(), options).await.unwrap();
        let face = kolk_serve_kafka::Settings::default();
        let server = TestServer::start_over(engine, door, Settings::default(), face).await;
        let mut client = server.connect().await;
        client.create_topic("t", PARTITIONS, &[]).await;
        client.create_topic("other", 1, &[]).await;
        for number in 0..4 {
            for partition in 0..PARTITIONS {
                let is_bad = (partition, number) == (BAD, 2);
                let value = if is_bad { MARK } else { "fine" }.repeat(batch_bytes / MARK.len() + 1);
                assert_eq!(client.produce("t", partition, batch(&[&value])).await.error_code, 0);
            }
        }
        // What was written last stays in memory.
        assert_eq!(client.produce("other", 0, batch(&[&"x".repeat(200_000)])).await.error_code, 0);
        let free = server.broker.admission().available();
        World { server, client, is_broken, free, _directory: directory }
    }

    /// One Fetch of all partitions, from these offsets; `None` if the connection ended.
    async fn poll(&mut self, next: &BTreeMap<i32, i64>) -> Option<FetchResponse> {
        let mut request: FetchRequest = fetch_request("t", 0, 0);
        request.max_bytes = 50 << 20;
        request.topics[0].partitions = next
            .iter()
            .map(|(partition, offset)| FetchPartition {
                partition: *partition,
                fetch_offset: *offset,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            })
            .collect();
        let (id, frame) = self.client.frame(11, &request);
        tokio::io::AsyncWriteExt::write_all(&mut self.client.stream, &frame).await.unwrap();
        let frame = self.client.receive_frame().await?;
        Some(self.client.decode::<FetchRequest>(11, id, frame))
    }

    fn unreadable(&self) -> [u64; 2] {
        let mut page = Page::default();
        self.server.broker.report(&mut page);
        let text = page.text(Format::Prometheus);
        ["before", "within"].map(|met| {
            let name = format!("kolk_fetch_unreadable_total{{met=\"{met}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
        })
    }
}

/// Moves on behind what came; the error of the bad partition.
fn advance(next: &mut BTreeMap<i32, i64>, response: &FetchResponse) -> i16 {
    let mut error = 0;
    for partition in &response.responses[0].partitions {
        if partition.partition_index == BAD {
            error = partition.error_code;
        } else {
            assert_eq!(partition.error_code, 0);
        }
        let records = partition.records.as_ref().and_then(|records| records.bytes()).cloned();
        for batch in Batches::new(records.unwrap_or_default()) {
            let (header, bytes) = batch.unwrap();
            header.check_crc(&bytes).unwrap();
            let offset = next.get_mut(&partition.partition_index).unwrap();
            assert_eq!(header.base_offset, *offset, "nothing is skipped");
            *offset = header.next_offset();
        }
    }
    error
}

/// A consumer of all partitions gets everything but what is behind the damage, and that too once the disk can read again.
async fn consume(mut world: World, breaks_off: usize) {
    let mut next: BTreeMap<i32, i64> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    let is_done = |next: &BTreeMap<i32, i64>| next.iter().all(|(at, next)| *next == 4 || *at == BAD);
    let (mut broken_off, mut error) = (0, 0);
    for _ in 0..40 {
        match world.poll(&next).await {
            Some(response) => error = advance(&mut next, &response),
            None => {
                broken_off += 1;
                world.client = world.server.connect().await;
            }
        }
        if is_done(&next) && error != 0 {
            break;
        }
    }
    assert!(is_done(&next), "all others were read to their end: {next:?}");
    assert_eq!((next[&BAD], error), (2, ErrorCode::KafkaStorageError.code()));
    assert_eq!(broken_off, breaks_off);
    let [before, within] = world.unreadable();
    assert!(before > 0 && within == breaks_off as u64, "{before} {within}");
    assert_eq!(world.server.broker.admission().available(), world.free, "all memory is given back");

    world.is_broken.store(false, Ordering::SeqCst);
    while next[&BAD] < 4 {
        let response = world.poll(&next).await.unwrap();
        assert_eq!(advance(&mut next, &response), 0);
    }
    world.server.stop().await;
}

#[tokio::test]
async fn a_small_batch_that_cannot_be_read_is_its_partitions_error() {
    consume(World::new(300).await, 0).await;
}

/// The connection ended in the middle of every answer, and with it what the other 49 partitions would have got.
#[tokio::test]
async fn a_large_batch_that_cannot_be_read_ends_one_connection_and_then_is_its_partitions_error() {
    consume(World::new(50_000).await, 1).await;
}
