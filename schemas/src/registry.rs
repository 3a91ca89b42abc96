//! Every schema version that this build knows, and those that a partition has announced.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use apache_avro::Schema;
use apache_avro::rabin::Rabin;

use crate::codec::CodecError;

/// Rabin fingerprint (CRC-64-AVRO) of a schema's canonical form, as single-object encoding uses it.
pub type Fingerprint = u64;

/// One version of one schema.
#[derive(Debug)]
pub struct Version {
    /// The event's name, or `command_record`.
    pub name: String,
    pub schema: Schema,
    pub fingerprint: Fingerprint,
    /// The schema as it is announced.
    pub json: String,
}

impl Version {
    fn parse(name: &str, json: &str) -> Result<Self, CodecError> {
        let schema = Schema::parse_str(json).map_err(CodecError::Schema)?;
        let fingerprint = u64::from_le_bytes(
            schema.fingerprint::<Rabin>().bytes.try_into().map_err(|_| CodecError::NotSingleObject)?,
        );
        Ok(Self { name: name.to_owned(), schema, fingerprint, json: json.to_owned() })
    }
}

macro_rules! schemas {
    ($($name:literal: [$($version:literal),+]),+ $(,)?) => {
        /// Name and JSON of every version ever written, oldest first.
        pub const COMMITTED: &[(&str, &str)] = &[
            $($(($name, include_str!(concat!("../avro/", $name, "/", $version, ".avsc"))),)+)+
        ];
    };
}

schemas! {
    "command_record": ["v1"],
    "account_registered": ["v1"],
    "account_claimed": ["v1"],
    "room_created": ["v1"],
    "member_joined": ["v1"],
    "member_left": ["v1"],
    "message_sent": ["v1"],
    "import_noted": ["v1"],
    "session_ended": ["v1"],
    "role_set": ["v1"],
    "role_defined": ["v1"],
    "role_removed": ["v1"],
    "override_set": ["v1"],
}

/// The schemas that this build knows.
pub struct Registry {
    versions: HashMap<Fingerprint, Arc<Version>>,
    latest: HashMap<&'static str, Arc<Version>>,
}

impl Registry {
    pub fn known() -> &'static Registry {
        static KNOWN: OnceLock<Registry> = OnceLock::new();
        KNOWN.get_or_init(|| {
            let mut versions = HashMap::new();
            let mut latest = HashMap::new();
            for (name, json) in COMMITTED {
                let version = Arc::new(Version::parse(name, json).expect("committed schemas parse: tested"));
                versions.insert(version.fingerprint, version.clone());
                latest.insert(*name, version);
            }
            #[cfg(feature = "chaos-next-build")]
            if crate::next_build::is_on() {
                use crate::next_build::{NEW_NAME, OLD_NAME, schema};
                let json = schema(&latest[OLD_NAME].json);
                let version =
                    Arc::new(Version::parse(NEW_NAME, &json).expect("it is a committed one: tested"));
                versions.insert(version.fingerprint, version);
            }
            Registry { versions, latest }
        })
    }

    pub fn version(&self, fingerprint: Fingerprint) -> Option<&Arc<Version>> {
        self.versions.get(&fingerprint)
    }

    /// A version of this name, if this process knows any.
    #[cfg(feature = "chaos-next-build")]
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Version>> {
        self.versions.values().find(|version| version.name == name)
    }

    /// The version that this build writes.
    pub fn latest(&self, name: &str) -> Option<&Arc<Version>> {
        self.latest.get(name)
    }
}

/// The schemas announced in one partition so far: replayed state, never a process's memory.
#[derive(Debug, Clone, Default)]
pub struct Announced {
    versions: Arc<Vec<Arc<Version>>>,
}

impl Announced {
    /// From the stored form of a cursor.
    pub fn from_json<'a>(schemas: impl IntoIterator<Item = &'a str>) -> Result<Self, CodecError> {
        let mut announced = Self::default();
        for json in schemas {
            announced.add(json)?;
        }
        Ok(announced)
    }

    /// Adds an announced schema; `Ok(None)` if it was announced before.
    pub fn add(&mut self, json: &str) -> Result<Option<Fingerprint>, CodecError> {
        let schema: serde_json::Value =
            serde_json::from_str(json).map_err(|_| CodecError::NotSingleObject)?;
        let name = snake_case(schema["name"].as_str().unwrap_or_default());
        let version = Version::parse(&name, json)?;
        let fingerprint = version.fingerprint;
        if self.contains(fingerprint) {
            return Ok(None);
        }
        Arc::make_mut(&mut self.versions).push(Arc::new(version));
        Ok(Some(fingerprint))
    }

    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.version(fingerprint).is_some()
    }

    pub fn version(&self, fingerprint: Fingerprint) -> Option<&Arc<Version>> {
        self.versions.iter().find(|version| version.fingerprint == fingerprint)
    }

    /// The stored form, in the order of announcement.
    pub fn to_json(&self) -> Vec<String> {
        self.versions.iter().map(|version| version.json.clone()).collect()
    }
}

/// `MessageSent` → `message_sent`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
