//! One `OPTIONS` request, as in the specification of CQL's protocol, version 4.

use std::io::{Read, Write};

use super::connect;

const REQUEST_V4: u8 = 0x04;
const ANSWER_V4: u8 = 0x84;
const OPTIONS: u8 = 0x05;
const SUPPORTED: u8 = 0x06;

/// Version, flags, two bytes of stream number, operation, four bytes of body length.
const HEADER: usize = 9;

/// Whether the node at this port talks to clients. (Nodes listen for them last, when their tables are open.)
pub fn is_ready(port: u16) -> bool {
    ask(port).is_ok_and(|[version, _, _, _, operation, ..]| version == ANSWER_V4 && operation == SUPPORTED)
}

fn ask(port: u16) -> std::io::Result<[u8; HEADER]> {
    let mut connection = connect(port)?;
    connection.write_all(&options_request())?;
    let mut answer = [0; HEADER];
    connection.read_exact(&mut answer)?;
    Ok(answer)
}

fn options_request() -> [u8; HEADER] {
    [REQUEST_V4, 0, 0, 0, OPTIONS, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::super::fake::answer_with;
    use super::*;

    #[test]
    fn a_node_that_says_what_it_supports_is_ready() {
        let supported = b"\x84\0\0\0\x06\0\0\0\x02\0\0";
        assert!(is_ready(answer_with(options_request().to_vec(), supported)));
    }

    #[test]
    fn a_node_that_answers_with_an_error_is_not() {
        let overloaded = b"\x84\0\0\0\x00\0\0\0\x06\0\0\x10\x01\0\0";
        assert!(!is_ready(answer_with(options_request().to_vec(), overloaded)));
    }

    #[test]
    fn neither_is_another_server() {
        assert!(!is_ready(answer_with(options_request().to_vec(), b"HTTP/1.1 400 Bad Request\r\n\r\n")));
    }
}
