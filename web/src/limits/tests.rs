use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{any, get, post};
use governor::clock::FakeRelativeClock;
use roomlog_schemas::{IdempotencyKey, RoomId, SessionId};
use tower::ServiceExt;

use super::*;
use crate::Auth;
use crate::commands::{Answer, ClientCommand, Commands};
use crate::token::{LIFETIME, Tokens};

const ANN: AccountId = AccountId::from_u128(1);
const BOB: AccountId = AccountId::from_u128(2);

fn buckets(rate: Rate, max_keys: usize) -> (Buckets<u32, FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Buckets::with("test", rate, clock.clone(), max_keys), clock)
}

/// How many of a thousand at once get through.
fn burst(buckets: &Buckets<u32, FakeRelativeClock>, key: u32) -> usize {
    (0..1_000).filter(|_| buckets.take(&key).is_ok()).count()
}

#[test]
fn a_bucket_holds_a_burst_and_fills_at_its_rate() {
    let (buckets, clock) = buckets(Rate::per_second(50), 100);
    assert_eq!((burst(&buckets, 1), burst(&buckets, 2)), (100, 100), "each key has its own");
    clock.advance(Duration::from_secs(1));
    assert_eq!(burst(&buckets, 1), 50);
    clock.advance(Duration::from_secs(60));
    assert_eq!(burst(&buckets, 1), 100, "no more than the burst");
}

#[test]
fn whoever_waits_as_long_as_it_is_told_succeeds() {
    let (buckets, clock) = buckets(Rate::per_minute(20), 100);
    assert_eq!(burst(&buckets, 1), 20);
    for _ in 0..5 {
        let problem = buckets.take(&1).unwrap_err();
        assert_eq!((problem.status, problem.code.as_str()), (429, "rate_limited"));
        assert_eq!(problem.retry_after, Some(3), "whole seconds");
        clock.advance(Duration::from_secs(3));
        assert!(buckets.take(&1).is_ok());
    }
    clock.advance(Duration::from_millis(100));
    assert_eq!(buckets.take(&1).unwrap_err().retry_after, Some(3), "2.9 are rounded up");
}

#[test]
fn zero_is_no_limit() {
    for rate in [Rate::per_second(0), Rate::per_minute(0)] {
        assert_eq!(burst(&buckets(rate, 100).0, 1), 1_000);
    }
}

#[test]
fn memory_is_bounded_and_given_back() {
    let (buckets, clock) = buckets(Rate::per_minute(2), 1_000);
    for key in 0..20_000 {
        let _ = buckets.take(&key);
    }
    assert!(buckets.keys() <= 1_000 + 4_096, "{}", buckets.keys());
    assert!((0..20_000).filter(|key| buckets.take(key).is_ok()).count() < 20_000, "still limited");
    clock.advance(Duration::from_secs(120));
    assert!(buckets.take(&1).is_ok());
    assert_eq!(buckets.keys(), 1, "buckets that are full again are removed");
}

