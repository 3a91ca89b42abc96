//! The master key's file, and bytes that nobody sealed.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

mod backends;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, LazyLock};

use backends::Sqlite;
use proptest::prelude::*;
use roomlog_schemas::AccountId;
use roomlog_stores::conformance::Backend;
use roomlog_stores::sealing::{ContentKey, MasterKeyError, SealError};
use roomlog_stores::secrets::KeyOwner;
use roomlog_stores::{MasterKey, Sealer, SecretsStore};
use tempfile::TempDir;

const ANN: AccountId = AccountId::from_u128(1);

#[tokio::test]
async fn the_master_key_is_made_once_for_its_owner_only() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("new folder/master.key");
    let made = MasterKey::load_or_create(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.trim().len(), 64);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
    assert_eq!(format!("{made:?}"), "MasterKey(secret)");

    let backend = Sqlite::new();
    let store: Arc<dyn SecretsStore> = backend.open().await;
    let key = async |master| Sealer::new(store.clone(), master, 0).platform_key("x").await.unwrap();
    let expected = key(made).await;
    assert_eq!(key(MasterKey::load_or_create(&path).unwrap()).await, expected);
    assert_eq!(key(MasterKey::from_hex(&text.to_uppercase()).unwrap()).await, expected);
}

#[test]
fn processes_that_start_at_once_have_one_master_key() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("master.key");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| MasterKey::load_or_create(&path).unwrap());
        }
    });
    let before = fs::read(&path).unwrap();
    MasterKey::load_or_create(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_master_key_that_others_may_use_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("master.key");
    MasterKey::load_or_create(&path).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o601, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = MasterKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, MasterKeyError::TooOpen { mode: m, .. } if m == mode), "{error}");
        assert!(error.to_string().contains(&format!("{mode:o}")), "{error}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    MasterKey::load_or_create(&path).unwrap();
}

#[test]
fn a_master_key_is_64_digits() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("master.key");
    let malformed = |key| matches!(key, Err(MasterKeyError::Malformed));
    for text in
        ["", "7", &"7".repeat(63), &"7".repeat(65), &"g".repeat(64), &"é".repeat(32), &"+7".repeat(32)]
    {
        assert!(malformed(MasterKey::from_hex(text)), "{text:?}");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(malformed(MasterKey::load_or_create(&path)), "{text:?} is not replaced");
    }
    MasterKey::from_hex(&format!(" {}\n", "7aF".repeat(22)[..64].to_owned())).unwrap();
    let folder_instead_of_file = MasterKey::load_or_create(folder.path());
    assert!(folder_instead_of_file.is_err());
}

#[tokio::test]
async fn a_destroyed_key_is_used_until_it_is_forgotten_and_then_gone() {
    let backend = Sqlite::new();
    let store: Arc<dyn SecretsStore> = backend.open().await;
    let sealer = Sealer::new(store, MasterKey::from_hex(&"07".repeat(32)).unwrap(), 1 << 20);
    sealer.create_account_keys(&[ANN]).await.unwrap();
    let database = rusqlite::Connection::open(backend.0.path().join("secrets.db")).unwrap();
    assert_eq!(database.execute("DELETE FROM content_key", []).unwrap(), 1);
    sealer.account_key(ANN).await.unwrap();
    sealer.forget(KeyOwner::Account(ANN));
    assert!(matches!(sealer.account_key(ANN).await, Err(SealError::Destroyed(_))));
    assert!(sealer.cached_account_key(ANN).is_none());
}

static KEY: LazyLock<ContentKey> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let backend = Sqlite::new();
        let store: Arc<dyn SecretsStore> = backend.open().await;
        let sealer = Sealer::new(store, MasterKey::from_hex(&"07".repeat(32)).unwrap(), 1 << 20);
        sealer.create_account_keys(&[ANN]).await.unwrap();
        sealer.account_key(ANN).await.unwrap()
    })
});

proptest! {
    #[test]
    fn arbitrary_bytes_are_damaged_and_never_a_panic(
        aad in any::<Vec<u8>>(),
        bytes in any::<Vec<u8>>(),
        right_format in any::<bool>(),
    ) {
        let mut bytes = bytes;
        if let (true, Some(first)) = (right_format, bytes.first_mut()) {
            *first = 1;
        }
        prop_assert!(matches!(KEY.open(&aad, &bytes), Err(SealError::Damaged)));
    }

    #[test]
    fn what_is_sealed_opens(aad in any::<Vec<u8>>(), text in any::<Vec<u8>>()) {
        prop_assert_eq!(KEY.open(&aad, &KEY.seal(&aad, &text)).unwrap(), text);
    }

    #[test]
    fn text_that_is_no_master_key_is_refused(text in any::<String>()) {
        let digits = text.trim();
        let is_key = digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        prop_assert_eq!(MasterKey::from_hex(&text).is_ok(), is_key);
    }
}
