//! What a request costs in things that can be counted: durable writes, calls on the socket, allocations, fresh memory.
//! Time wobbles, these do not: a request that begins to cost more fails here on any machine.
//!
//! Server and client share one thread, so that what the client sends together arrives together, and so that this thread's
//! allocations are the server's: the client sends bytes that were encoded before, into a buffer that is there. The bounds
//! stand a little above what was counted when they were written.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use kolk_broker::Settings;
use kolk_engine::BoxFuture;
use kolk_engine::door::over::{DiskOver, FileOver};
use kolk_engine::door::{Accepted, Disk, File, Listener, Network, Open, Site, Stream, real};
use kolk_engine::local::{CommitBy, LocalEngine, LocalOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::support::{Client, TestServer, batch, fetch_request, produce_request};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Allocations of this thread so far, and their bytes.
fn allocations() -> (u64, u64) {
    ALLOCATIONS.get()
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: hands everything on to the system's allocator; the counters are plain cells of the thread, without a
// destructor and without allocating themselves.
#[allow(unsafe_code, reason = "an allocator cannot be counted otherwise")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (count, bytes) = ALLOCATIONS.get();
        ALLOCATIONS.set((count + 1, bytes + layout.size() as u64));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (count, bytes) = ALLOCATIONS.get();
        ALLOCATIONS.set((count + 1, bytes + size.saturating_sub(layout.size()) as u64));
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Calls through the door.
#[derive(Debug, Default)]
struct Calls {
    durable_writes: AtomicU64,
    syncs: AtomicU64,
    file_reads: AtomicU64,
    socket_reads: AtomicU64,
    socket_writes: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    durable_writes: u64,
    syncs: u64,
    file_reads: u64,
    socket_reads: u64,
    socket_writes: u64,
    allocations: u64,
    fresh_bytes: u64,
}

impl Calls {
    fn now(&self) -> Counted {
        let (allocations, fresh_bytes) = allocations();
        let of = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Counted {
            durable_writes: of(&self.durable_writes),
            syncs: of(&self.syncs),
            file_reads: of(&self.file_reads),
            socket_reads: of(&self.socket_reads),
            socket_writes: of(&self.socket_writes),
            allocations,
            fresh_bytes,
        }
    }
}

impl std::ops::Sub for Counted {
    type Output = Counted;

    fn sub(self, before: Counted) -> Counted {
        Counted {
            durable_writes: self.durable_writes - before.durable_writes,
            syncs: self.syncs - before.syncs,
            file_reads: self.file_reads - before.file_reads,
            socket_reads: self.socket_reads - before.socket_reads,
            socket_writes: self.socket_writes - before.socket_writes,
            allocations: self.allocations - before.allocations,
            fresh_bytes: self.fresh_bytes - before.fresh_bytes,
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

#[derive(Debug)]
struct CountedDisk(Arc<dyn Disk>, Arc<Calls>);

#[derive(Debug)]
struct CountedFile(Arc<dyn File>, Arc<Calls>);

impl DiskOver for CountedDisk {
    fn below(&self) -> &dyn Disk {
        &*self.0
    }

    fn open_from(&self, site: Site, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>> {
        let opened = self.0.open_from(site, path, how);
        let calls = self.1.clone();
        Box::pin(async move { Ok(Arc::new(CountedFile(opened.await?, calls)) as Arc<dyn File>) })
    }
}

impl FileOver for CountedFile {
    fn below(&self) -> &dyn File {
        &*self.0
    }

    fn read_at_from(&self, site: Site, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        count(&self.1.file_reads);
        self.0.read_at_from(site, position, len)
    }

    fn write_durable_from(&self, site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        count(&self.1.durable_writes);
        self.0.write_durable_from(site, position, bytes)
    }

    fn sync_from(&self, site: Site) -> BoxFuture<'_, io::Result<()>> {
        count(&self.1.syncs);
        self.0.sync_from(site)
    }

    fn sync_and_evict_from(&self, site: Site) -> BoxFuture<'_, io::Result<()>> {
        count(&self.1.syncs);
        self.0.sync_and_evict_from(site)
    }
}

#[derive(Debug)]
struct CountedNetwork(Arc<dyn Network>, Arc<Calls>);

#[derive(Debug)]
struct CountedListener(Box<dyn Listener>, Arc<Calls>);

struct CountedStream(Box<dyn Stream>, Arc<Calls>);

impl Network for CountedNetwork {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        let (listener, calls) = (self.0.listen(address), self.1.clone());
        Box::pin(async move { Ok(Box::new(CountedListener(listener.await?, calls)) as Box<dyn Listener>) })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        self.0.connect(address)
    }
}

impl Listener for CountedListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let Accepted { stream, peer, local } = self.0.accept().await?;
            Ok(Accepted { stream: Box::new(CountedStream(stream, self.1.clone())), peer, local })
        })
    }

    fn local_address(&self) -> SocketAddr {
        self.0.local_address()
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        count(&self.1.socket_reads);
        Pin::new(&mut *self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        count(&self.1.socket_writes);
        Pin::new(&mut *self.0).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        count(&self.1.socket_writes);
        Pin::new(&mut *self.0).poll_write_vectored(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

impl Stream for CountedStream {
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        count(&self.1.socket_writes);
        self.0.poll_send_file(cx, file, position, len)
    }

    fn poll_write_more(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        count(&self.1.socket_writes);
        self.0.poll_write_more(cx, bytes)
    }
}

/// A server on a disk, counted, with a connected client.
struct Counter {
    server: TestServer,
    client: Client,
    calls: Arc<Calls>,
    _directory: tempfile::TempDir,
}

impl Counter {
    async fn start(tail_cache_bytes: usize) -> Counter {
        let directory = tempfile::tempdir().unwrap();
        let mut door = real::door(real::DiskOptions::default());
        let calls = Arc::new(Calls::default());
        door.disk = Arc::new(CountedDisk(door.disk, calls.clone()));
        door.network = Arc::new(CountedNetwork(door.network, calls.clone()));
        // Replies that wait commit, so that what is counted runs on this thread.
        let options =
            LocalOptions { commit_by: CommitBy::Leader, tail_cache_bytes, ..LocalOptions::default() };
        let engine = LocalEngine::open(door.clone(), directory.path(), options).await.unwrap();
        let server = TestServer::start_over(engine, door, Settings::default(), Default::default()).await;
        let mut client = server.connect().await;
        client.create_topic("counted", 100, &[]).await;
        Counter { server, client, calls, _directory: directory }
    }

    /// Sends the bytes `times` and waits each time for `answers` frames; what that took.
    async fn run(&mut self, request: &[u8], answers: usize, times: usize) -> Counted {
        let mut input = vec![0; 2 << 20];
        let mut counted = None;
        // The first rounds fill pools and caches.
        for time in 0..WARM_UP + times {
            if time == WARM_UP {
                counted = Some(self.calls.now());
            }
            self.client.stream.write_all(request).await.unwrap();
            for _ in 0..answers {
                let size = self.client.stream.read_u32().await.unwrap() as usize;
                self.client.stream.read_exact(&mut input[..size]).await.unwrap();
            }
        }
        let counted = self.calls.now() - counted.expect("the warm-up ends");
        eprintln!("{times} times {answers} answers: {counted:?}");
        counted
    }
}

const WARM_UP: usize = 50;
const ROUNDS: usize = 200;

/// `at_most` a round, with room for what the log's thread and the background do now and then.
#[track_caller]
fn assert_each(name: &str, counted: u64, at_most: u64) {
    let bound = ROUNDS as u64 * at_most + ROUNDS as u64 / 10;
    assert!(counted <= bound, "{counted} {name} in {ROUNDS} rounds; {at_most} each are allowed");
}

#[tokio::test]
async fn requests_that_came_together_share_one_durable_write_one_read_and_one_reply() {
    const WINDOW: usize = 32;
    let mut counter = Counter::start(24 << 20).await;
    for partitions in [1, 100] {
        let requests: Vec<_> = (0..WINDOW)
            .map(|number| {
                let request = produce_request("counted", (number * 3 % partitions) as i32, batch(&["value"]));
                counter.client.frame(9, &request).1
            })
            .collect();
        let counted = counter.run(&requests.concat(), WINDOW, ROUNDS).await;
        assert!(counted.durable_writes >= ROUNDS as u64, "every answer was made durable");
        assert_each("durable writes", counted.durable_writes, 1);
        assert_each("syncs", counted.syncs, 0);
        // One that takes the bytes, one that finds no more, one when the answers were written.
        assert_each("socket reads", counted.socket_reads, 3);
        assert_each("socket writes", counted.socket_writes, 1);
        let (requests, bound) = (ROUNDS * WINDOW, 16);
        assert!(
            counted.allocations <= (requests * bound) as u64,
            "{} allocations for {requests} requests; {bound} each are allowed",
            counted.allocations
        );
    }
    counter.server.stop().await;
}

#[tokio::test]
async fn large_batches_go_into_memory_that_is_used_again() {
    let mut counter = Counter::start(8 << 20).await;
    let value = "v".repeat(1000);
    let records = batch(&vec![value.as_str(); 800]);
    let request = counter.client.frame(9, &produce_request("counted", 0, records.clone())).1;
    let counted = counter.run(&request, 1, ROUNDS).await;
    assert_each("durable writes", counted.durable_writes, 1);
    // A copy into fresh memory would take all of it.
    let fresh = counted.fresh_bytes / ROUNDS as u64;
    assert!(fresh < records.len() as u64 / 16, "{fresh} fresh bytes for a batch of {}", records.len());
    counter.server.stop().await;
}

#[tokio::test]
async fn records_are_fetched_without_copies() {
    let mut counter = Counter::start(8 << 20).await;
    let value = "v".repeat(1000);
    let records = batch(&vec![value.as_str(); 800]);
    let produce = counter.client.frame(9, &produce_request("counted", 0, records.clone())).1;
    // Enough that the first batch has left the tail cache for a file.
    counter.run(&produce, 1, 30).await;
    let newest = (WARM_UP + 30 - 1) as i64 * 800;
    for (from, offset) in [("memory", newest), ("a file", 0)] {
        let mut request = fetch_request("counted", 0, offset);
        request.topics[0].partitions[0].partition_max_bytes = 1 << 20;
        let request = counter.client.frame(11, &request).1;
        let counted = counter.run(&request, 1, ROUNDS).await;
        let fresh = counted.fresh_bytes / ROUNDS as u64;
        assert!(fresh < 16 << 10, "{fresh} fresh bytes to send {} from {from}", records.len());
        assert_each("allocations", counted.allocations, 40);
        assert_each("durable writes", counted.durable_writes, 0);
        #[cfg(target_os = "linux")]
        assert_each("reads of files", counted.file_reads, 0);
    }
    counter.server.stop().await;
}
