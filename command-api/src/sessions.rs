//! Log-in: access tokens of 15 minutes and refresh tokens that are exchanged at each use. An old
//! refresh token that comes again was stolen, or its answer was lost: the session ends either way.
//!
//! A session ends in two steps. The secrets store revokes it: from then on its refresh token is good
//! for nothing, no socket opens with it, and its access tokens are refused: at once by this process,
//! within a second or so by the others ([`EndedSessions`]). Then the log says so, which closes its open
//! sockets, wherever they are.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roomlog_domain::{Command, Context};
use roomlog_eventlog::Topic;
use roomlog_schemas::{AccountId, IdKey, SessionId};
use roomlog_stores::SecretsStore;
use roomlog_stores::secrets::{Rotation, Session};
use roomlog_web::token::{self, Tokens};
use roomlog_web::{Authenticated, EndedSessions, Position, Problem};

use crate::accounts::may_log_in;
use crate::password::Passwords;
use crate::service::{self, DEADLINE, Service};
use crate::text;
use crate::writer::driver::clock_ms;
use crate::writer::request::{Outcome, Request};

/// A session that is not refreshed ends after this.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// So that scanners can tell what was leaked.
const REFRESH_PREFIX: &str = "rlr_";
/// Most sessions that a list shows.
const LISTED: usize = 100;
/// Between attempts to write that a session has ended.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Sessions {
    pub service: Service,
    pub secrets: Arc<dyn SecretsStore>,
    pub passwords: Passwords,
    pub tokens: Tokens,
    /// Of this process.
    pub ended: EndedSessions,
    pub id_key: IdKey,
}

/// What a client gets for a log-in or a refresh.
pub struct Granted {
    pub access_token: String,
    pub refresh_token: String,
    pub expires_in: u64,
    pub account_id: AccountId,
    pub session_id: SessionId,
}

impl Sessions {
    /// By user name or e-mail. The answer does not tell which of both was wrong.
    pub async fn log_in(&self, login: &str, password: String) -> Result<Granted, Problem> {
        if login.len() > text::MAX_EMAIL_LEN || password.len() > text::MAX_PASSWORD_LEN {
            return Err(wrong_credentials());
        }
        let credential = self.secrets.credential(&text::fold(login)).await?;
        let credential = credential.filter(|credential| may_log_in(credential.state));
        let stored = credential.as_ref().map(|credential| credential.password_hash.clone());
        let matches = self.passwords.verify(password, stored).await?;
        let Some(credential) = credential.filter(|_| matches) else {
            metrics::counter!("roomlog_log_ins_total", "outcome" => "refused").increment(1);
            return Err(wrong_credentials());
        };
        metrics::counter!("roomlog_log_ins_total", "outcome" => "granted").increment(1);
        let (refresh_token, refresh_hash) = fresh_token();
        let now = clock_ms();
        let session = Session {
            session_id: self.id_key.session(credential.account_id, &refresh_hash),
            account_id: credential.account_id,
            refresh_hash,
            created_at_ms: now,
            expires_at_ms: now + SESSION_LIFETIME.as_millis() as i64,
        };
        self.secrets.create_session(&session).await?;
        Ok(self.grant(session.account_id, session.session_id, refresh_token))
    }

    pub async fn refresh(&self, refresh_token: &str) -> Result<Granted, Problem> {
        let old = *blake3::hash(refresh_token.as_bytes()).as_bytes();
        let (next, next_hash) = fresh_token();
        let now = clock_ms();
        let expires = now + SESSION_LIFETIME.as_millis() as i64;
        let invalid = |code: &str, title: &str| Problem { code: code.into(), ..Problem::unauthorized(title) };
        match self.secrets.rotate_session(&old, &next_hash, now, expires).await? {
            Rotation::Rotated(session) => Ok(self.grant(session.account_id, session.session_id, next)),
            Rotation::Reused { account_id, session_id } => {
                self.ended.insert(session_id);
                tracing::warn!(%account_id, %session_id, "a refresh token was used twice: its session has ended");
                tokio::spawn(self.clone().insist_on_end(account_id, session_id));
                Err(invalid("refresh_token_reused", "This refresh token was used before: log in again."))
            }
            Rotation::Unknown => {
                Err(invalid("refresh_token_invalid", "This refresh token is not valid: log in again."))
            }
        }
    }

