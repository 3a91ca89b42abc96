use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use jsonwebtoken::EncodingKey;
use roomlog_stores::StoreError;

use super::*;

/// Keys in memory; counts how often they are asked for.
#[derive(Default)]
struct Memory {
    keys: std::sync::Mutex<BTreeMap<String, [u8; 32]>>,
    lists: AtomicUsize,
    is_away: AtomicBool,
}

#[async_trait]
impl KeyStore for Memory {
    async fn list(&self, prefix: &str) -> Result<Vec<(String, [u8; 32])>, SealError> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        // Others may ask meanwhile.
        tokio::task::yield_now().await;
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { store: "secrets", source: "a test says so".into() }.into());
        }
        let keys = self.keys.lock().unwrap();
        Ok(keys.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(n, k)| (n.clone(), *k)).collect())
    }

    async fn add(&self, name: &str) -> Result<[u8; 32], SealError> {
        let mut keys = self.keys.lock().unwrap();
        let next = keys.len() as u8 + 1;
        Ok(*keys.entry(name.to_owned()).or_insert([next; 32]))
    }

    async fn remove(&self, name: &str) -> Result<bool, SealError> {
        Ok(self.keys.lock().unwrap().remove(name).is_some())
    }
}

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3_600);

fn issue(tokens: &Tokens, lifetime: Duration) -> String {
    tokens.issue(AccountId::from_u128(1), SessionId::from_u128(2), lifetime)
}

fn id_of(token: &str) -> Option<String> {
    decode_header(token).unwrap().kid
}

