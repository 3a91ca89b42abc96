//! Asks a server whether it is ready, without a client library: one request of each protocol.

mod cql;
mod kafka;
mod postgres;

use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::service::Service;

/// A local server answers within milliseconds; one that is starting may accept a connection and stay silent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the server at this port accepts requests.
pub fn is_ready(service: Service, port: u16) -> bool {
    match service {
        Service::Kafka => kafka::is_ready(port),
        Service::Cql => cql::is_ready(port),
        Service::Postgres => postgres::is_ready(port),
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    connection.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    connection.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(connection)
}

#[cfg(test)]
mod fake {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};

    /// A server that expects one request and gives one answer. Its port.
    pub fn answer_with(request: Vec<u8>, answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut sent = vec![0; request.len()];
            connection.read_exact(&mut sent).unwrap();
            assert_eq!(sent, request);
            connection.write_all(answer).unwrap();
        });
        port
    }
}
