//! Connections in memory, each with a fate. The fault model stands in the parent module.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

use super::{World, lock};
use crate::contract::BoxFuture;
use crate::door::{Accepted, Listener, Network, Stream};

/// Bytes that a connection holds in each direction.
const SOCKET_BYTES: usize = 64 << 10;
/// Connections that wait to be accepted.
const BACKLOG: usize = 1024;
/// A connection whose opening comes twice repeats up to so many bytes: less than the smallest request that changes
/// anything, for what a client says once must not be done twice by a fault of ours.
const DOUBLED_BYTES_MAX: u64 = 40;

/// How many of a thousand new connections meet which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkFaults {
    /// Refused.
    pub refused: u64,
    /// Cut after some byte, in whichever direction it goes.
    pub cut: u64,
    /// Silent from some byte on, and never closed.
    pub silent: u64,
    /// Slow: every read may take up to a second.
    pub slow: u64,
    /// Their first bytes come again, on another connection.
    pub doubled: u64,
}

/// The network as one process sees it, or the outside.
#[derive(Debug)]
pub(super) struct SimNetwork {
    world: Arc<World>,
    process: u64,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    listeners: BTreeMap<SocketAddr, mpsc::Sender<Accepted>>,
    next_port: u16,
    faults: NetworkFaults,
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}", self.peer, self.local)
    }
}

impl SimNetwork {
    pub fn new(world: Arc<World>) -> Self {
        SimNetwork { world, process: 0, inner: Arc::default() }
    }

    pub fn of_process(&self, process: u64) -> Self {
        SimNetwork { world: self.world.clone(), process, inner: self.inner.clone() }
    }

    pub fn crash(&self) {
        lock(&self.inner).listeners.clear();
    }

    pub fn set_faults(&self, faults: NetworkFaults) {
        lock(&self.inner).faults = faults;
    }

    fn port(&self) -> u16 {
        let mut inner = lock(&self.inner);
        inner.next_port += 1;
        20_000 + inner.next_port % 40_000
    }

    /// Draws what a new connection meets; `None` if it is refused.
    fn draw(&self) -> Option<Fate> {
        let faults = lock(&self.inner).faults;
        let world = &self.world;
        let meets = |of_thousand: u64| of_thousand > 0 && world.below(1000) < of_thousand;
        // As likely within the first bytes as later: most of what is said is short.
        let some_byte = || world.below(16 << world.below(14));
        if meets(faults.refused) {
            return None;
        }
        Some(Fate {
            cut_at: if meets(faults.cut) { some_byte() } else { u64::MAX },
            silent_at: if meets(faults.silent) { some_byte() } else { u64::MAX },
            is_slow: meets(faults.slow),
            doubled: if meets(faults.doubled) { 1 + world.below(DOUBLED_BYTES_MAX) } else { 0 },
            bytes: AtomicU64::new(0),
        })
    }
}

/// What a connection meets, and how far it is.
#[derive(Debug)]
struct Fate {
    cut_at: u64,
    silent_at: u64,
    is_slow: bool,
    /// So many of its first bytes come twice.
    doubled: u64,
    /// Bytes that were written so far, in both directions.
    bytes: AtomicU64,
}

impl Fate {
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn is_cut(&self) -> bool {
        self.bytes() >= self.cut_at
    }

    fn is_silent(&self) -> bool {
        self.bytes() >= self.silent_at
    }
}

impl Network for SimNetwork {
    fn listen(&self, mut address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            self.world.pause().await;
            if address.port() == 0 {
                address.set_port(self.port());
            }
            self.world.trace("listen", u64::from(address.port()));
            let mut inner = lock(&self.inner);
            if inner.listeners.get(&address).is_some_and(|listener| !listener.is_closed()) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            let (sender, receiver) = mpsc::channel(BACKLOG);
            inner.listeners.insert(address, sender);
            let receiver = tokio::sync::Mutex::new(receiver);
            let (world, process) = (self.world.clone(), self.process);
            Ok(Box::new(SimListener { world, process, address, receiver }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            self.world.pause().await;
            self.world.trace("connect", u64::from(address.port()));
            let listener = lock(&self.inner).listeners.get(&address).cloned();
            let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
            let Some(fate) = self.draw() else {
                self.world.trace("refused", u64::from(address.port()));
                return Err(io::ErrorKind::ConnectionRefused.into());
            };
            let fate = Arc::new(fate);
            let open = |fate: &Arc<Fate>| {
                let (ours, theirs) = tokio::io::duplex(SOCKET_BYTES);
                let peer = SocketAddr::new(address.ip(), self.port());
                // Whose it is stands in the listener that accepts it.
                let stream = Box::new(SimStream::new(theirs, self.world.clone(), fate.clone()));
                let accepted = Accepted { stream, peer, local: address };
                listener.try_send(accepted).map_err(|_| io::ErrorKind::ConnectionRefused)?;
                io::Result::Ok(ours)
            };
            let mut stream = SimStream::new(open(&fate)?, self.world.clone(), fate.clone());
            if fate.doubled > 0 {
                let echo = Fate {
                    cut_at: u64::MAX,
                    silent_at: u64::MAX,
                    is_slow: false,
                    doubled: 0,
                    bytes: AtomicU64::new(0),
                };
                stream.double = open(&Arc::new(echo)).ok();
            }
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

#[derive(Debug)]
struct SimListener {
    world: Arc<World>,
    process: u64,
    address: SocketAddr,
    receiver: tokio::sync::Mutex<mpsc::Receiver<Accepted>>,
}

impl Listener for SimListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let accepted = self.receiver.lock().await.recv().await;
            // A connection in hand is not lost when this future is dropped: nothing is awaited from here on.
            let Accepted { stream, peer, local } = accepted.ok_or(io::ErrorKind::ConnectionAborted)?;
            self.world.trace("accept", u64::from(peer.port()));
            let stream = OfProcess { stream, world: self.world.clone(), process: self.process };
            Ok(Accepted { stream: Box::new(stream), peer, local })
        })
    }

