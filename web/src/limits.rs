//! How often an account, an address or a login name may ask for something. What goes beyond is
//! answered 429 `rate_limited` with the time to wait.
//!
//! Each limit is a bucket per key (GCRA): a rate, and a burst that may come at once. The counts are
//! those of this process: behind n processes a client may get up to n times as much.

mod address;
mod bucket;
mod commands;
mod layer;

pub use address::{Addresses, NotAProxy};
pub use commands::RateLimited;
pub use layer::limit;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use roomlog_schemas::AccountId;
use serde::{Deserialize, Serialize};

use self::bucket::{Buckets, Rate};
use crate::Problem;

/// What an operator can set. 0 is: no limit. A burst of twice the rate may come at once where the rate
/// is by second, of a minute's worth where it is by minute.
///
/// The defaults never trouble a person, nor a classroom behind one address, and stop a loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Commands a second of one account, over REST and sockets together.
    pub rate_commands: u32,
    /// Commands a second over REST from one address.
    pub rate_commands_address: u32,
    /// Queries a second of one account.
    pub rate_queries: u32,
    /// Queries a second from one address.
    pub rate_queries_address: u32,
    /// Log-ins a minute from one address, failed or not.
    pub rate_log_ins_address: u32,
    /// Log-ins a minute with one login name, failed or not, from wherever they come.
    pub rate_log_ins_name: u32,
    /// Registrations and claims of imported accounts a minute from one address.
    pub rate_registrations_address: u32,
    /// Sockets that one account opens a minute.
    pub rate_sockets: u32,
    /// Sockets that are opened a minute from one address.
    pub rate_sockets_address: u32,
    /// Reverse proxies, as addresses or networks separated by commas, whose `X-Forwarded-For` is
    /// believed. A request that comes from one of them without that header has no address to limit.
    pub trusted_proxies: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate_commands: 50,
            rate_commands_address: 500,
            rate_queries: 100,
            rate_queries_address: 1_000,
            rate_log_ins_address: 20,
            rate_log_ins_name: 20,
            rate_registrations_address: 20,
            rate_sockets: 60,
            rate_sockets_address: 1_200,
            trusted_proxies: "127.0.0.0/8, ::1".into(),
        }
    }
}

impl Limits {
    /// For tests, and where something before the process limits.
    pub fn none() -> Self {
        Self {
            rate_commands: 0,
            rate_commands_address: 0,
            rate_queries: 0,
            rate_queries_address: 0,
            rate_log_ins_address: 0,
            rate_log_ins_name: 0,
            rate_registrations_address: 0,
            rate_sockets: 0,
            rate_sockets_address: 0,
            ..Self::default()
        }
    }
}

/// Counts and refuses; cheap to clone, and all clones count together.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    addresses: Addresses,
    commands: Buckets<AccountId>,
    commands_address: Buckets<IpAddr>,
    queries: Buckets<AccountId>,
    queries_address: Buckets<IpAddr>,
    log_ins_address: Buckets<IpAddr>,
    log_ins_name: Buckets<str>,
    registrations_address: Buckets<IpAddr>,
    sockets: Buckets<AccountId>,
    sockets_address: Buckets<IpAddr>,
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Command,
    Query,
    LogIn,
    Registration,
    Socket,
}

impl Limiter {
    /// Fails if `trusted_proxies` cannot be read.
    pub fn new(limits: &Limits) -> Result<Self, NotAProxy> {
        let second = Rate::per_second;
        let minute = Rate::per_minute;
        Ok(Self(Arc::new(Inner {
            addresses: limits.trusted_proxies.parse()?,
            commands: Buckets::new("commands", second(limits.rate_commands)),
            commands_address: Buckets::new("commands_address", second(limits.rate_commands_address)),
            queries: Buckets::new("queries", second(limits.rate_queries)),
            queries_address: Buckets::new("queries_address", second(limits.rate_queries_address)),
            log_ins_address: Buckets::new("log_ins_address", minute(limits.rate_log_ins_address)),
            log_ins_name: Buckets::new("log_ins_name", minute(limits.rate_log_ins_name)),
            registrations_address: Buckets::new(
                "registrations_address",
                minute(limits.rate_registrations_address),
            ),
            sockets: Buckets::new("sockets", minute(limits.rate_sockets)),
            sockets_address: Buckets::new("sockets_address", minute(limits.rate_sockets_address)),
        })))
    }

    /// One that refuses nothing.
    pub fn none() -> Self {
        Self::new(&Limits::none()).expect("the default proxies can be read")
    }

    /// Counts something that this account asks for.
    pub fn account(&self, kind: Kind, account: AccountId) -> Result<(), Problem> {
        match kind {
            Kind::Command => self.0.commands.take(&account),
            Kind::Query => self.0.queries.take(&account),
            Kind::Socket => self.0.sockets.take(&account),
            Kind::LogIn | Kind::Registration => Ok(()),
        }
    }

    /// Counts something that is asked for from this address. Those of one IPv6 network of 64 bits count
    /// together.
    pub fn address(&self, kind: Kind, address: IpAddr) -> Result<(), Problem> {
        let address = address::network(address);
        match kind {
            Kind::Command => self.0.commands_address.take(&address),
            Kind::Query => self.0.queries_address.take(&address),
            Kind::LogIn => self.0.log_ins_address.take(&address),
            Kind::Registration => self.0.registrations_address.take(&address),
            Kind::Socket => self.0.sockets_address.take(&address),
        }
    }

    /// Counts an attempt to log in with this name, whether or not there is such an account. Only a keyed
    /// hash of the name is kept.
    pub fn login_name(&self, folded: &str) -> Result<(), Problem> {
        self.0.log_ins_name.take(folded)
    }

    /// Where a request comes from; `None` for one without an address to limit.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<IpAddr> {
        self.0.addresses.client(peer.ip(), headers)
    }
}

fn rate_limited(seconds: u32) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate_limited",
        "Too many requests of this kind; nothing was done.",
    )
    .retry_after(seconds)
}

#[cfg(test)]
mod tests;
