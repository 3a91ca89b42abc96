//! Which web pages may open the stream.

/// Whether a page of this origin may connect: one of the host that the request was sent to, or a
/// listed one. Browsers always send the header; other clients need not.
pub(crate) fn is_allowed(origin: &str, host: Option<&str>, listed: &[String]) -> bool {
    let origin = normal(origin);
    if listed.iter().any(|allowed| allowed == "*" || normal(allowed) == origin) {
        return true;
    }
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |authority: &str| authority.strip_suffix(default_port).unwrap_or(authority).to_owned();
    host.is_some_and(|host| !host.is_empty() && bare(&host.to_ascii_lowercase()) == bare(authority))
}

fn normal(origin: &str) -> String {
    origin.trim_end_matches('/').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_host_is_allowed_whatever_the_scheme() {
        for (origin, host) in [
            ("http://localhost:8080", "localhost:8080"),
            ("https://Chat.Example", "chat.example"),
            ("https://chat.example", "chat.example:443"),
            ("http://chat.example:80", "chat.example"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert!(is_allowed(origin, Some(host), &[]), "{origin} {host}");
        }
        for (origin, host) in [
            ("http://localhost:8081", "localhost:8080"),
            ("https://chat.example.evil.test", "chat.example"),
            ("https://evil.test", "chat.example"),
            ("http://chat.example:443", "chat.example"),
            ("null", "chat.example"),
            ("", ""),
            ("http://", ""),
            ("chat.example", "chat.example"),
            ("file://chat.example", "chat.example"),
        ] {
            assert!(!is_allowed(origin, Some(host), &[]), "{origin} {host}");
        }
        assert!(!is_allowed("http://chat.example", None, &[]));
    }

    #[test]
    fn listed_origins_are_allowed() {
        let listed = ["https://app.example/".to_owned()];
        assert!(is_allowed("https://app.example", Some("api.example"), &listed));
        assert!(!is_allowed("http://app.example", Some("api.example"), &listed));
        assert!(is_allowed("https://any.test", Some("api.example"), &["*".to_owned()]));
    }
}
