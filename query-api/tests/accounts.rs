//! `/v1/accounts`.

mod common;

use common::Fixture;
use roomlog_schemas::AccountId;
use serde_json::{Value, json};

#[tokio::test]
async fn an_account_has_its_names() {
    let mut fixture = Fixture::new().await;
    let alice = fixture.world.register(Some("alice")).await;
    let unclaimed = fixture.world.register(None).await;
    fixture.project().await;
    let own = fixture.get(alice, "/v1/accounts/me").await.ok();
    assert_eq!(
        own,
        json!({
            "account_id": alice,
            "username": "alice",
            "display_name": "Somebody",
            "source": null,
            "registered_at": "2026-05-28T20:26:41Z",
        })
    );
    assert_eq!(fixture.get(unclaimed, &format!("/v1/accounts/{alice}")).await.ok(), own);
    let imported = fixture.get(alice, &format!("/v1/accounts/{unclaimed}")).await.ok();
    assert_eq!((&imported["username"], &imported["source"]), (&Value::Null, &json!("import")));
}

#[tokio::test]
async fn an_unknown_account_is_not_found() {
    let fixture = Fixture::new().await;
    let nobody = AccountId::from_u128(1);
    fixture.get(nobody, "/v1/accounts/me").await.problem(404, "account_not_found");
    fixture.get(nobody, &format!("/v1/accounts/{nobody}")).await.problem(404, "account_not_found");
    fixture.get(nobody, "/v1/accounts/nonsense").await.problem(400, "invalid_path");
}
