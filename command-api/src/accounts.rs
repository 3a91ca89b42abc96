//! Registration: a user name and an e-mail are reserved, together with the command, before its event
//! is appended; what a crash leaves is completed or voided by [`Accounts::sweep`].

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use roomlog_domain::{Command, Context, Rejection, command};
use roomlog_eventlog::Topic;
use roomlog_schemas::{AccountId, IdempotencyKey};
use roomlog_stores::sealing::aad;
use roomlog_stores::secrets::{Reservation, ReservationState, Reserved};
use roomlog_stores::{SealError, SecretsStore};
use roomlog_web::{Position, Problem};
use tokio_util::sync::CancellationToken;

use crate::password::Passwords;
use crate::service::{DEADLINE, Service, generate_key, problem};
use crate::text;
use crate::writer::driver::clock_ms;
use crate::writer::request::{Outcome, Request};

/// A reservation this old was left by a crash.
const LEFT_OVER: Duration = Duration::from_secs(60);
const SWEEP_EVERY: Duration = Duration::from_secs(30);
const SWEEP_BATCH: usize = 100;

#[derive(Clone)]
pub struct Accounts {
    pub service: Service,
    pub secrets: Arc<dyn SecretsStore>,
    pub passwords: Passwords,
}

/// Whether a reservation's command may have been sent before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Later,
}

impl Outcome {
    /// Whether the command is not in the log and never will be. That one attempt wrote nothing does
    /// not tell what became of an earlier one.
    fn frees_names(&self, attempt: Attempt) -> bool {
        match self {
            Outcome::Rejected(_) => true,
            Outcome::Unavailable | Outcome::Overloaded | Outcome::Moved | Outcome::TooLarge => {
                attempt == Attempt::First
            }
            _ => false,
        }
    }
}

/// Names and password of a new or claimed account, as a person gives them.
pub struct Registration {
    pub email: String,
    pub username: String,
    pub password: String,
}

impl Accounts {
    /// A new account. A repeat with the same key gets the same answer.
    pub async fn register(
        &self,
        key: Option<IdempotencyKey>,
        registration: Registration,
    ) -> Result<(AccountId, Position), Problem> {
        let key = key.unwrap_or_else(generate_key);
        let account_id = self.service.id_key.account(key.uuid().as_bytes());
        self.service.sealer.create_account_keys(&[account_id]).await?;
        let command = |username, email| {
            Command::RegisterAccount(command::RegisterAccount { account_id, username, email })
        };
        self.reserve_and_run(account_id, key, registration, command).await
    }

    /// A person takes over an imported account.
    pub async fn claim(
        &self,
        account_id: AccountId,
        code: &str,
        key: Option<IdempotencyKey>,
        registration: Registration,
    ) -> Result<(AccountId, Position), Problem> {
        let code_hash = *blake3::hash(code.as_bytes()).as_bytes();
        if !self.secrets.check_claim_code(account_id, &code_hash, clock_ms()).await? {
            return Err(Problem::forbidden("invalid_claim_code", "This code is not valid, or not any more."));
        }
        let key = key.unwrap_or_else(generate_key);
        let command =
            |username, email| Command::ClaimAccount(command::ClaimAccount { account_id, username, email });
        let answer = self.reserve_and_run(account_id, key, registration, command).await?;
        self.secrets.remove_claim_code(account_id).await?;
        Ok(answer)
    }