fn headers(values: &[&str]) -> HeaderMap {
    let name = HeaderName::from_static("x-forwarded-for");
    values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

#[test]
fn the_address_is_the_nearest_one_that_is_not_believed() {
    let addresses: Addresses = "10.0.0.0/8, 192.0.2.1, 2001:db8:1::/48".parse().unwrap();
    let client = |peer: &str, forwarded: &[&str]| {
        addresses.client(peer.parse().unwrap(), &headers(forwarded)).map(|address| address.to_string())
    };
    let is = |address: &str| Some(address.to_owned());
    // Whoever is no proxy may claim what it likes.
    assert_eq!(client("198.51.100.7", &["203.0.113.9"]), is("198.51.100.7"));
    assert_eq!(client("192.0.2.1", &["203.0.113.9"]), is("203.0.113.9"));
    assert_eq!(client("192.0.2.1", &["1.2.3.4, 203.0.113.9"]), is("203.0.113.9"));
    assert_eq!(client("10.1.1.1", &["1.2.3.4, 203.0.113.9,10.2.2.2"]), is("203.0.113.9"));
    assert_eq!(client("10.1.1.1", &["1.2.3.4", "203.0.113.9", "10.2.2.2, 192.0.2.1"]), is("203.0.113.9"));
    assert_eq!(client("2001:db8:1::5", &["2001:db8:2::7"]), is("2001:db8:2::7"));
    assert_eq!(client("::ffff:10.1.1.1", &["203.0.113.9:4711"]), is("203.0.113.9"), "IPv4 in IPv6");
    assert_eq!(client("10.1.1.1", &["[2001:db8:2::7]:443"]), is("2001:db8:2::7"));
    assert_eq!(client("10.1.1.1", &["[2001:db8:2::7]"]), is("2001:db8:2::7"));
    // Nobody but proxies, or nothing that can be believed.
    assert_eq!(client("10.1.1.1", &[]), None);
    assert_eq!(client("10.1.1.1", &["10.2.2.2"]), None);
    assert_eq!(client("10.1.1.1", &["203.0.113.9, unknown"]), None);
    assert!("10.0.0.0/8, proxy.example".parse::<Addresses>().is_err());
    assert_eq!("".parse(), Ok(Addresses::default()));
}

#[test]
fn an_ipv6_network_is_one_client() {
    let limits = Limits { rate_log_ins_address: 5, ..Limits::none() };
    let limiter = Limiter::new(&limits).unwrap();
    let log_ins = |network: &str| {
        let address = |n| format!("{network}:{n:x}").parse().unwrap();
        (1..100).filter(|n| limiter.address(Kind::LogIn, address(*n)).is_ok()).count()
    };
    assert_eq!(log_ins("2001:db8:0:1:"), 5);
    assert_eq!(log_ins("2001:db8:0:1:ffff:"), 0);
    assert_eq!(log_ins("2001:db8:0:2:"), 5);
}

#[test]
fn a_login_name_has_its_limit_from_wherever_it_is_tried() {
    let limiter = Limiter::new(&Limits { rate_log_ins_name: 3, ..Limits::none() }).unwrap();
    assert_eq!((0..10).filter(|_| limiter.login_name("ada").is_ok()).count(), 3);
    assert!(limiter.login_name("bob").is_ok());
}

struct Counting(AtomicUsize);

#[async_trait]
impl Commands for Counting {
    async fn run(
        &self,
        _: AccountId,
        _: Option<IdempotencyKey>,
        _: ClientCommand,
    ) -> Result<Answer, Problem> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(Problem::room_not_found())
    }
}

#[tokio::test]
async fn commands_on_a_socket_count_with_those_over_rest() {
    let limiter = Limiter::new(&Limits { rate_commands: 5, ..Limits::none() }).unwrap();
    let inner = Arc::new(Counting(AtomicUsize::new(0)));
    let commands = RateLimited::new(inner.clone(), limiter.clone());
    limiter.account(Kind::Command, ANN).unwrap();
    let started = Instant::now();
    let mut refused = 0;
    for _ in 0..20 {
        let command = ClientCommand::JoinRoom { room_id: RoomId::from_u128(1) };
        let problem = commands.run(ANN, None, command).await.unwrap_err();
        if problem.code == "rate_limited" {
            assert_eq!(problem.retry_after, Some(1));
            refused += 1;
        }
    }
    let count = inner.0.load(Ordering::SeqCst);
    Passed { count, elapsed: started.elapsed() }.check(9, 5.0);
    assert_eq!(count + refused, 20);
    let command = ClientCommand::JoinRoom { room_id: RoomId::from_u128(1) };
    assert_eq!(commands.run(BOB, None, command).await.unwrap_err().code, "room_not_found");
}

/// Routes as the roles have them, behind the middleware.
struct Site {
    router: Router,
    auth: Auth,
    started: Instant,
}

/// How many got through, and how many more may have because the machine was slow.
struct Passed {
    count: usize,
    elapsed: Duration,
}

impl Passed {
    /// As many as a bucket held, and those by which it filled meanwhile.
    #[track_caller]
    fn check(&self, held: usize, per_second: f64) {
        let filled = (self.elapsed.as_secs_f64() * per_second).ceil() as usize;
        assert!((held..=held + filled).contains(&self.count), "{}, not {held} and {filled}", self.count);
    }
}

impl Site {
    fn new(limits: &Limits) -> Self {
        let auth = Auth::new(Tokens::new(&[1; 32]), "the administrator's token")
            .limited(Limiter::new(limits).unwrap());
        let router = Router::new()
            .route("/v1/sessions", post(async || "logged in"))
            .route("/v1/accounts", post(async || "registered"))
            .route("/v1/accounts/{account_id}/claim", post(async || "claimed"))
            .route("/v1/rooms", get(async || "rooms").post(async || "made"))
            .route("/v1/imports/{source}/lines", post(async || "imported"))
            .route("/v1/stream", any(async || "socket"))
            .layer(from_fn_with_state(auth.clone(), limit));
        Self { router, auth, started: Instant::now() }
    }

