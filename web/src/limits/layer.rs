//! Limits on requests over HTTP.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Kind;
use crate::auth::bearer;
use crate::{Auth, Problem};

/// A middleware around a role's routes. The address comes first: it costs nothing to look at, a token
/// does. The administrator, and so an import, has no limits. What a request is about is taken from its
/// route.
pub async fn limit(State(auth): State<Auth>, mut request: Request, next: Next) -> Response {
    match check(&auth, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn check(auth: &Auth, request: &mut Request) -> Result<(), Problem> {
    let token = bearer(request.headers()).ok();
    if token.is_some_and(|token| auth.is_administrator(token)) {
        return Ok(());
    }
    let kind = kind(request);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let client = peer.and_then(|peer| auth.limiter.client(peer, request.headers()));
    if let Some(address) = client {
        auth.limiter.address(kind, address)?;
    }
    // Without a valid token the handler says what is wrong, if it needs one at all. A socket's token may
    // be elsewhere: its handler counts.
    let Some(token) = token.filter(|_| kind != Kind::Socket) else { return Ok(()) };
    let Ok(who) = auth.authenticate(token).await else { return Ok(()) };
    auth.limiter.account(kind, who.account_id)?;
    request.extensions_mut().insert(who);
    Ok(())
}

fn kind(request: &Request) -> Kind {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match (request.method(), path) {
        (_, "/v1/stream") => Kind::Socket,
        (&Method::GET | &Method::HEAD, _) => Kind::Query,
        (&Method::POST, "/v1/sessions") => Kind::LogIn,
        (&Method::POST, "/v1/accounts" | "/v1/accounts/{account_id}/claim") => Kind::Registration,
        _ => Kind::Command,
    }
}
