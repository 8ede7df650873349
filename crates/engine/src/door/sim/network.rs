//! Connections in memory.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

use super::World;
use crate::contract::BoxFuture;
use crate::door::{Accepted, Listener, Network, Stream};

/// Bytes that a connection holds in each direction.
const SOCKET_BYTES: usize = 64 << 10;
/// Connections that wait to be accepted.
const BACKLOG: usize = 1024;

#[derive(Debug)]
pub(super) struct SimNetwork {
    world: Arc<World>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    listeners: BTreeMap<SocketAddr, mpsc::Sender<Accepted>>,
    next_port: u16,
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}", self.peer, self.local)
    }
}

impl SimNetwork {
    pub fn new(world: Arc<World>) -> Self {
        SimNetwork { world, inner: Mutex::default() }
    }

    pub fn crash(&self) {
        self.inner.lock().expect("no panics under this lock").listeners.clear();
    }

    fn port(&self) -> u16 {
        let mut inner = self.inner.lock().expect("no panics under this lock");
        inner.next_port += 1;
        20_000 + inner.next_port % 40_000
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
            let mut inner = self.inner.lock().expect("no panics under this lock");
            if inner.listeners.get(&address).is_some_and(|listener| !listener.is_closed()) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            let (sender, receiver) = mpsc::channel(BACKLOG);
            inner.listeners.insert(address, sender);
            let receiver = tokio::sync::Mutex::new(receiver);
            Ok(Box::new(SimListener { world: self.world.clone(), address, receiver }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            self.world.pause().await;
            self.world.trace("connect", u64::from(address.port()));
            let listener = {
                let inner = self.inner.lock().expect("no panics under this lock");
                inner.listeners.get(&address).cloned().ok_or(io::ErrorKind::ConnectionRefused)?
            };
            let (ours, theirs) = tokio::io::duplex(SOCKET_BYTES);
            let peer = SocketAddr::new(address.ip(), self.port());
            let stream = Box::new(SimStream::new(theirs, self.world.clone()));
            let accepted = Accepted { stream, peer, local: address };
            listener.try_send(accepted).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(SimStream::new(ours, self.world.clone())) as Box<dyn Stream>)
        })
    }
}

#[derive(Debug)]
struct SimListener {
    world: Arc<World>,
    address: SocketAddr,
    receiver: tokio::sync::Mutex<mpsc::Receiver<Accepted>>,
}

impl Listener for SimListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let accepted = self.receiver.lock().await.recv().await;
            // A connection in hand is not lost when this future is dropped: nothing is awaited from here on.
            let accepted = accepted.ok_or(io::ErrorKind::ConnectionAborted)?;
            self.world.trace("accept", u64::from(accepted.peer.port()));
            Ok(accepted)
        })
    }

    fn local_address(&self) -> SocketAddr {
        self.address
    }
}

/// One end of a connection: each read may come late and short.
struct SimStream {
    inner: DuplexStream,
    world: Arc<World>,
    /// What the next read waits for; `None` if that is not drawn yet.
    late: Option<Pin<Box<tokio::time::Sleep>>>,
    drawn: bool,
}

impl SimStream {
    fn new(inner: DuplexStream, world: Arc<World>) -> Self {
        SimStream { inner, world, late: None, drawn: false }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.drawn {
            this.drawn = true;
            if this.world.below(4) == 0 {
                let late = Duration::from_micros(1 + this.world.below(200));
                this.late = Some(Box::pin(tokio::time::sleep(late)));
            }
        }
        if let Some(late) = &mut this.late {
            std::task::ready!(late.as_mut().poll(cx));
            this.late = None;
        }
        let limit = match this.world.below(4) {
            0 => 1 + this.world.below(64) as usize,
            _ => out.remaining(),
        };
        let mut part = out.take(limit);
        std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
        let len = part.filled().len();
        // `part` is a window on the same memory, which a DuplexStream has initialised as far as it is filled.
        let filled = part.filled().to_vec();
        out.put_slice(&filled);
        this.drawn = false;
        this.world.trace("read", len as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = std::task::ready!(Pin::new(&mut this.inner).poll_write(cx, bytes));
        this.world.trace("write", *written.as_ref().unwrap_or(&0) as u64);
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