    async fn reserve_and_run(
        &self,
        account_id: AccountId,
        key: IdempotencyKey,
        registration: Registration,
        command: impl FnOnce(bytes::Bytes, bytes::Bytes) -> Command,
    ) -> Result<(AccountId, Position), Problem> {
        let Registration { email, username, password } = registration;
        let folded_username = text::fold_username(&username)?;
        let folded_email = text::fold_email(&email)?;
        text::check_password(&password)?;
        let sealer = &self.service.sealer;
        let body = serde_json::to_vec(&(&username, &email)).expect("two texts");
        let fingerprint = sealer.fingerprint(account_id, &body).await?;
        let sealing = sealer.account_key(account_id).await?;
        let command = command(
            sealing.seal(&aad::username(account_id), username.as_bytes()),
            sealing.seal(&aad::email(account_id), email.as_bytes()),
        );
        let reservation = Reservation {
            account_id,
            username: folded_username,
            email: folded_email,
            password_hash: self.passwords.hash(password).await?,
            key,
            fingerprint: fingerprint.to_vec(),
            command: serde_json::to_vec(&command).expect("a command has only plain fields"),
            created_at_ms: clock_ms(),
        };
        let mut attempt = Attempt::Later;
        let reservation = match self.secrets.reserve(&reservation).await? {
            Reserved::New => {
                attempt = Attempt::First;
                reservation
            }
            Reserved::Existing(first, _) if first.key == key && first.fingerprint == fingerprint => *first,
            Reserved::Existing(first, _) if first.key == key => {
                return Err(problem(&Outcome::KeyReused, key));
            }
            Reserved::Existing(..) => return Err(crate::service::rejected(Rejection::AlreadyClaimed)),
            Reserved::UsernameTaken => {
                return Err(taken("username_taken", "This user name is taken.", "username"));
            }
            Reserved::EmailTaken => {
                return Err(taken("email_taken", "This e-mail address is taken.", "email"));
            }
        };
        let position =
            self.complete(&reservation, attempt).await.map_err(|outcome| problem(&outcome, key))??;
        Ok((account_id, position))
    }

    /// Runs a reservation's command to its end. `Err` is an outcome that is no acceptance.
    async fn complete(
        &self,
        reservation: &Reservation,
        attempt: Attempt,
    ) -> Result<Result<Position, Problem>, Outcome> {
        let account_id = reservation.account_id;
        let Ok(command) = serde_json::from_slice::<Command>(&reservation.command) else {
            tracing::error!(%account_id, "a reservation's command cannot be read");
            return Err(Outcome::Unavailable);
        };
        let writers = &self.service.writers;
        let partition = writers.partition_of(Topic::Accounts, account_id.slot());
        let claims = matches!(command, Command::ClaimAccount(_));
        // That the account is there already is the answer to a repeat: no key is needed.
        let request = Request {
            actor: None,
            key: None,
            command,
            context: Context::default(),
            deadline: clock_ms() + DEADLINE.as_millis() as i64,
            traceparent: None,
        };
        let outcome = writers.run(partition, request).await;
        let offset = match outcome {
            Outcome::Accepted { offset, .. } | Outcome::Unchanged { offset, .. } => offset,
            // Only the holder of the reservation can have claimed it.
            Outcome::Rejected(Rejection::AlreadyClaimed) if claims => {
                writers.end(partition).await.ok_or(Outcome::Unavailable)?.saturating_sub(1)
            }
            // Never written, now or later: the names are free again.
            outcome if outcome.frees_names(attempt) => {
                if let Err(error) = self.secrets.void_reservation(account_id).await {
                    return Ok(Err(error.into()));
                }
                return Err(outcome);
            }
            outcome => return Err(outcome),
        };
        let stored = self.secrets.complete_reservation(account_id).await;
        Ok(stored.map(|()| Position { partition, offset }).map_err(Problem::from))
    }

    /// Completes or voids what crashes left, at the start and then every 30 seconds.
    pub async fn sweep(self, shutdown: CancellationToken) {
        let mut older_than = Duration::ZERO;
        loop {
            let before = clock_ms() - older_than.as_millis() as i64;
            match self.secrets.pending_reservations(before, SWEEP_BATCH).await {
                Ok(pending) => {
                    for reservation in pending {
                        let outcome = self.complete(&reservation, Attempt::Later).await;
                        tracing::info!(account_id = %reservation.account_id, completed = matches!(outcome, Ok(Ok(_))), "swept a reservation that was left over");
                    }
                }
                Err(error) => tracing::warn!(%error, "the sweeper cannot read the reservations"),
            }
            older_than = LEFT_OVER;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(SWEEP_EVERY) => {}
            }
        }
    }
}

fn taken(code: &str, title: &str, field: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, code, title).field(field)
}

/// Whether this state lets its account log in.
pub fn may_log_in(state: ReservationState) -> bool {
    state == ReservationState::Active
}

/// A key that is gone means an account that is gone.
pub fn no_such_account(error: SealError) -> Problem {
    match error {
        SealError::Store(error) => error.into(),
        _ => crate::service::rejected(Rejection::AccountNotFound),
    }
}
