//! Access tokens: JWTs signed with Ed25519 (EdDSA, RFC 8037), valid for 15 minutes.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use roomlog_schemas::{AccountId, SessionId};
use serde::{Deserialize, Serialize};

pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
const ISSUER: &str = "roomlog";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    /// The account.
    pub sub: AccountId,
    /// The session that it was issued for.
    pub sid: SessionId,
    /// Seconds since 1970.
    pub iat: u64,
    /// Seconds since 1970.
    pub exp: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the access token has expired")]
    Expired,
    #[error("the access token is not valid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
}

/// Signs and verifies; cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    header: Header,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Tokens {
    /// From the 32 bytes of an Ed25519 seed, the platform's token key.
    pub fn new(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let der = signing.to_pkcs8_der().expect("an Ed25519 key always encodes");
        let public = signing.verifying_key();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key_id(public.as_bytes()));
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.leeway = 0;
        // `exp` is the first second in which the token is no longer valid.
        validation.reject_tokens_expiring_in_less_than = 1;
        Self(Arc::new(Inner {
            header,
            encoding: EncodingKey::from_ed_der(der.as_bytes()),
            decoding: DecodingKey::from_ed_der(public.as_bytes()),
            validation,
        }))
    }

    pub fn issue(&self, account: AccountId, session: SessionId, lifetime: Duration) -> String {
        let iat = unix_seconds();
        let claims =
            Claims { iss: ISSUER.to_owned(), sub: account, sid: session, iat, exp: iat + lifetime.as_secs() };
        encode(&self.0.header, &claims, &self.0.encoding).expect("an Ed25519 key signs anything")
    }

    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        decode::<Claims>(token, &self.0.decoding, &self.0.validation).map(|data| data.claims).map_err(
            |error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid(error),
            },
        )
    }
}

/// Names a public key; no secret.
fn key_id(public: &[u8]) -> String {
    public[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(tokens: &Tokens, lifetime: Duration) -> String {
        tokens.issue(AccountId::from_u128(1), SessionId::from_u128(2), lifetime)
    }

    #[test]
    fn a_token_says_who_and_until_when() {
        let tokens = Tokens::new(&[1; 32]);
        let claims = tokens.verify(&issue(&tokens, LIFETIME)).unwrap();
        assert_eq!((claims.sub, claims.sid), (AccountId::from_u128(1), SessionId::from_u128(2)));
        assert_eq!(claims.exp - claims.iat, 15 * 60);
    }

    #[test]
    fn expired_foreign_and_altered_tokens_are_refused() {
        let tokens = Tokens::new(&[1; 32]);
        assert!(matches!(tokens.verify(&issue(&tokens, Duration::ZERO)), Err(TokenError::Expired)));
        assert!(tokens.verify(&issue(&Tokens::new(&[2; 32]), LIFETIME)).is_err());
        let token = issue(&tokens, LIFETIME);
        let (head, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        assert!(tokens.verify(&format!("{head}.e30.{signature}")).is_err());
        let none = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJyb29tbG9nIiwic3ViIjoiMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAxIiwiZXhwIjo5OTk5OTk5OTk5fQ.";
        assert!(tokens.verify(none).is_err());
        assert!(tokens.verify("").is_err());
    }
}
