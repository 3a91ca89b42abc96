//! The trace that a record belongs to: the W3C trace context in its header `traceparent`.
//!
//! Only records of *sampled* traces carry one. Readers look for it only once somebody in the process
//! exports spans ([`read_traces`]): Kafka's client copies all headers of a record for the first look.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// The header's name.
pub const TRACEPARENT: &str = "traceparent";

/// Of a header of version 00: `00-<trace id>-<span id>-<flags>`.
const LEN: usize = 55;
const SAMPLED: u8 = 1;

static READS_TRACES: AtomicBool = AtomicBool::new(false);

/// From now on this process's readers give out the traces of the records that they read.
pub fn read_traces() {
    READS_TRACES.store(true, Ordering::Relaxed);
}

pub(crate) fn reads_traces() -> bool {
    READS_TRACES.load(Ordering::Relaxed)
}

/// A span of a trace, as it travels between processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub is_sampled: bool,
}

impl TraceContext {
    /// `None` for what the W3C's recommendation says to ignore.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let fields = header.get(..LEN)?;
        let version = hex::<1>(&fields[..2])?[0];
        let separated = [2, 35, 52].iter().all(|&at| fields[at] == b'-');
        // A later version may add fields behind those of version 00.
        let ended = match version {
            0 => header.len() == LEN,
            0xff => false,
            _ => header.get(LEN).is_none_or(|&next| next == b'-'),
        };
        let trace_id = hex(&fields[3..35])?;
        let span_id = hex(&fields[36..52])?;
        let flags = hex::<1>(&fields[53..])?[0];
        let valid = separated && ended && trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(Self { trace_id, span_id, is_sampled: flags & SAMPLED != 0 })
    }

    /// In text, as log lines and collectors show it.
    pub fn trace_id(&self) -> String {
        self.trace_id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The context among headers, if it is of a sampled trace.
    pub fn sampled_of(headers: &[(&'static str, String)]) -> Option<Self> {
        let (_, value) = headers.iter().find(|(name, _)| *name == TRACEPARENT)?;
        Self::parse(value.as_bytes()).filter(|context| context.is_sampled)
    }
}

/// As the header has it.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", u8::from(self.is_sampled))
    }
}

/// Lower case alone, as the recommendation has it.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_and_written_unchanged() {
        let context = TraceContext::parse(HEADER.as_bytes()).unwrap();
        assert!(context.is_sampled);
        assert_eq!((context.trace_id[0], context.span_id[7]), (0x4b, 0xb7));
        assert_eq!(context.to_string(), HEADER);
        let unsampled = TraceContext::parse(HEADER.replace("-01", "-00").as_bytes()).unwrap();
        assert!(!unsampled.is_sampled && unsampled.to_string().ends_with("-00"));
    }

    #[test]
    fn what_is_no_header_is_ignored() {
        for bad in [
            "",
            "00-1-2-3",
            &HEADER[..54],
            &format!("{HEADER}-00"),
            &format!("{HEADER}0"),
            &HEADER.to_uppercase(),
            &HEADER.replacen("00", "ff", 1),
            &HEADER.replace('-', "_"),
            &HEADER.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &HEADER.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &HEADER.replace('b', "é"),
        ] {
            assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad}");
        }
        let later = format!("{}-and more", HEADER.replacen("00", "01", 1));
        assert!(TraceContext::parse(later.as_bytes()).is_some(), "a later version may have more");
    }

    #[test]
    fn of_a_records_headers_only_a_sampled_one_counts() {
        let headers = |value: &str| vec![("type", "x".to_owned()), (TRACEPARENT, value.to_owned())];
        assert!(TraceContext::sampled_of(&headers(HEADER)).is_some());
        assert!(TraceContext::sampled_of(&headers(&HEADER.replace("-01", "-00"))).is_none());
        assert!(TraceContext::sampled_of(&[]).is_none());
    }
}
