//! One `Metadata` request, as in Kafka's protocol guide.

use std::io::{Read, Write};

use super::connect;

const METADATA: i16 = 3;
/// The oldest version that asks not to create topics; spoken by every Kafka since 0.11.
const METADATA_VERSION: i16 = 4;
const CORRELATION_ID: i32 = 1;

/// More than this is no answer of a single node without topics in the question.
const ANSWER_LIMIT: i32 = 64 * 1024;

/// Whether the broker at this port accepts requests and has joined its cluster. (It listens earlier, but names no broker
/// until the controller has let it in.)
pub fn is_ready(port: u16) -> bool {
    matches!(count_brokers(port), Ok(brokers) if brokers > 0)
}

fn count_brokers(port: u16) -> std::io::Result<i32> {
    let mut connection = connect(port)?;
    connection.write_all(&metadata_request())?;

    let mut size = [0; 4];
    connection.read_exact(&mut size)?;
    let size = i32::from_be_bytes(size);
    if !(ANSWER_HEAD..=ANSWER_LIMIT).contains(&size) {
        return Err(std::io::Error::other("not an answer to Metadata"));
    }
    let mut correlation_throttle_brokers = [[0; 4]; 3];
    connection.read_exact(correlation_throttle_brokers.as_flattened_mut())?;
    let [correlation, _throttle_ms, brokers] = correlation_throttle_brokers.map(i32::from_be_bytes);
    if correlation != CORRELATION_ID {
        return Err(std::io::Error::other("an answer to something else"));
    }
    Ok(brokers)
}

/// Correlation id, throttle time and number of brokers, 4 bytes each.
const ANSWER_HEAD: i32 = 12;

fn metadata_request() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(METADATA.to_be_bytes());
    body.extend(METADATA_VERSION.to_be_bytes());
    body.extend(CORRELATION_ID.to_be_bytes());
    let no_client_id = -1_i16;
    body.extend(no_client_id.to_be_bytes());
    let no_topics = 0_i32;
    body.extend(no_topics.to_be_bytes());
    let create_topics = 0_u8;
    body.push(create_topics);

    let mut request = (body.len() as i32).to_be_bytes().to_vec();
    request.append(&mut body);
    request
}

#[cfg(test)]
mod tests {
    use super::super::fake;
    use super::*;

    fn answer_with(answer: &'static [u8]) -> u16 {
        fake::answer_with(metadata_request(), answer)
    }

    #[test]
    fn a_broker_that_names_itself_is_ready() {
        assert!(is_ready(answer_with(b"\0\0\0\x0c\0\0\0\x01\0\0\0\0\0\0\0\x01")));
    }

    #[test]
    fn a_broker_outside_its_cluster_is_not() {
        assert!(!is_ready(answer_with(b"\0\0\0\x0c\0\0\0\x01\0\0\0\0\0\0\0\0")));
    }

    #[test]
    fn neither_is_another_server() {
        assert!(!is_ready(answer_with(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
    }
}
