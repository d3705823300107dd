//! A way to an API server that is far away: a proxy on loopback, through which each byte of the server's comes later.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The proxy, until it is dropped.
pub(crate) struct SlowProxy {
    port: u16,
    accepting: JoinHandle<()>,
}

impl SlowProxy {
    /// Listens for connections to `server` (`host:port`), and lets what the server says pass after `delay`.
    pub(crate) async fn start(server: &str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = server.to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass(client, server, delay));
            }
        });
        Self { port, accepting }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for SlowProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(client: TcpStream, server: TcpStream, delay: Duration) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (sender, mut late) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let requests = async {
        let _ended = copy(&mut from_client, &mut to_server).await;
        let _closed = to_server.shutdown().await;
    };
    // The bytes of an answer that are under way at the same time are late together, not one after the other.
    let answers = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            let _gone = sender.send((Instant::now() + delay, buffer[..count].to_vec()));
        }
    };
    let deliveries = async {
        while let Some((due, bytes)) = late.recv().await {
            tokio::time::sleep_until(due).await;
            if to_client.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(requests, answers, deliveries);
}