    /// The account's live sessions, newest first.
    pub async fn list(&self, who: &Authenticated) -> Result<Vec<Session>, Problem> {
        self.require_live(who).await?;
        Ok(self.secrets.live_sessions(who.account_id, clock_ms(), LISTED).await?)
    }

    /// Ends a session of the account, its own or another one. Ending it again gets the same answer.
    /// When this returns, the session is revoked and the log says so.
    pub async fn end(&self, who: &Authenticated, session: SessionId) -> Result<Position, Problem> {
        let is_own = session == who.session_id;
        // Whoever holds a token of a session that was ended must not end the others.
        if !is_own {
            self.require_live(who).await?;
        }
        let is_known = self.secrets.revoke_session(who.account_id, session, clock_ms()).await?;
        if is_known {
            self.ended.insert(session);
        }
        // The own session may have expired and be forgotten, with sockets still open.
        if !is_known && !is_own {
            return Err(Problem::not_found("session_not_found", "Your account has no such session."));
        }
        self.write_end(Some(who.account_id), who.account_id, session).await
    }

    async fn require_live(&self, who: &Authenticated) -> Result<(), Problem> {
        if self.secrets.session_is_live(who.session_id, clock_ms()).await? {
            return Ok(());
        }
        Err(Problem::session_ended())
    }

    /// Says in the log that a revoked session has ended, however long the log is away; not beyond the
    /// life of its access tokens, for its sockets end with them.
    async fn insist_on_end(self, account: AccountId, session: SessionId) {
        let insisting = async {
            while let Err(problem) = self.write_end(None, account, session).await {
                tracing::debug!(%session, code = %problem.code, "a session's end has to be written again");
                tokio::time::sleep(RETRY).await;
            }
        };
        if tokio::time::timeout(token::LIFETIME, insisting).await.is_err() {
            tracing::warn!(%session, "a session's end could not be written");
        }
    }

    async fn write_end(
        &self,
        actor: Option<AccountId>,
        account_id: AccountId,
        session_id: SessionId,
    ) -> Result<Position, Problem> {
        let writers = &self.service.writers;
        let partition = writers.partition_of(Topic::Accounts, account_id.slot());
        let request = Request {
            actor,
            // Ending a session twice is ending it once.
            key: None,
            command: Command::EndSession { account_id, session_id },
            context: Context::default(),
            deadline: clock_ms() + DEADLINE.as_millis() as i64,
            traceparent: None,
        };
        match writers.run(partition, request).await {
            Outcome::Accepted { offset, .. } | Outcome::Unchanged { offset, .. } => {
                Ok(Position { partition, offset })
            }
            Outcome::Rejected(rejection) => Err(service::rejected(rejection)),
            _ => Err(not_written()),
        }
    }

    fn grant(&self, account_id: AccountId, session_id: SessionId, refresh_token: String) -> Granted {
        Granted {
            access_token: self.tokens.issue(account_id, session_id, token::LIFETIME),
            refresh_token,
            expires_in: token::LIFETIME.as_secs(),
            account_id,
            session_id,
        }
    }
}

fn not_written() -> Problem {
    Problem::unavailable(
        "log_unavailable",
        "The session is revoked, but its open sockets may not know yet: ask again.",
    )
}

fn wrong_credentials() -> Problem {
    Problem {
        code: "wrong_credentials".into(),
        ..Problem::unauthorized("User name, e-mail or password is wrong.")
    }
}

/// 256 random bits as a token with its prefix, and their hash.
fn fresh_token() -> (String, [u8; 32]) {
    let token = secret(REFRESH_PREFIX);
    let hash = *blake3::hash(token.as_bytes()).as_bytes();
    (token, hash)
}

/// 256 random bits in text, behind a prefix.
pub fn secret(prefix: &str) -> String {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}
