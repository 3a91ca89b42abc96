//! Roles: who holds which, what custom ones a root has, what a room says of them.

use axum::extract::State;
use axum::http::StatusCode;
use roomlog_domain::{Permissions, Role};
use roomlog_schemas::{AccountId, RoleId, RoomId};
use roomlog_web::commands::{Answer, ClientCommand, Commands};
use roomlog_web::described::{PermissionName, role};
use roomlog_web::{Authenticated, Json, Path, Problem};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::key::{Key, KeyHeader};
use super::{Api, described};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    #[schema(schema_with = role)]
    role: Role,
}

/// Give a member a role
///
/// In place of the one it has in this room. A role counts in its room and in every room below. The role
/// `member` takes one away. No one gives a permission that they do not hold, in any room where it would
/// count, or acts on someone, or gives a role, of equal or higher rank; but an owner makes other owners of
/// the same room, and anyone steps down to `member`.
#[utoipa::path(put, path = "/v1/rooms/{room_id}/members/{account_id}/role", tag = "command-api",
    security(("access_token" = [])),
    params(("room_id" = uuid::Uuid, Path), ("account_id" = uuid::Uuid, Path), KeyHeader),
    request_body = RoleBody,
    responses(
        (status = 200, description = "The member has the role", body = Answer),
        (status = 403, description = "`not_a_member`, `not_allowed`, `rank_too_low`, `permission_not_held`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`room_not_found`, `member_not_found`, `role_not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`last_owner`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`guest_of_root_only`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn set_role(
    State(api): State<Api>,
    who: Authenticated,
    Path((room_id, account_id)): Path<(RoomId, AccountId)>,
    Key(key): Key,
    Json(RoleBody { role }): Json<RoleBody>,
) -> Result<Json<Answer>, Problem> {
    let command = ClientCommand::SetRole { room_id, account_id, role };
    api.service.run(who.account_id, key, command).await.map(Json)
}

/// Take a member's role away
///
/// The same as giving it the role `member`.
#[utoipa::path(delete, path = "/v1/rooms/{room_id}/members/{account_id}/role", tag = "command-api",
    security(("access_token" = [])),
    params(("room_id" = uuid::Uuid, Path), ("account_id" = uuid::Uuid, Path), KeyHeader),
    responses(
        (status = 200, description = "It is a plain member", body = Answer),
        (status = 403, description = "`not_a_member`, `not_allowed`, `rank_too_low`, `permission_not_held`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`room_not_found`, `member_not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`last_owner`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn take_role(
    State(api): State<Api>,
    who: Authenticated,
    Path((room_id, account_id)): Path<(RoomId, AccountId)>,
    Key(key): Key,
) -> Result<Json<Answer>, Problem> {
    let command = ClientCommand::SetRole { room_id, account_id, role: Role::Member };
    api.service.run(who.account_id, key, command).await.map(Json)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnerBody {
    #[schema(value_type = uuid::Uuid)]
    account_id: AccountId,
}

/// Hand a room over
///
/// The caller, an owner of this very room, makes another member its owner and is an admin from then on.
#[utoipa::path(put, path = "/v1/rooms/{room_id}/owner", tag = "command-api", security(("access_token" = [])),
    params(("room_id" = uuid::Uuid, Path), KeyHeader),
    request_body = OwnerBody,
    responses(
        (status = 200, description = "The other account is an owner, and you are an admin", body = Answer),
        (status = 403, description = "`not_a_member`, `not_allowed`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`room_not_found`, `member_not_found`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn transfer_ownership(
    State(api): State<Api>,
    who: Authenticated,
    Path(room_id): Path<RoomId>,
    Key(key): Key,
    Json(OwnerBody { account_id }): Json<OwnerBody>,
) -> Result<Json<Answer>, Problem> {
    let command = ClientCommand::TransferOwnership { room_id, account_id };
    api.service.run(who.account_id, key, command).await.map(Json)
}

/// A custom role as it shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DefinitionBody {
    #[schema(schema_with = described::name)]
    name: String,
    /// Below the caller's own rank. Owners have 100, admins 80, moderators 60, members 20, guests 10.
    #[schema(minimum = 1, maximum = 99)]
    rank: u8,
    #[serde(default)]
    #[schema(value_type = Vec<PermissionName>)]
    permissions: Permissions,
}

/// Make a custom role
///
/// Of a root room, for the whole tree.
#[utoipa::path(post, path = "/v1/rooms/{room_id}/roles", tag = "command-api", security(("access_token" = [])),
    params(("room_id" = uuid::Uuid, Path), KeyHeader),
    request_body = DefinitionBody,
    responses(
        (status = 201, description = "The role exists", body = Answer),
        (status = 403, description = "`not_a_member`, `not_allowed`, `rank_too_low`, `permission_not_held`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`room_not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_name`, `invalid_rank`, `roles_are_of_roots`, `too_many_roles`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn create_role(
    State(api): State<Api>,
    who: Authenticated,
    Path(room_id): Path<RoomId>,
    Key(key): Key,
    Json(body): Json<DefinitionBody>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let DefinitionBody { name, rank, permissions } = body;
    let command = ClientCommand::CreateRole { room_id, name, rank, permissions };
    let answer = api.service.run(who.account_id, key, command).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Change a custom role
///
/// Whoever holds it has at once what it is now.
#[utoipa::path(put, path = "/v1/rooms/{room_id}/roles/{role_id}", tag = "command-api",
    security(("access_token" = [])),
    params(("room_id" = uuid::Uuid, Path), ("role_id" = uuid::Uuid, Path), KeyHeader),
    request_body = DefinitionBody,
    responses(
        (status = 200, description = "The role is so", body = Answer),
        (status = 403, description = "`not_a_member`, `not_allowed`, `rank_too_low`, `permission_not_held`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`room_not_found`, `role_not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_name`, `invalid_rank`, `roles_are_of_roots`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn change_role(
    State(api): State<Api>,
    who: Authenticated,
    Path((room_id, role_id)): Path<(RoomId, RoleId)>,
    Key(key): Key,
    Json(body): Json<DefinitionBody>,
) -> Result<Json<Answer>, Problem> {
    let DefinitionBody { name, rank, permissions } = body;
    let command = ClientCommand::ChangeRole { room_id, role_id, name, rank, permissions };
    api.service.run(who.account_id, key, command).await.map(Json)
}

/// Remove a custom role
///
/// With what rooms say of it. Whoever holds it is a plain member.
#[utoipa::path(delete, path = "/v1/rooms/{room_id}/roles/{role_id}", tag = "command-api",
    security(("access_token" = [])),
    params(("room_id" = uuid::Uuid, Path), ("role_id" = uuid::Uuid, Path), KeyHeader),
    responses(
        (status = 200, description = "The role is no more", body = Answer),
        (status = 403, description = "`not_a_member`, `not_allowed`, `rank_too_low`, `permission_not_held`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`room_not_found`, `role_not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`roles_are_of_roots`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn remove_role(
    State(api): State<Api>,
    who: Authenticated,
    Path((room_id, role_id)): Path<(RoomId, RoleId)>,
    Key(key): Key,
) -> Result<Json<Answer>, Problem> {
    api.service.run(who.account_id, key, ClientCommand::RemoveRole { room_id, role_id }).await.map(Json)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OverridePath {
    #[param(value_type = uuid::Uuid)]
    room_id: RoomId,
    #[param(schema_with = role)]
    role: Role,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideBody {
    #[serde(default)]
    #[schema(value_type = Vec<PermissionName>)]
    allow: Permissions,
    #[serde(default)]
    #[schema(value_type = Vec<PermissionName>)]
    deny: Permissions,
}

/// Say what a room allows or denies a role
///
/// For this room and what lies below it, where the nearest room that says something counts. Of owners no
/// room can say anything.
#[utoipa::path(put, path = "/v1/rooms/{room_id}/overrides/{role}", tag = "command-api",
    security(("access_token" = [])),
    params(OverridePath, KeyHeader),
    request_body = OverrideBody,
    responses(
        (status = 200, description = "The room says so", body = Answer),
        (status = 403, description = "`not_a_member`, `not_allowed`, `rank_too_low`, `permission_not_held`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`room_not_found`, `role_not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`override_contradicts`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn set_override(
    State(api): State<Api>,
    who: Authenticated,
    Path(OverridePath { room_id, role }): Path<OverridePath>,
    Key(key): Key,
    Json(OverrideBody { allow, deny }): Json<OverrideBody>,
) -> Result<Json<Answer>, Problem> {
    let command = ClientCommand::SetOverride { room_id, role, allow, deny };
    api.service.run(who.account_id, key, command).await.map(Json)
}

/// Take back what a room says of a role
#[utoipa::path(delete, path = "/v1/rooms/{room_id}/overrides/{role}", tag = "command-api",
    security(("access_token" = [])),
    params(OverridePath, KeyHeader),
    responses(
        (status = 200, description = "The room says nothing of it", body = Answer),
        (status = 403, description = "`not_a_member`, `not_allowed`, `rank_too_low`, `permission_not_held`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`room_not_found`, `role_not_found`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn take_back_override(
    State(api): State<Api>,
    who: Authenticated,
    Path(OverridePath { room_id, role }): Path<OverridePath>,
    Key(key): Key,
) -> Result<Json<Answer>, Problem> {
    let (allow, deny) = (Permissions::NONE, Permissions::NONE);
    let command = ClientCommand::SetOverride { room_id, role, allow, deny };
    api.service.run(who.account_id, key, command).await.map(Json)
}
