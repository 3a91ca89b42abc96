//! Who is asking. A handler without one of these in its signature is open to everybody.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use roomlog_schemas::{AccountId, SessionId};

use crate::Problem;
use crate::ended::EndedSessions;
use crate::limits::Limiter;
use crate::token::{Claims, TokenError, Tokens};

/// What is needed to tell who is asking; part of every role's state.
#[derive(Clone)]
pub struct Auth {
    pub tokens: Tokens,
    pub limiter: Limiter,
    /// Sessions whose access tokens are refused although they have not expired.
    pub ended: EndedSessions,
    /// BLAKE3 of the administrator's token.
    administrator: Arc<[u8; 32]>,
}

impl Auth {
    /// Without limits on how often anyone asks; of sessions that ended it knows none.
    pub fn new(tokens: Tokens, administrator_token: &str) -> Self {
        let administrator = Arc::new(*blake3::hash(administrator_token.as_bytes()).as_bytes());
        Self { tokens, limiter: Limiter::none(), ended: EndedSessions::default(), administrator }
    }

    #[must_use]
    pub fn limited(self, limiter: Limiter) -> Self {
        Self { limiter, ..self }
    }

    #[must_use]
    pub fn refusing(self, ended: EndedSessions) -> Self {
        Self { ended, ..self }
    }

    /// Verifies an access token, from whatever place it came, with the keys that this process knows.
    pub fn verify(&self, token: &str) -> Result<Authenticated, Problem> {
        self.unless_ended(self.tokens.verify(token).map_err(refused)?.into())
    }

    /// As [`verify`](Self::verify); where the key is unknown, the keys are read anew first.
    pub async fn authenticate(&self, token: &str) -> Result<Authenticated, Problem> {
        self.unless_ended(self.read(token).await?)
    }

    /// Of whichever session, also one that has ended.
    async fn read(&self, token: &str) -> Result<Authenticated, Problem> {
        self.tokens.verify_anew(token).await.map(Authenticated::from).map_err(refused)
    }

    fn unless_ended(&self, who: Authenticated) -> Result<Authenticated, Problem> {
        if self.ended.contains(who.session_id) { Err(Problem::session_ended()) } else { Ok(who) }
    }

    pub(crate) fn is_administrator(&self, token: &str) -> bool {
        // Comparing hashes tells nothing about the token.
        blake3::hash(token.as_bytes()) == blake3::Hash::from_bytes(*self.administrator)
    }
}

fn refused(error: TokenError) -> Problem {
    match error {
        TokenError::Expired => Problem {
            code: "token_expired".into(),
            ..Problem::unauthorized("The access token has expired: refresh it.")
        },
        TokenError::Invalid(_) | TokenError::UnknownKey => Problem {
            code: "token_invalid".into(),
            ..Problem::unauthorized("The access token is not valid.")
        },
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

impl From<Claims> for Authenticated {
    fn from(claims: Claims) -> Self {
        Self { account_id: claims.sub, session_id: claims.sid, expires_at: claims.exp }
    }
}

impl<S> FromRequestParts<S> for Authenticated
where
    S: Send + Sync,
    Auth: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Whoever was asked before, for the limits, is not asked again.
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(*known);
        }
        Auth::from_ref(state).authenticate(bearer(&parts.headers)?).await
    }
}

/// An account with an access token that has not expired, also where its session has ended: for logging
/// out, which can be repeated. Whatever else it asks for is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedOutOrIn(pub Authenticated);

impl<S> FromRequestParts<S> for LoggedOutOrIn
where
    S: Send + Sync,
    Auth: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Authenticated>() {
            return Ok(Self(*known));
        }
        Auth::from_ref(state).read(bearer(&parts.headers)?).await.map(Self)
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
        let token = bearer(&parts.headers)?;
        if auth.is_administrator(token) {
            return Ok(Self);
        }
        auth.authenticate(token).await?;
        Err(Problem::forbidden("administrator_only", "Only the platform's administrator may do this."))
    }
}

/// The token of the header `Authorization`.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| Problem::unauthorized("Send an access token as `Authorization: Bearer …`."))
}
