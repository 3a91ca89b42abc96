//! Log-in: access tokens of 15 minutes and refresh tokens that are exchanged at each use. An old
//! refresh token that comes again was stolen, or its answer was lost: the session ends either way.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roomlog_schemas::{AccountId, IdKey, SessionId};
use roomlog_stores::SecretsStore;
use roomlog_stores::secrets::{Rotation, Session};
use roomlog_web::Problem;
use roomlog_web::token::{self, Tokens};

use crate::accounts::may_log_in;
use crate::password::Passwords;
use crate::text;
use crate::writer::driver::clock_ms;

/// A session that is not refreshed ends after this.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// So that scanners can tell what was leaked.
const REFRESH_PREFIX: &str = "rlr_";

#[derive(Clone)]
pub struct Sessions {
    pub secrets: Arc<dyn SecretsStore>,
    pub passwords: Passwords,
    pub tokens: Tokens,
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
            Rotation::Reused => {
                tracing::warn!("a refresh token was used twice: its session has ended");
                Err(invalid("refresh_token_reused", "This refresh token was used before: log in again."))
            }
            Rotation::Unknown => {
                Err(invalid("refresh_token_invalid", "This refresh token is not valid: log in again."))
            }
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
