//! `GET /v1/stream`: checks the request and makes it a socket.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures::FutureExt;
use hyper::upgrade::OnUpgrade;
use roomlog_web::limits::Kind;
use roomlog_web::{Authenticated, Problem};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::hub::Hub;
use crate::opening::{self, Place};
use crate::partition::Partition;
use crate::protocol::{BEARER_PREFIX, SUBPROTOCOL};
use crate::socket::Socket;
use crate::{compression, handle, origin};

/// Parameters that somebody may mistake for a place for a token.
const TOKEN_PARAMETERS: [&str; 6] = ["access_token", "token", "bearer", "authorization", "auth", "jwt"];
/// 16 bytes in base64.
const KEY_LEN: usize = 24;

pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new().route("/v1/stream", any(stream)).with_state(hub)
}

async fn stream(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let upgraded = parts.extensions.remove::<OnUpgrade>();
    match upgrade(hub, &parts, upgraded).boxed().await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

/// A problem, and what its answer has to say besides.
struct Refused {
    problem: Problem,
    header: Option<(HeaderName, &'static str)>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { problem, header: None }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.problem.into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

async fn upgrade(hub: Arc<Hub>, request: &Parts, upgraded: Option<OnUpgrade>) -> Result<Response, Refused> {
    let headers = &request.headers;
    let accept = check_handshake(request)?;
    check_query(request.uri.query().unwrap_or_default())?;
    check_origin(headers, &hub.options.origins)?;
    let who = authenticate(&hub, headers).await?;
    hub.deps.auth.limiter.account(Kind::Socket, who.account_id)?;
    let upgraded = upgraded.ok_or_else(upgrade_required)?;
    if !is_started(&hub) {
        return Err(opening::not_caught_up().into());
    }
    let place = Place::take(&hub, who)?;
    let opened = opening::open(place).await?;
    let extensions = compression(headers, &hub);
    let takes_compressed = extensions.is_some();

    hub.clone().tasks.spawn(async move {
        // A client that vanishes now has not become a socket.
        if let Ok(upgraded) = upgraded.await {
            Box::pin(Socket::run(hub, upgraded, opened, who, takes_compressed)).await;
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    if let Some(extensions) = extensions {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, extensions);
    }
    Ok(response)
}

/// What is answered to the extensions that the client offers, if one is taken.
fn compression(headers: &HeaderMap, hub: &Hub) -> Option<HeaderValue> {
    hub.options.compress_from?;
    let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).into_iter();
    let accepted = compression::accept(offers.filter_map(|value| value.to_str().ok()))?;
    HeaderValue::try_from(accepted).ok()
}

/// Whether the service runs, and every tail that is to run always has caught up.
fn is_started(hub: &Hub) -> bool {
    let has_caught_up = |partition: &Arc<Partition>| {
        let progress = partition.progress();
        progress.is_caught_up || matches!(progress.state, handle::State::Stopped { .. })
    };
    hub.is_running() && (!hub.options.tail_all || hub.partitions().all(has_caught_up))
}

/// RFC 6455, section 4.2.1; the answer is the value of `Sec-WebSocket-Accept`.
fn check_handshake(request: &Parts) -> Result<HeaderValue, Refused> {
    let headers = &request.headers;
    if request.method != Method::GET {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "The stream is opened with GET.",
        )
        .into());
    }
    let upgrades =
        has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket");
    if !upgrades || request.version != Version::HTTP_11 {
        return Err(upgrade_required());
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let problem = Problem::new(
            StatusCode::UPGRADE_REQUIRED,
            "websocket_version_not_supported",
            "The stream speaks version 13 of WebSocket.",
        );
        return Err(Refused { problem, header: Some((header::SEC_WEBSOCKET_VERSION, "13")) });
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_LEN);
    let accept = key.and_then(|key| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok());
    let accept = accept.ok_or_else(|| {
        Problem::bad_request("websocket_key_missing", "`Sec-WebSocket-Key` has to be 16 bytes in base64.")
    })?;
    if !subprotocols(headers).any(|offered| offered == SUBPROTOCOL) {
        return Err(Problem::bad_request(
            "subprotocol_required",
            format!("Offer the subprotocol `{SUBPROTOCOL}`."),
        )
        .into());
    }
    Ok(accept)
}

fn upgrade_required() -> Refused {
    let problem = Problem::new(
        StatusCode::UPGRADE_REQUIRED,
        "upgrade_required",
        "The stream is a WebSocket over HTTP/1.1.",
    );
    Refused { problem, header: Some((header::UPGRADE, "websocket")) }
}

/// Addresses end up in logs: a token must not be in one.
fn check_query(query: &str) -> Result<(), Problem> {
    let has_token = query.split('&').any(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        TOKEN_PARAMETERS.iter().any(|token| name.eq_ignore_ascii_case(token))
    });
    if has_token {
        return Err(Problem::bad_request("token_in_query", "A token does not belong in the address.")
            .detail("Send it as `Authorization: Bearer …`, or as a subprotocol `bearer.…`."));
    }
    Ok(())
}

fn check_origin(headers: &HeaderMap, listed: &[String]) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if origin.to_str().is_ok_and(|origin| origin::is_allowed(origin, host, listed)) {
        return Ok(());
    }
    Err(Problem::forbidden("origin_not_allowed", "Pages of this origin may not open the stream."))
}

async fn authenticate(hub: &Hub, headers: &HeaderMap) -> Result<Authenticated, Problem> {
    let header = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let token =
        header.or_else(|| subprotocols(headers).find_map(|offered| offered.strip_prefix(BEARER_PREFIX)));
    let token = token.ok_or_else(|| {
        Problem::unauthorized(
            "Send an access token as `Authorization: Bearer …` or as a subprotocol `bearer.…`.",
        )
    })?;
    hub.deps.auth.authenticate(token).await
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    list(headers, header::SEC_WEBSOCKET_PROTOCOL)
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    list(headers, name).any(|entry| entry.eq_ignore_ascii_case(token))
}

/// The entries of a header that is a list.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(str::trim))
}
