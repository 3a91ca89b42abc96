//! `GET /.well-known/jwks.json`: the public keys of access tokens, for whoever wants to verify them.
//! Every role serves it.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Auth;
use crate::caching::Document;

/// Shorter than a key is announced before it signs.
const CACHE_CONTROL: &str = "public, max-age=300";

/// A JWK set (RFC 7517) of Ed25519 keys (RFC 8037).
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes")]
pub struct TokenKeys {
    keys: Vec<PublicKey>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes")]
pub struct PublicKey {
    #[schema(example = "OKP")]
    kty: String,
    #[schema(example = "Ed25519")]
    crv: String,
    /// The public key, base64url.
    x: String,
    /// The key's thumbprint (RFC 7638), which tokens name in their header.
    kid: String,
    #[schema(example = "EdDSA")]
    alg: String,
    #[schema(rename = "use")]
    #[schema(example = "sig")]
    key_use: String,
}

#[derive(OpenApi)]
#[openapi(components(schemas(TokenKeys, PublicKey)))]
struct Api;

pub fn router(auth: Auth) -> OpenApiRouter {
    operations().with_state(auth)
}

/// The operation alone, for the document.
pub fn description() -> OpenApiRouter {
    OpenApiRouter::with_openapi(operations().into_openapi())
}

fn operations() -> OpenApiRouter<Auth> {
    OpenApiRouter::with_openapi(Api::openapi()).routes(routes!(token_keys))
}

/// The public keys of access tokens
///
/// Those that sign now, those whose tokens may still be valid, and those that will sign soon: a copy
/// that is at most five minutes old knows every token's key. Served by every role.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "any",
    responses((status = 200, description = "The keys", body = TokenKeys, content_type = "application/jwk-set+json")))]
async fn token_keys(State(auth): State<Auth>, headers: HeaderMap) -> Response {
    let keys = serde_json::to_vec(&auth.tokens.published()).expect("keys have only plain fields");
    Document::new("application/jwk-set+json", CACHE_CONTROL, keys).answer(&headers)
}
