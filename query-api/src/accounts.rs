//! Accounts, as any other account may see them.

use axum::extract::State;
use roomlog_schemas::AccountId;
use roomlog_stores::directory::AccountRow;
use roomlog_web::view::timestamp;
use roomlog_web::{Authenticated, Json, MinPositions, Path, Problem};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::{IntoResponses, ToSchema};

use crate::params::{AccountPath, PositionParams};
use crate::problems::QueryProblems;
use crate::{Queries, QueryApi};

#[derive(Debug, Serialize, ToSchema)]
pub struct AccountView {
    #[schema(value_type = Uuid)]
    account_id: AccountId,
    /// Null for an imported account that nobody has claimed.
    username: Option<String>,
    display_name: Option<String>,
    /// The import that made the account; null for one that registered.
    source: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    registered_at: OffsetDateTime,
}

impl From<AccountRow> for AccountView {
    fn from(row: AccountRow) -> Self {
        Self {
            account_id: row.account_id,
            username: row.username,
            display_name: row.display_name,
            source: row.source,
            registered_at: timestamp(row.registered_at_ms),
        }
    }
}

/// `account_not_found`
#[derive(IntoResponses)]
#[response(status = 404, content_type = "application/problem+json")]
#[expect(dead_code, reason = "only describes")]
pub struct AccountNotFound(#[to_schema] Problem);

/// The caller's account
///
/// Reads the projection `directory`.
#[utoipa::path(
    get,
    path = "/v1/accounts/me",
    tag = crate::ROLE,
    params(PositionParams),
    responses((status = 200, description = "The account.", body = AccountView), QueryProblems, AccountNotFound),
    security(("access_token" = []))
)]
pub(crate) async fn get_own_account(
    State(api): State<Queries>,
    caller: Authenticated,
    positions: MinPositions,
) -> Result<Json<AccountView>, Problem> {
    let _place = api.directory_at(&positions).await?;
    account(&api, caller.account_id).await
}

/// An account
///
/// Reads the projection `directory`.
#[utoipa::path(
    get,
    path = "/v1/accounts/{account_id}",
    tag = crate::ROLE,
    params(AccountPath, PositionParams),
    responses((status = 200, description = "The account.", body = AccountView), QueryProblems, AccountNotFound),
    security(("access_token" = []))
)]
pub(crate) async fn get_account(
    State(api): State<Queries>,
    _: Authenticated,
    Path(AccountPath { account_id }): Path<AccountPath>,
    positions: MinPositions,
) -> Result<Json<AccountView>, Problem> {
    let _place = api.directory_at(&positions).await?;
    account(&api, account_id).await
}

async fn account(api: &QueryApi, account_id: AccountId) -> Result<Json<AccountView>, Problem> {
    let row = api.directory.account(account_id).await?;
    let row = row.ok_or_else(|| Problem::not_found("account_not_found", "There is no such account."))?;
    Ok(Json(row.into()))
}
