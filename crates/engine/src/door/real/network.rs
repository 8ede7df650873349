//! TCP through tokio.

use std::io;
use std::net::SocketAddr;

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
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

#[derive(Debug)]
struct RealListener {
    listener: TcpListener,
    local: SocketAddr,
}

impl Listener for RealListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let (stream, peer) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            let local = stream.local_addr()?;
            Ok(Accepted { stream: Box::new(stream), peer, local })
        })
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

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
