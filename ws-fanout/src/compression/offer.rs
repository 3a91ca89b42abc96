//! What a client offers (RFC 7692, section 7.1), and the answer.

use super::WINDOW_BITS;

const NAME: &str = "permessage-deflate";

/// The value of `Sec-WebSocket-Extensions` that accepts the first acceptable offer of the client's, if there is one.
pub(crate) fn accept<'a>(offers: impl Iterator<Item = &'a str>) -> Option<String> {
    let names_window = offers.flat_map(|value| value.split(',')).find_map(read)?;
    let window = if names_window { format!("; server_max_window_bits={WINDOW_BITS}") } else { String::new() };
    Some(format!("{NAME}; server_no_context_takeover; client_no_context_takeover{window}"))
}

/// `None` if this offer has to be declined; otherwise whether the answer has to name the server's window.
fn read(offer: &str) -> Option<bool> {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let mut seen: Vec<&str> = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (part, None),
        };
        let is_fine = match (name, value) {
            (
                "server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits",
                None,
            ) => true,
            // What the client compresses is read with the largest window anyway.
            ("client_max_window_bits", Some(value)) => bits(value).is_some(),
            ("server_max_window_bits", Some(value)) => bits(value)? >= WINDOW_BITS,
            _ => false,
        };
        if !is_fine || seen.contains(&name) {
            return None;
        }
        seen.push(name);
    }
    Some(seen.contains(&"server_max_window_bits"))
}

/// 8 to 15, without leading zeros, as a token or a quoted string.
fn bits(value: &str) -> Option<u8> {
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let is_plain = unquoted.bytes().all(|byte| byte.is_ascii_digit()) && !unquoted.starts_with('0');
    unquoted.parse().ok().filter(|bits| is_plain && (8..=15).contains(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    fn answer(offers: &[&str]) -> Option<String> {
        accept(offers.iter().copied())
    }

    #[test]
    fn what_clients_offer_is_accepted() {
        let browser = "permessage-deflate; client_max_window_bits";
        assert_eq!(answer(&[browser]).as_deref(), Some(PLAIN));
        assert_eq!(answer(&["Permessage-Deflate"]).as_deref(), Some(PLAIN));
        assert_eq!(answer(&[PLAIN]).as_deref(), Some(PLAIN));
        let python = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12";
        assert_eq!(answer(&[python]), Some(format!("{PLAIN}; server_max_window_bits=12")));
        let quoted = "permessage-deflate;server_max_window_bits=\"15\"";
        assert_eq!(answer(&[quoted]), Some(format!("{PLAIN}; server_max_window_bits=12")));
    }

    #[test]
    fn the_first_acceptable_offer_counts() {
        let offers = "x-other; a=b, permessage-deflate; server_max_window_bits=10, permessage-deflate";
        assert_eq!(answer(&[offers]).as_deref(), Some(PLAIN));
        assert_eq!(answer(&["x-other", "permessage-deflate"]).as_deref(), Some(PLAIN));
    }

    #[test]
    fn others_are_declined() {
        for offer in [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits=11",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=012",
            "permessage-deflate; server_max_window_bits=+12",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; unknown",
            "permessage-deflate;",
        ] {
            assert_eq!(answer(&[offer]), None, "{offer}");
        }
        assert_eq!(answer(&[]), None);
    }
}
