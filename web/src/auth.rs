//! Who is asking. A handler without one of these in its signature is open to everybody.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use roomlog_schemas::{AccountId, SessionId};

use crate::Problem;
use crate::token::{TokenError, Tokens};

/// What is needed to tell who is asking; part of every role's state.
#[derive(Clone)]
pub struct Auth {
    pub tokens: Tokens,
    /// BLAKE3 of the administrator's token.
    administrator: Arc<[u8; 32]>,
}

impl Auth {
    pub fn new(tokens: Tokens, administrator_token: &str) -> Self {
        Self { tokens, administrator: Arc::new(*blake3::hash(administrator_token.as_bytes()).as_bytes()) }
    }

    /// Verifies an access token, from whatever place it came.
    pub fn verify(&self, token: &str) -> Result<Authenticated, Problem> {
        let claims = self.tokens.verify(token).map_err(|error| match error {
            TokenError::Expired => Problem {
                code: "token_expired".into(),
                ..Problem::unauthorized("The access token has expired: refresh it.")
            },
            TokenError::Invalid(_) => Problem {
                code: "token_invalid".into(),
                ..Problem::unauthorized("The access token is not valid.")
            },
        })?;
        Ok(Authenticated { account_id: claims.sub, session_id: claims.sid, expires_at: claims.exp })
    }

    fn is_administrator(&self, token: &str) -> bool {
        // Comparing hashes tells nothing about the token.
        blake3::hash(token.as_bytes()) == blake3::Hash::from_bytes(*self.administrator)
    }
}

/// An account with a valid access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authenticated {
    pub account_id: AccountId,
    pub session_id: SessionId,
    /// Seconds since 1970.
    pub expires_at: u64,
}

impl<S> FromRequestParts<S> for Authenticated
where
    S: Send + Sync,
    Auth: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Auth::from_ref(state).verify(bearer(parts)?)
    }
}

/// The operator of the platform, by the administrator's token.
#[derive(Debug, Clone, Copy)]
pub struct Administrator;

impl<S> FromRequestParts<S> for Administrator
where
    S: Send + Sync,
    Auth: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let auth = Auth::from_ref(state);
        let token = bearer(parts)?;
        if auth.is_administrator(token) {
            return Ok(Self);
        }
        auth.verify(token)?;
        Err(Problem::forbidden("administrator_only", "Only the platform's administrator may do this."))
    }
}

fn bearer(parts: &Parts) -> Result<&str, Problem> {
    parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| Problem::unauthorized("Send an access token as `Authorization: Bearer …`."))
}
