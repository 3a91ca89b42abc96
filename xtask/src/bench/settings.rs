//! The environment that the platform under test gets.

use super::kind::Kind;
use crate::platform::RATES;

pub type Settings = Vec<(String, String)>;

/// They still work, but nobody goes past them.
const LIFTED: &str = "1000000";

/// For a platform that has nothing yet. `of_servers` are the settings that lead it to its servers; what it keeps on them
/// is called after `number`, so that several can be there one after the other.
pub fn settings(kind: Kind, of_servers: Settings, number: usize, partitions: Option<usize>) -> Settings {
    let mut settings = of_servers;
    let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
    set("ROOMLOG_LOG_LEVEL", "warn".to_owned());
    for rate in RATES {
        set(rate, LIFTED.to_owned());
    }
    if kind != Kind::Embedded {
        set("ROOMLOG_KAFKA_TOPIC_PREFIX", topic_prefix(number));
    }
    if kind == Kind::Distributed {
        set("ROOMLOG_CQL_KEYSPACE", format!("bench_{number}"));
        set("ROOMLOG_POSTGRES_DIRECTORY_SCHEMA", format!("bench_{number}_directory"));
        set("ROOMLOG_POSTGRES_SECRETS_SCHEMA", format!("bench_{number}_secrets"));
        set("ROOMLOG_POSTGRES_QUARANTINE_SCHEMA", format!("bench_{number}_quarantine"));
    }
    if let Some(partitions) = partitions {
        set("ROOMLOG_PARTITIONS_ROOMS", partitions.to_string());
    }
    settings
}

/// Of the log of the `number`th platform or comparison.
pub fn topic_prefix(number: usize) -> String {
    format!("bench-{number}-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(settings: &'a [(String, String)], name: &str) -> Option<&'a str> {
        // The last one counts.
        settings.iter().rev().find(|(set, _)| set == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn every_limit_of_rates_that_is_documented_is_lifted() {
        let documented = include_str!("../../../docs/CONFIGURATION.md");
        let documented: Vec<&str> = documented
            .split('`')
            .filter(|name| name.starts_with("ROOMLOG_RATE_") && *name != "ROOMLOG_RATE_…")
            .collect();
        let settings = settings(Kind::Embedded, Settings::new(), 1, None);
        assert!(documented.len() >= RATES.len());
        for name in documented {
            assert_eq!(value(&settings, name), Some(LIFTED), "{name}");
        }
    }

    #[test]
    fn platforms_on_the_same_servers_share_nothing() {
        let of_servers = || vec![("ROOMLOG_CQL_KEYSPACE".to_owned(), "roomlog".to_owned())];
        let (one, other) = (
            settings(Kind::Distributed, of_servers(), 1, None),
            settings(Kind::Distributed, of_servers(), 2, Some(64)),
        );
        for name in [
            "ROOMLOG_KAFKA_TOPIC_PREFIX",
            "ROOMLOG_CQL_KEYSPACE",
            "ROOMLOG_POSTGRES_DIRECTORY_SCHEMA",
            "ROOMLOG_POSTGRES_SECRETS_SCHEMA",
            "ROOMLOG_POSTGRES_QUARANTINE_SCHEMA",
        ] {
            assert!(value(&one, name).is_some() && value(&one, name) != value(&other, name), "{name}");
        }
        assert_eq!(value(&one, "ROOMLOG_PARTITIONS_ROOMS"), None);
        assert_eq!(value(&other, "ROOMLOG_PARTITIONS_ROOMS"), Some("64"));
    }
}
