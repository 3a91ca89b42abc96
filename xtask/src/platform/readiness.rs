//! Asks a process for its `/readyz`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

pub fn is_ready(address: SocketAddr) -> bool {
    matches!(ask(address), Ok(answer) if answer.starts_with("HTTP/1.1 200 "))
}

/// The whole answer, with its head: it names what is not ready yet.
pub fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    connection.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn a_process_is_ready_when_it_says_so() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
                let (mut connection, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let read = connection.read(&mut request).unwrap();
                assert!(request[..read].starts_with(b"GET /readyz "));
                connection.write_all(answer.as_bytes()).unwrap();
            }
        });
        assert!(!is_ready(address));
        assert!(is_ready(address));
        server.join().unwrap();
        assert!(!is_ready(address), "nobody listens any more");
    }
}
