//! The room store's suite on CQL, and what is CQL's own. Skipped without `ROOMLOG_TEST_CQL`.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

mod backends;

use backends::Cql;
use roomlog_stores::room_store_conformance;

room_store_conformance!(conformance, Cql::new());
