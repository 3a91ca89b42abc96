//! One start-up message, as in PostgreSQL's protocol, version 3. Being asked for a password is enough of an answer.

use std::io::{Read, Write};

use super::connect;

const VERSION_3: i32 = 3 << 16;
const AUTHENTICATION: u8 = b'R';

/// Whether the server at this port lets clients in. (While it starts or recovers it answers with an error.)
pub fn is_ready(port: u16) -> bool {
    matches!(ask(port), Ok(AUTHENTICATION))
}

fn ask(port: u16) -> std::io::Result<u8> {
    let mut connection = connect(port)?;
    connection.write_all(&startup_message())?;
    let mut kind = [0];
    connection.read_exact(&mut kind)?;
    Ok(kind[0])
}

fn startup_message() -> Vec<u8> {
    let parameters = b"user\0roomlog\0database\0roomlog\0\0";
    let length = (size_of::<i32>() * 2 + parameters.len()) as i32;
    [length.to_be_bytes().as_slice(), &VERSION_3.to_be_bytes(), parameters].concat()
}

#[cfg(test)]
mod tests {
    use super::super::fake::answer_with;
    use super::*;

    #[test]
    fn a_server_that_asks_for_a_password_is_ready() {
        let answer = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
        assert!(is_ready(answer_with(startup_message(), answer)));
    }

    #[test]
    fn a_server_that_is_starting_is_not() {
        assert!(!is_ready(answer_with(startup_message(), b"E\0\0\0\x0fSFATAL\0C57P03\0\0")));
    }
}
