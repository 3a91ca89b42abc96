//! Which address a request comes from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Bits of an IPv6 address that stand for one client: a household has as many addresses as it likes.
const CLIENT_BITS: u128 = !0 << 64;

/// The reverse proxies that are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    proxies: Vec<IpNet>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as `10.0.0.0/8`")]
pub struct NotAProxy(String);

impl FromStr for Addresses {
    type Err = NotAProxy;

    /// Addresses and networks, separated by commas.
    fn from_str(text: &str) -> Result<Self, NotAProxy> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let network = |entry: &str| {
            let network = entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| NotAProxy(entry.to_owned()))
        };
        Ok(Self { proxies: entries.map(network).collect::<Result<_, _>>()? })
    }
}

impl Addresses {
    /// The peer; if that is a trusted proxy, the right-most address of `X-Forwarded-For` that is none:
    /// each proxy adds on the right whom it was asked by, and what stands further left is the client's
    /// own claim. `None` if only proxies are named: a limit on a proxy would be one on all its clients.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return Some(peer);
        }
        let values = headers.get_all(FORWARDED_FOR).into_iter().rev();
        let entries = values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        for entry in entries {
            // Behind something that cannot be read nothing can be believed.
            let address = parse(entry.trim())?;
            if !self.trusts(address) {
                return Some(address);
            }
        }
        None
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&address))
    }
}

/// An address, some proxies add a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// What counts as one client.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & CLIENT_BITS).into(),
        address => address,
    }
}
