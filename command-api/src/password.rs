//! Password hashing: argon2id (RFC 9106), off the async threads and bounded.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use axum::http::StatusCode;
use roomlog_web::Problem;
use tokio::sync::Semaphore;

/// Most hashings that wait for a turn: each takes some 20 ms and 19 MiB.
const MAX_WAITING: usize = 128;

#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Of no password: what an unknown log-in is checked against, so that it takes as long.
    nobody: Arc<str>,
}

impl Passwords {
    /// Hashes this many at the same time.
    pub fn new(parallel: usize) -> Self {
        let nobody = hash("nobody has this password").unwrap_or_default();
        Self {
            turns: Arc::new(Semaphore::new(parallel.max(1))),
            places: Arc::new(Semaphore::new(MAX_WAITING)),
            nobody: nobody.into(),
        }
    }

    /// In PHC string format, with a fresh salt.
    pub async fn hash(&self, password: String) -> Result<String, Problem> {
        self.in_turn(move || hash(&password)).await?.ok_or_else(busy)
    }

    /// Takes as long without a stored hash as with one.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, Problem> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.to_string());
        let matches = self.in_turn(move || verify(&password, &stored)).await?;
        Ok(known && matches)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let _turn = self.turns.acquire().await.map_err(|_| busy())?;
        tokio::task::spawn_blocking(work).await.map_err(|_| busy())
    }
}

fn busy() -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", "Too many log-ins and registrations at once.")
        .retry_after(1)
}

fn hash(password: &str) -> Option<String> {
    Argon2::default().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
}

fn verify(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_matches_its_hash() {
        let passwords = Passwords::new(2);
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert_ne!(hash, passwords.hash("correct horse".into()).await.unwrap(), "a salt of its own");
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("wrong horse".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("nobody has this password".into(), None).await.unwrap());
        assert!(!passwords.verify("x".into(), Some("damaged".into())).await.unwrap());
    }
}
