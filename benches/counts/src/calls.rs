//! Counts what passes the door: files and sockets.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use kolk_engine::BoxFuture;
use kolk_engine::door::over::{FileOver, FilesOver};
use kolk_engine::door::{Accepted, Disk, File, Listener, Network, Site, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Calls through the door.
#[derive(Debug, Default)]
pub struct Calls {
    durable_writes: AtomicU64,
    syncs: AtomicU64,
    file_reads: AtomicU64,
    socket_reads: AtomicU64,
    socket_writes: AtomicU64,
}

/// What was counted, of calls and of this thread's memory.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Writes that are durable when they return.
    pub durable_writes: u64,
    /// Other syncs of files.
    pub syncs: u64,
    /// Reads of files, other than by a socket itself.
    pub file_reads: u64,
    /// Attempts to read from a socket.
    pub socket_reads: u64,
    /// Attempts to write to a socket, or to send a file to one.
    pub socket_writes: u64,
    /// Allocations.
    pub allocations: u64,
    /// Bytes of the allocations: what is copied into memory that is not used again is among them.
    pub fresh_bytes: u64,
}

impl Calls {
    /// All so far.
    pub fn now(&self) -> Counted {
        let (allocations, fresh_bytes) = crate::allocations::of_this_thread();
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

impl Counted {
    /// Each count with its name.
    pub fn named(&self) -> [(&'static str, u64); 7] {
        [
            ("durable writes", self.durable_writes),
            ("syncs", self.syncs),
            ("reads of files", self.file_reads),
            ("socket reads", self.socket_reads),
            ("socket writes", self.socket_writes),
            ("allocations", self.allocations),
            ("fresh bytes", self.fresh_bytes),
        ]
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

/// A disk whose files are counted.
pub fn counted_disk(below: Arc<dyn Disk>, calls: Arc<Calls>) -> FilesOver {
    FilesOver::new(below, move |_, file| Arc::new(CountedFile(file, calls.clone())))
}

#[derive(Debug)]
struct CountedFile(Arc<dyn File>, Arc<Calls>);

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

/// A network whose accepted connections are counted.
#[derive(Debug)]
pub struct CountedNetwork(pub Arc<dyn Network>, pub Arc<Calls>);

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
