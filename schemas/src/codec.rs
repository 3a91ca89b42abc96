//! Avro single-object encoding of events and command records.
//!
//! ```text
//! C3 01 | fingerprint of the writer's schema, 8 bytes little endian | Avro datum
//! ```
//!
//! A datum written with another version is resolved to this build's. A fingerprint that is neither
//! known nor announced is an error: the reader stops, nothing is dropped silently.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use bytes::Bytes;

use crate::event::Event;
use crate::next_build;
use crate::record::CommandRecord;
use crate::registry::{Announced, Fingerprint, Registry, Version};

const MARKER: [u8; 2] = [0xC3, 0x01];
const HEADER_LEN: usize = 10;

#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("not in Avro single-object encoding")]
    NotSingleObject,
    #[error("no schema with fingerprint {0:016x} is known or announced")]
    UnknownSchema(Fingerprint),
    #[error("the event type {0} is not known to this build")]
    UnknownEvent(String),
    #[error("the datum does not match its schema")]
    Datum(#[source] Box<apache_avro::Error>),
    #[error("the schema cannot be read")]
    Schema(#[source] apache_avro::Error),
}

impl From<apache_avro::Error> for CodecError {
    fn from(error: apache_avro::Error) -> Self {
        CodecError::Datum(Box::new(error))
    }
}

pub fn encode_event(event: &Event) -> Result<Bytes, CodecError> {
    encode(event.name(), |writer, out| event.write(writer, out))
}

pub fn decode_event(value: &[u8], announced: &Announced) -> Result<Event, CodecError> {
    let (version, datum) = split(value, announced)?;
    let version = next_build::read_as(version);
    if !Event::NAMES.contains(&version.name.as_str()) {
        return Err(CodecError::UnknownEvent(version.name.clone()));
    }
    with_latest(&version, datum, |reader, datum| Event::read(&version.name, reader, datum))
}

/// The fingerprint at the start of a single-object value.
pub fn fingerprint(value: &[u8]) -> Result<Fingerprint, CodecError> {
    if value.len() < HEADER_LEN || value[..2] != MARKER {
        return Err(CodecError::NotSingleObject);
    }
    Ok(u64::from_le_bytes(value[2..HEADER_LEN].try_into().expect("8 bytes")))
}

/// The same datum, said to be of another schema with the same fields.
#[cfg(feature = "chaos-next-build")]
pub(crate) fn with_fingerprint(encoded: &[u8], fingerprint: Fingerprint) -> Bytes {
    let mut value = encoded.to_vec();
    value[MARKER.len()..HEADER_LEN].copy_from_slice(&fingerprint.to_le_bytes());
    value.into()
}

pub(crate) fn encode_record(record: &CommandRecord) -> Result<Bytes, CodecError> {
    encode(CommandRecord::NAME, |writer, out| writer.write_ser(out, record))
}

pub(crate) fn decode_record(value: &[u8], announced: &Announced) -> Result<CommandRecord, CodecError> {
    let (version, datum) = split(value, announced)?;
    if version.name != CommandRecord::NAME {
        return Err(CodecError::UnknownEvent(version.name.clone()));
    }
    with_latest(&version, datum, |reader, mut datum| reader.read_deser(&mut datum))
}

fn encode(
    name: &str,
    write: impl FnOnce(&GenericDatumWriter<'_>, &mut Vec<u8>) -> Result<usize, apache_avro::Error>,
) -> Result<Bytes, CodecError> {
    static WRITERS: OnceLock<HashMap<&'static str, (Fingerprint, GenericDatumWriter<'static>)>> =
        OnceLock::new();
    let writers = WRITERS.get_or_init(|| {
        let known = Registry::known();
        written_names()
            .map(|name| {
                let version = known.latest(name).expect("every event has a schema: tested");
                let writer = GenericDatumWriter::builder(&version.schema)
                    .human_readable(false)
                    .build()
                    .expect("committed schemas resolve: tested");
                (name, (version.fingerprint, writer))
            })
            .collect()
    });
    let (fingerprint, writer) = writers.get(name).ok_or_else(|| CodecError::UnknownEvent(name.to_owned()))?;
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&fingerprint.to_le_bytes());
    write(writer, &mut out)?;
    Ok(out.into())
}

fn split<'v>(value: &'v [u8], announced: &Announced) -> Result<(Arc<Version>, &'v [u8]), CodecError> {
    let fingerprint = fingerprint(value)?;
    let version = Registry::known()
        .version(fingerprint)
        .or_else(|| announced.version(fingerprint))
        .ok_or(CodecError::UnknownSchema(fingerprint))?;
    Ok((version.clone(), &value[HEADER_LEN..]))
}

/// Hands `read` a reader of this build's version and the datum in it.
fn with_latest<T>(
    version: &Version,
    datum: &[u8],
    read: impl FnOnce(&GenericDatumReader<'_>, &[u8]) -> Result<T, apache_avro::Error>,
) -> Result<T, CodecError> {
    let readers = readers();
    if let Some(reader) = readers.get(&version.fingerprint) {
        return Ok(read(reader, datum)?);
    }
    let latest = Registry::known()
        .latest(&version.name)
        .ok_or_else(|| CodecError::UnknownEvent(version.name.clone()))?;
    // The library resolves versions only through its generic values.
    let value = GenericDatumReader::builder(&version.schema)
        .reader_schema(&latest.schema)
        .build()?
        .read_value(&mut &*datum)?;
    let datum = GenericDatumWriter::builder(&latest.schema).build()?.write_value_to_vec(value)?;
    Ok(read(&readers[&latest.fingerprint], &datum)?)
}

/// Readers of each latest version, by fingerprint.
fn readers() -> &'static HashMap<Fingerprint, GenericDatumReader<'static>> {
    static READERS: OnceLock<HashMap<Fingerprint, GenericDatumReader<'static>>> = OnceLock::new();
    READERS.get_or_init(|| {
        let known = Registry::known();
        written_names()
            .map(|name| {
                let version = known.latest(name).expect("every event has a schema: tested");
                let reader = GenericDatumReader::builder(&version.schema)
                    .human_readable(false)
                    .build()
                    .expect("committed schemas resolve: tested");
                (version.fingerprint, reader)
            })
            .collect()
    })
}

fn written_names() -> impl Iterator<Item = &'static str> {
    Event::NAMES.iter().copied().chain([CommandRecord::NAME])
}
