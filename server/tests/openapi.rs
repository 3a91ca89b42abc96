//! The OpenAPI document is made from the code; `docs/openapi.json` is its committed snapshot, so that
//! a change of the API is seen in review. `UPDATE_OPENAPI=1` writes it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

#[tokio::test]
async fn the_committed_document_is_the_codes() {
    let output = support::roomlog().arg("openapi").output().await.unwrap();
    assert!(output.status.success());
    let document = String::from_utf8(output.stdout).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert!(parsed["openapi"].as_str().unwrap().starts_with("3.1"));
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == document, "docs/openapi.json is not what the code says: run with UPDATE_OPENAPI=1");
}
