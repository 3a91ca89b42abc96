//! Accepts connections, within limits, and ends them gracefully.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::draining::Draining;

/// Connections that the kernel keeps until they are accepted, or as many as its own limit (`net.core.somaxconn`) lets it.
/// Past that it drops a client's first packet, which is repeated after 1 s, then after 2 s more: with the usual 128,
/// clients that all come back at once from a process that died did so in whole seconds.
const BACKLOG: u32 = 4096;
/// A client that has not sent a request's headers by then, or nothing at all, is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Larger headers are refused (431).
const MAX_HEADERS: usize = 32 * 1024;
/// How long requests under way may take once the process is asked to stop.
const DRAIN: Duration = Duration::from_secs(12);

/// Port 0 is any that is free.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A process that is started again need not wait for the connections of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `shutdown`, then lets the requests under way finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(max_connections));
    let connections = TaskTracker::new();
    // Not `auto`, which waits for the first bytes without a limit.
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADERS);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: others have to close first.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // The kernel's backlog and then refusal are the answer to more connections than this.
        let Ok(place) = places.clone().try_acquire_owned() else {
            metrics::counter!("roomlog_http_connections_refused_total").increment(1);
            continue;
        };
        let _ = stream.set_nodelay(true);
        let with_peer = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.map(|body| axum::body::Body::new(Draining::new(body)))
        };
        let service = TowerToHyperService::new(router.clone().map_request(with_peer));
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let shutdown = shutdown.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                // A client that breaks off is no error of ours.
                _ = connection.as_mut() => {}
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    let _ = tokio::time::timeout(DRAIN, connections.wait()).await;
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    /// More than a listener of the standard library keeps.
    const CLIENTS: usize = 600;

    #[tokio::test]
    async fn clients_that_come_all_at_once_are_kept_until_they_are_accepted() {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        // Nobody accepts, so each of them is kept, or never gets through.
        let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(20));
        let clients: io::Result<Vec<TcpStream>> = (0..CLIENTS).map(|_| connect()).collect();
        assert_eq!(clients.unwrap().len(), CLIENTS);
    }
}