    async fn ask(&self, method: Method, path: &str, peer: &str, token: Option<&str>) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut request = request.body(Body::empty()).unwrap();
        let peer: SocketAddr = format!("{peer}:4711").parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Asks thirty times at once.
    async fn burst(&self, method: Method, path: &str, peer: &str, token: Option<&str>) -> Passed {
        let mut count = 0;
        for _ in 0..30 {
            let response = self.ask(method.clone(), path, peer, token).await;
            match response.status() {
                StatusCode::OK => count += 1,
                status => {
                    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
                    let wait = response.headers()["retry-after"].to_str().unwrap();
                    assert!((1..=60).contains(&wait.parse().unwrap()), "{wait}");
                }
            }
        }
        Passed { count, elapsed: self.started.elapsed() }
    }

    fn token(&self, account: AccountId) -> String {
        self.auth.tokens.issue(account, SessionId::from_u128(3), LIFETIME)
    }
}

#[tokio::test]
async fn each_kind_of_request_has_its_limits() {
    // By second a burst is twice the rate.
    let site = Site::new(&Limits {
        rate_commands: 2,
        rate_commands_address: 4,
        rate_queries: 5,
        rate_queries_address: 6,
        rate_log_ins_address: 3,
        rate_registrations_address: 7,
        rate_sockets_address: 9,
        ..Limits::none()
    });
    let (ann, bob) = (site.token(ANN), site.token(BOB));
    let (here, there) = ("203.0.113.1", "203.0.113.2");
    site.burst(Method::POST, "/v1/sessions", here, None).await.check(3, 3.0 / 60.0);
    site.burst(Method::POST, "/v1/sessions", there, None).await.check(3, 3.0 / 60.0);
    let old_token = Some("garbage");
    site.burst(Method::POST, "/v1/sessions", "203.0.113.3", old_token).await.check(3, 3.0 / 60.0);
    site.burst(Method::POST, "/v1/accounts", here, None).await.check(7, 7.0 / 60.0);
    site.burst(Method::POST, "/v1/accounts/7/claim", here, None).await.check(0, 7.0 / 60.0);
    site.burst(Method::POST, "/v1/rooms", here, Some(&ann)).await.check(4, 2.0);
    site.burst(Method::POST, "/v1/rooms", there, Some(&ann)).await.check(0, 2.0);
    site.burst(Method::POST, "/v1/rooms", "203.0.113.4", Some(&bob)).await.check(4, 2.0);
    site.burst(Method::POST, "/v1/rooms", "203.0.113.5", None).await.check(8, 4.0);
    site.burst(Method::GET, "/v1/rooms", here, Some(&ann)).await.check(10, 5.0);
    site.burst(Method::GET, "/v1/rooms", "203.0.113.6", None).await.check(12, 6.0);
    site.burst(Method::GET, "/v1/stream", here, Some(&ann)).await.check(9, 9.0 / 60.0);
}

#[tokio::test]
async fn the_administrator_has_no_limits_and_nobody_passes_for_it() {
    let site = Site::new(&Limits { rate_commands: 1, rate_commands_address: 1, ..Limits::none() });
    let (import, here) = ("/v1/imports/forum/lines", "203.0.113.1");
    site.burst(Method::POST, import, here, Some("the administrator's token")).await.check(30, 0.0);
    site.burst(Method::POST, import, here, Some("another token")).await.check(2, 1.0);
    site.burst(Method::POST, "/v1/rooms", here, Some("the administrator's token")).await.check(30, 0.0);
}

#[tokio::test]
async fn clients_on_the_same_machine_have_no_address_to_limit() {
    let site = Site::new(&Limits { rate_log_ins_address: 3, rate_commands: 2, ..Limits::none() });
    for peer in ["127.0.0.1", "[::1]"] {
        site.burst(Method::POST, "/v1/sessions", peer, None).await.check(30, 0.0);
    }
    let ann = site.token(ANN);
    site.burst(Method::POST, "/v1/rooms", "127.0.0.1", Some(&ann)).await.check(4, 2.0);
}

#[test]
fn the_defaults_can_be_read_and_overridden_one_by_one() {
    let limits: Limits = serde_json::from_str(r#"{"rate_commands": 0}"#).unwrap();
    assert_eq!(limits, Limits { rate_commands: 0, ..Limits::default() });
    assert!(Limiter::new(&limits).is_ok());
    assert!(Limiter::new(&Limits { trusted_proxies: "nonsense".into(), ..limits }).is_err());
}