    fn local_address(&self) -> SocketAddr {
        self.address
    }
}

/// The server's end of a connection, which ends with its process; each of its calls is one at which that may end.
struct OfProcess {
    stream: Box<dyn Stream>,
    world: Arc<World>,
    process: u64,
}

impl OfProcess {
    fn alive(&self) -> io::Result<()> {
        if self.world.runs(self.process) && !self.world.may_end(u64::MAX) {
            return Ok(());
        }
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for OfProcess {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.alive()?;
        Pin::new(&mut self.get_mut().stream).poll_read(cx, out)
    }
}

impl Stream for OfProcess {}

impl AsyncWrite for OfProcess {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.alive()?;
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// One end of a connection: each read may come late and short, and its fate may strike.
struct SimStream {
    /// `None` once it was cut.
    inner: Option<DuplexStream>,
    world: Arc<World>,
    fate: Arc<Fate>,
    /// Where the first bytes go a second time, until they have gone.
    double: Option<DuplexStream>,
    /// What the next read waits for; `None` if that is not drawn yet.
    late: Option<Pin<Box<tokio::time::Sleep>>>,
    drawn: bool,
}

impl SimStream {
    fn new(inner: DuplexStream, world: Arc<World>, fate: Arc<Fate>) -> Self {
        SimStream { inner: Some(inner), world, fate, double: None, late: None, drawn: false }
    }

    /// The connection, unless it was cut.
    fn connected(&mut self) -> io::Result<&mut DuplexStream> {
        if self.fate.is_cut() && self.inner.take().is_some() {
            self.world.trace("cut", self.fate.bytes());
        }
        self.inner.as_mut().ok_or(io::ErrorKind::ConnectionReset.into())
    }

    /// Says the first bytes on the second connection too.
    fn double(&mut self, cx: &mut Context<'_>, bytes: &[u8]) {
        let Some(mut double) = self.double.take() else { return };
        let left = self.fate.doubled.saturating_sub(self.fate.bytes()) as usize;
        let again = &bytes[..bytes.len().min(left)];
        let _ = Pin::new(&mut double).poll_write(cx, again);
        if again.len() < left {
            self.double = Some(double);
        }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.drawn {
            this.drawn = true;
            let late_us = if this.fate.is_slow {
                this.world.below(1_000_000)
            } else if this.world.below(4) == 0 {
                1 + this.world.below(200)
            } else {
                0
            };
            if late_us > 0 {
                this.late = Some(Box::pin(tokio::time::sleep(Duration::from_micros(late_us))));
            }
        }
        if let Some(late) = &mut this.late {
            std::task::ready!(late.as_mut().poll(cx));
            this.late = None;
        }
        this.connected()?;
        if this.fate.is_silent() {
            return Poll::Pending;
        }
        let limit = match this.world.below(4) {
            0 => 1 + this.world.below(64) as usize,
            _ => out.remaining(),
        };
        let mut part = out.take(limit);
        std::task::ready!(Pin::new(this.connected()?).poll_read(cx, &mut part))?;
        let len = part.filled().len();
        if len == 0 && this.fate.is_silent() {
            // Nobody hears either that the other end is gone.
            return Poll::Pending;
        }
        // `part` is a window on the same memory, which a DuplexStream has initialised as far as it is filled.
        let filled = part.filled().to_vec();
        out.put_slice(&filled);
        this.drawn = false;
        this.world.trace("read", len as u64);
        Poll::Ready(Ok(()))
    }
}

impl Stream for SimStream {}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.connected()?;
        let fate = this.fate.clone();
        let before = fate.bytes();
        if fate.is_silent() {
            // What the kernel would take, and then nothing more.
            if before >= fate.silent_at.saturating_add(SOCKET_BYTES as u64) {
                return Poll::Pending;
            }
            fate.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            return Poll::Ready(Ok(bytes.len()));
        }
        let until = (fate.cut_at.min(fate.silent_at) - before).min(bytes.len() as u64) as usize;
        let written = std::task::ready!(Pin::new(this.connected()?).poll_write(cx, &bytes[..until]));
        this.world.trace("write", *written.as_ref().unwrap_or(&0) as u64);
        if let Ok(written) = &written {
            this.double(cx, &bytes[..*written]);
            fate.bytes.fetch_add(*written as u64, Ordering::Relaxed);
            // The other end must hear of it.
            let _ = this.connected();
        }
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Some(inner) => Pin::new(inner).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.inner {
            Some(inner) if !this.fate.is_silent() => Pin::new(inner).poll_shutdown(cx),
            _ => Poll::Ready(Ok(())),
        }
    }
}