/// Signed by the key of this seed under any name.
fn token_with(seed: &[u8; 32], kid: Option<&str>) -> String {
    use ed25519_dalek::pkcs8::EncodePrivateKey;
    let der = ed25519_dalek::SigningKey::from_bytes(seed).to_pkcs8_der().unwrap();
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
    let iat = unix_seconds();
    let claims = Claims { sub: AccountId::from_u128(1), sid: SessionId::from_u128(2), iat, exp: iat + 60 };
    encode(&header, &Signed { iss: ISSUER, claims }, &EncodingKey::from_ed_der(der.as_bytes())).unwrap()
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
    let foreign = issue(&Tokens::new(&[2; 32]), LIFETIME);
    assert!(matches!(tokens.verify(&foreign), Err(TokenError::UnknownKey)));
    let disguised = token_with(&[2; 32], id_of(&issue(&tokens, LIFETIME)).as_deref());
    assert!(matches!(tokens.verify(&disguised), Err(TokenError::Invalid(_))));
    let token = issue(&tokens, LIFETIME);
    let (head, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    assert!(tokens.verify(&format!("{head}.e30.{signature}")).is_err());
    let none = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJyb29tbG9nIiwic3ViIjoiMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAxIiwiZXhwIjo5OTk5OTk5OTk5fQ.";
    assert!(tokens.verify(none).is_err());
    assert!(tokens.verify("").is_err());
}

#[test]
fn tokens_from_before_there_were_several_keys_stay_valid() {
    let tokens = Tokens::new(&[1; 32]);
    // As they were named then: the first eight bytes of the public key.
    for former in [None, Some("8a88e3dd7409f195")] {
        assert!(tokens.verify(&token_with(&[1; 32], former)).is_ok(), "{former:?}");
    }
    assert!(tokens.verify(&token_with(&[2; 32], None)).is_err());
}

#[tokio::test]
async fn two_processes_rotate_without_refusing_a_token() {
    let store = Arc::new(Memory::default());
    let one = Tokens::load(store.clone()).await.unwrap();
    let other = Tokens::load(store.clone()).await.unwrap();
    let first = issue(&one, LIFETIME);
    other.verify(&first).unwrap();

    // Announced: published, but the old one signs.
    let now = unix_seconds();
    KeySet::rotate(&*store, now + 600, now).await.unwrap();
    one.refresh().await;
    assert_eq!((one.published().keys.len(), other.published().keys.len()), (2, 1));
    assert_eq!(id_of(&issue(&one, LIFETIME)), id_of(&first));

    // Its time has come; one of the processes has not read the keys since before it was announced.
    store.keys.lock().unwrap().retain(|name, _| !name.contains('/'));
    KeySet::rotate(&*store, now - 1, now).await.unwrap();
    one.refresh().await;
    let second = issue(&one, LIFETIME);
    assert_ne!(id_of(&second), id_of(&first));
    assert!(matches!(other.verify(&second), Err(TokenError::UnknownKey)));
    other.refresh().await;
    for tokens in [&one, &other] {
        for token in [&first, &second] {
            tokens.verify(token).unwrap();
        }
    }

    // A while later the first key is destroyed by the next rotation, as no token of it can be valid.
    store.keys.lock().unwrap().retain(|name, _| !name.contains('/'));
    KeySet::rotate(&*store, now - 26 * 60, now).await.unwrap();
    one.refresh().await;
    assert!(matches!(one.verify(&first), Err(TokenError::UnknownKey)));
    assert_eq!(store.keys.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_unknown_key_is_looked_up_once_however_many_ask() {
    let store = Arc::new(Memory::default());
    let one = Tokens::load(store.clone()).await.unwrap();
    let other = Tokens::load_with(store.clone(), NEVER, NEVER).await.unwrap();
    let now = unix_seconds();
    KeySet::rotate(&*store, now - 1, now).await.unwrap();
    one.refresh().await;
    let token = issue(&one, LIFETIME);
    let before = store.lists.load(Ordering::SeqCst);
    let verified = verify_at_once(&other, &token, 50).await;
    assert_eq!(verified, 50);
    assert_eq!(store.lists.load(Ordering::SeqCst), before + 1);
}

/// How many of so many tasks that verify at the same time succeed.
async fn verify_at_once(tokens: &Tokens, token: &str, tasks: usize) -> usize {
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let (tokens, token) = (tokens.clone(), token.to_owned());
        running.spawn(async move { tokens.verify_anew(&token).await.is_ok() });
    }
    running.join_all().await.into_iter().filter(|ok| *ok).count()
}

#[tokio::test]
async fn garbage_does_not_make_the_store_work() {
    let store = Arc::new(Memory::default());
    let tokens = Tokens::load_with(store.clone(), NEVER, NEVER).await.unwrap();
    let before = store.lists.load(Ordering::SeqCst);
    for n in 0..1_000 {
        let garbage = token_with(&[9; 32], Some(&format!("garbage {n}")));
        assert!(matches!(tokens.verify_anew(&garbage).await, Err(TokenError::UnknownKey)));
    }
    assert_eq!(store.lists.load(Ordering::SeqCst), before + 1);
    // Once in a while it may have become known. What cannot be a token at all is not looked up.
    let eager = Tokens::load_with(store.clone(), NEVER, Duration::ZERO).await.unwrap();
    let before = store.lists.load(Ordering::SeqCst);
    for n in 1..=3 {
        assert!(eager.verify_anew(&token_with(&[9; 32], Some("garbage"))).await.is_err());
        assert_eq!(store.lists.load(Ordering::SeqCst), before + n);
    }
    assert!(eager.verify_anew("garbage").await.is_err());
    assert!(eager.verify_anew(&token_with(&[9; 32], None)).await.is_err());
    assert_eq!(store.lists.load(Ordering::SeqCst), before + 3);
}

#[tokio::test]
async fn keys_are_read_regularly_and_kept_while_the_store_is_away() {
    let store = Arc::new(Memory::default());
    let tokens = Tokens::load_with(store.clone(), Duration::from_millis(5), NEVER).await.unwrap();
    let token = issue(&tokens, LIFETIME);
    store.is_away.store(true, Ordering::SeqCst);
    let asked = store.lists.load(Ordering::SeqCst);
    until("the keys are asked for", || store.lists.load(Ordering::SeqCst) > asked + 2).await;
    tokens.verify(&token).unwrap();

    store.is_away.store(false, Ordering::SeqCst);
    let now = unix_seconds();
    KeySet::rotate(&*store, now + 600, now).await.unwrap();
    until("the announced key is known", || tokens.published().keys.len() == 2).await;
    // Whoever lets go of the tokens ends the reading.
    drop(tokens);
    until("nobody reads", || Arc::strong_count(&store) == 1).await;
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_key_that_signs_cannot_be_revoked() {
    let store = Memory::default();
    let now = unix_seconds();
    let keys = KeySet::rotate(&store, now - 1, now).await.unwrap();
    let ids: Vec<String> = keys.standings(now).map(|(key, _)| key.id.clone()).collect();
    assert!(matches!(KeySet::revoke(&store, &ids[1], now).await, Err(keys::RevokeError::Signing)));
    assert!(KeySet::revoke(&store, &ids[0], now).await.unwrap());
    assert!(!KeySet::revoke(&store, &ids[0], now).await.unwrap());
    let keys = KeySet::load(&store).await.unwrap();
    assert_eq!(keys.standings(now).map(|(key, _)| key.id.clone()).collect::<Vec<_>>(), ids[1..]);
}
