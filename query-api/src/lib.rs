//! Queries: rooms, members, messages and accounts, as the projections hold them.
//!
//! Each handler is one short function: extract, wait for `min_position`, authorize, read, answer.
//! Rows and the membership that opens them come from the same projection, so they agree: `directory`
//! for lists of rooms and members, `room_events` for messages and events. A room that the caller is
//! no member of answers like one that doesn't exist.
//!
//! Given guarded stores (see [`roomlog_stores::quarantine`]), a query about a room in quarantine answers
//! 503 `quarantined`; the list of the caller's rooms marks it.
//!
//! Errors: a handler returns [`Problem`].

mod access;
mod accounts;
mod events;
mod members;
mod messages;
mod pages;
mod params;
mod problems;
mod ranges;
mod rooms;

use std::sync::Arc;

use axum::extract::FromRef;
use roomlog_stores::progress::Progress;
use roomlog_stores::{DirectoryStore, RoomStore, Sealer};
use roomlog_web::{Auth, Problem};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Role of this router's operations: their tag in the OpenAPI document, by which a proxy routes.
pub const ROLE: &str = "query-api";

/// What the handlers share; cheap to clone.
#[derive(Clone)]
pub struct QueryApi {
    pub auth: Auth,
    pub rooms: Arc<dyn RoomStore>,
    pub directory: Arc<dyn DirectoryStore>,
    pub sealer: Sealer,
    /// The one that the projectors of this process report to, if it has any.
    pub progress: Arc<Progress>,
    pub limits: Limits,
}

impl FromRef<QueryApi> for Auth {
    fn from_ref(api: &QueryApi) -> Self {
        api.auth.clone()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Items on a page where the request doesn't say.
    pub default_page: usize,
    /// Most items on a page.
    pub max_page: usize,
    /// How many reads of the room store one page may take. More than one is needed only where what
    /// the caller may see has holes.
    pub max_reads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { default_page: 50, max_page: 200, max_reads: 8 }
    }
}

#[derive(OpenApi)]
#[openapi(components(schemas(Problem)), tags((name = ROLE, description = "Queries; each reads the projections that it names.")))]
struct Api;

/// Every query, with its description.
pub fn router(api: QueryApi) -> OpenApiRouter {
    operations().with_state(api)
}

/// The descriptions alone, for a document made without starting anything.
pub fn description() -> OpenApiRouter {
    OpenApiRouter::with_openapi(operations().into_openapi())
}

fn operations() -> OpenApiRouter<QueryApi> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(rooms::list_rooms))
        .routes(routes!(rooms::get_room))
        .routes(routes!(members::list_members))
        .routes(routes!(messages::list_messages))
        .routes(routes!(messages::get_message))
        .routes(routes!(events::list_events))
        .routes(routes!(accounts::get_own_account))
        .routes(routes!(accounts::get_account))
}
