//! Accounts and sessions.

use axum::extract::State;
use axum::http::StatusCode;
use roomlog_schemas::{AccountId, SessionId};
use roomlog_web::{Json, Path, Position, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::described;
use super::key::{Key, KeyHeader};
use crate::accounts::Registration;
use crate::sessions::Granted;
use crate::text;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterBody {
    #[schema(schema_with = described::email)]
    email: String,
    #[schema(schema_with = described::username)]
    username: String,
    #[schema(schema_with = described::password)]
    password: String,
}

impl From<RegisterBody> for Registration {
    fn from(body: RegisterBody) -> Self {
        Self { email: body.email, username: body.username, password: body.password }
    }
}

#[derive(Serialize, ToSchema)]
pub struct Registered {
    #[schema(value_type = uuid::Uuid)]
    account_id: AccountId,
    position: Position,
}

/// Register an account
#[utoipa::path(post, path = "/v1/accounts", tag = "command-api",
    params(KeyHeader),
    request_body = RegisterBody,
    responses(
        (status = 201, description = "The account exists", body = Registered),
        (status = 409, description = "`username_taken`, `email_taken`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_username`, `invalid_email`, `invalid_password`, `invalid_body`, `key_reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`log_unavailable`: nothing was written; `outcome_unknown`: repeat with the key", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn register(
    State(api): State<Api>,
    Key(key): Key,
    Json(body): Json<RegisterBody>,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    let (account_id, position) = Box::pin(api.accounts.register(key, body.into())).await?;
    Ok((StatusCode::CREATED, Json(Registered { account_id, position })))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimBody {
    /// From the administrator.
    claim_code: String,
    #[schema(schema_with = described::email)]
    email: String,
    #[schema(schema_with = described::username)]
    username: String,
    #[schema(schema_with = described::password)]
    password: String,
}

/// Take over an imported account
///
/// The account keeps its messages and memberships and gets a user name and a password.
#[utoipa::path(post, path = "/v1/accounts/{account_id}/claim", tag = "command-api",
    params(("account_id" = uuid::Uuid, Path), KeyHeader),
    request_body = ClaimBody,
    responses(
        (status = 200, description = "The account is yours", body = Registered),
        (status = 403, description = "`invalid_claim_code`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`already_claimed`, `username_taken`, `email_taken`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn claim(
    State(api): State<Api>,
    Path(account_id): Path<AccountId>,
    Key(key): Key,
    Json(body): Json<ClaimBody>,
) -> Result<Json<Registered>, Problem> {
    let registration = Registration { email: body.email, username: body.username, password: body.password };
    let claimed = Box::pin(api.accounts.claim(account_id, &body.claim_code, key, registration)).await?;
    Ok(Json(Registered { account_id: claimed.0, position: claimed.1 }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogInBody {
    /// User name or e-mail.
    #[schema(example = "ada")]
    login: String,
    password: String,
}

#[derive(Serialize, ToSchema)]
pub struct SessionView {
    /// For `Authorization: Bearer …`; valid for `expires_in` seconds.
    access_token: String,
    /// Good for one exchange at `/v1/sessions/refresh`.
    refresh_token: String,
    /// Seconds.
    expires_in: u64,
    #[schema(value_type = uuid::Uuid)]
    account_id: AccountId,
    #[schema(value_type = uuid::Uuid)]
    session_id: SessionId,
}

impl From<Granted> for SessionView {
    fn from(granted: Granted) -> Self {
        let Granted { access_token, refresh_token, expires_in, account_id, session_id } = granted;
        Self { access_token, refresh_token, expires_in, account_id, session_id }
    }
}

/// Log in
#[utoipa::path(post, path = "/v1/sessions", tag = "command-api", request_body = LogInBody,
    responses(
        (status = 201, description = "Logged in", body = SessionView),
        (status = 401, description = "`wrong_credentials`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`overloaded`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn log_in(
    State(api): State<Api>,
    Json(body): Json<LogInBody>,
) -> Result<(StatusCode, Json<SessionView>), Problem> {
    api.auth.limiter.login_name(&text::fold(&body.login))?;
    let granted = api.sessions.log_in(&body.login, body.password).await?;
    Ok((StatusCode::CREATED, Json(granted.into())))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshBody {
    refresh_token: String,
}

/// Exchange a refresh token for new tokens
///
/// Each refresh token is good once. One that comes again ends its session.
#[utoipa::path(post, path = "/v1/sessions/refresh", tag = "command-api", request_body = RefreshBody,
    responses(
        (status = 201, description = "New tokens", body = SessionView),
        (status = 401, description = "`refresh_token_invalid`, `refresh_token_reused`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn refresh(
    State(api): State<Api>,
    Json(body): Json<RefreshBody>,
) -> Result<(StatusCode, Json<SessionView>), Problem> {
    let granted = api.sessions.refresh(&body.refresh_token).await?;
    Ok((StatusCode::CREATED, Json(granted.into())))
}
