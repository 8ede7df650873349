//! TCP through tokio.

use std::io;
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::{
    os::fd::BorrowedFd,
    task::{Context, Poll, ready},
};

#[cfg(target_os = "linux")]
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::contract::BoxFuture;
use crate::door::{Accepted, Listener, Network, Stream};

/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: u32 = 1024;

#[derive(Debug)]
pub(super) struct RealNetwork;

impl Network for RealNetwork {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // A restarted server takes its port back from connections in TIME_WAIT. (On Windows the option would let
            // two processes share the port.)
            #[cfg(not(windows))]
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let listener = socket.listen(BACKLOG)?;
            let local = listener.local_addr()?;
            Ok(Box::new(RealListener { listener, local }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            set_options(&stream, address)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

impl Stream for TcpStream {
    #[cfg(target_os = "linux")]
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        use rustix::io::Errno;
        loop {
            ready!(self.poll_write_ready(cx))?;
            let mut at = position;
            let sent = self.try_io(Interest::WRITABLE, || {
                rustix::fs::sendfile(&*self, file, Some(&mut at), len).map_err(io::Error::from)
            });
            return Poll::Ready(match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                // What is wrong with the file is for a read of it to tell: here it would be the peer's fault.
                Err(error)
                    if matches!(
                        Errno::from_io_error(&error),
                        Some(Errno::INVAL | Errno::NOSYS | Errno::IO)
                    ) =>
                {
                    Err(io::ErrorKind::Unsupported.into())
                }
                Ok(0) => Err(io::ErrorKind::Unsupported.into()),
                other => other,
            });
        }
    }

    #[cfg(target_os = "linux")]
    fn poll_write_more(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        use rustix::net::SendFlags;
        loop {
            ready!(self.poll_write_ready(cx))?;
            let sent = self.try_io(Interest::WRITABLE, || {
                rustix::net::send(&*self, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)
                    .map_err(io::Error::from)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }
}

/// What every connection is set to.
fn set_options(stream: &TcpStream, peer: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Within a machine there is no path whose bandwidth could be found out. Where the system's default is a congestion
    // control that tries to (BBR), it holds segments back by a timer each, which cost more than all else that a large reply
    // costs (docs/adr/2026-11-23-loopback.md). This one is always there and holds nothing back.
    #[cfg(target_os = "linux")]
    if peer.ip().to_canonical().is_loopback() {
        // Without it everything works, only slower.
        let _ = rustix::net::sockopt::set_tcp_congestion(stream, "reno");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = peer;
    Ok(())
}

#[derive(Debug)]
struct RealListener {
    listener: TcpListener,
    local: SocketAddr,
}

/// IPv4 peers of a dual-stack socket come as mapped addresses (`::ffff:127.0.0.1`), which clients cannot connect to.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Listener for RealListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let (stream, peer) = self.listener.accept().await?;
            set_options(&stream, peer)?;
            let local = stream.local_addr()?;
            Ok(Accepted { stream: Box::new(stream), peer: canonical(peer), local: canonical(local) })
        })
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::door::real::{DiskOptions, disk::RealDisk};
    use crate::door::{Disk, Open};

    /// What a socket refers to must not be written again: a log file without direct writes is not sent from.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_file_is_sent_from_the_page_cache_and_only_if_its_pages_stay() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Box<dyn Disk> =
            Box::new(RealDisk::new(DiskOptions { direct: false, durable: true, readers: 2 }));
        let content: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
        let write = async |how| {
            let file = disk.open(&dir.path().join(format!("{how:?}")), how).await.unwrap();
            file.write_at(0, Bytes::from(content.clone())).await.unwrap();
            file
        };
        assert!(write(Open::Durable).await.resident(0, 1000).is_none());
        let file = write(Open::Write).await;
        assert!(file.resident(299_000, 2000).is_none(), "past the end");

        let listener = RealNetwork.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (near, far) = tokio::join!(RealNetwork.connect(listener.local_address()), listener.accept());
        let (mut near, mut far) = (near.unwrap(), far.unwrap().stream);
        let send = async {
            let written = poll_fn(|cx| near.poll_write_more(cx, b"head")).await.unwrap();
            assert_eq!(written, 4);
            let mut at = 4097;
            while at < content.len() {
                let len = content.len() - at;
                let descriptor = file.resident(at as u64, len).unwrap();
                at += poll_fn(|cx| near.poll_send_file(cx, descriptor, at as u64, len)).await.unwrap();
            }
            drop(near);
        };
        let mut got = Vec::new();
        let ((), read) = tokio::join!(send, far.read_to_end(&mut got));
        read.unwrap();
        assert!(got[..4] == *b"head" && got[4..] == content[4097..], "{} bytes came", got.len());
    }

    /// Metadata tells clients the local address: a mapped one leads nowhere on a host without IPv6.
    #[tokio::test]
    async fn an_ipv4_peer_of_a_dual_stack_socket_is_seen_as_ipv4() {
        let Ok(listener) = RealNetwork.listen("[::]:0".parse().unwrap()).await else { return };
        let address = SocketAddr::from(([127, 0, 0, 1], listener.local_address().port()));
        // Where sockets are IPv6 only nobody answers there.
        let Ok(_connected) = RealNetwork.connect(address).await else { return };
        let accepted = listener.accept().await.unwrap();
        assert_eq!(accepted.local, address);
        assert!(accepted.peer.is_ipv4(), "{}", accepted.peer);
    }

    #[tokio::test]
    async fn connects_and_a_taken_port_is_told() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = RealNetwork.listen(any.parse().unwrap()).await else {
                assert!(any.starts_with('['), "IPv4 loopback is always there");
                continue;
            };
            let address = listener.local_address();
            assert_ne!(address.port(), 0);
            let taken = RealNetwork.listen(address).await.unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
            let (connected, accepted) = tokio::join!(RealNetwork.connect(address), listener.accept());
            let (mut connected, mut accepted) = (connected.unwrap(), accepted.unwrap());
            assert_eq!(accepted.local, address);
            connected.write_all(b"ping").await.unwrap();
            let mut got = [0; 4];
            accepted.stream.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"ping");
            drop(connected);
            assert_eq!(accepted.stream.read(&mut got).await.unwrap(), 0);
        }
    }
}
