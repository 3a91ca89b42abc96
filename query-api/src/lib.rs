//! Queries: rooms, members, messages and accounts, as the projections hold them.
//!
//! Each handler is one short function: extract, wait for `min_position`, authorize, read, answer.
//! Rows and the membership that opens them come from the same projection, so they agree: `directory`
//! for lists of rooms and members, `room_events` for messages and events. A room that the caller is
//! no member of answers like one that doesn't exist.
//!
//! Given guarded stores (see [`roomlog_stores::quarantine`]), a query about a room in quarantine answers
//! 503 `quarantined`; the list of the caller's rooms marks it. [`quarantine`] is the operator's view of it. [`audit`] is for auditors, and public.
//!
//! Errors: a handler returns [`Problem`].

mod access;
mod accounts;
pub mod audit;
mod events;
mod gate;
mod members;
mod messages;
mod pages;
mod params;
mod permissions;
mod problems;
pub mod quarantine;
mod ranges;
mod roles;
mod rooms;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use axum::middleware::from_fn;
use roomlog_stores::progress::Progress;
use roomlog_stores::{DirectoryStore, RoomStore, Sealer};
use roomlog_web::{Auth, MinPositions, Position, Problem, caching};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::gate::{Gate, Place};

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

/// The handlers' state, which is cloned for every request: what was given, and the gates of the stores.
#[derive(Clone)]
pub(crate) struct Queries(Arc<Inner>);

struct Inner {
    api: QueryApi,
    rooms_gate: Gate,
    directory_gate: Gate,
}

impl Queries {
    fn new(api: QueryApi) -> Self {
        let Limits { concurrent_reads, longest_queue, .. } = api.limits;
        Self(Arc::new(Inner {
            rooms_gate: Gate::new("room_events", concurrent_reads, longest_queue),
            directory_gate: Gate::new("directory", concurrent_reads, longest_queue),
            api,
        }))
    }

    /// Waits until the room store reflects the positions, then for a place at it.
    pub async fn rooms_at(&self, positions: &MinPositions) -> Result<Place, Problem> {
        positions.rooms(&self.progress, &*self.rooms).await?;
        self.0.rooms_gate.enter().await
    }

    /// The same for the directory.
    pub async fn directory_at(&self, positions: &MinPositions) -> Result<Place, Problem> {
        positions.directory(&self.progress, &*self.directory).await?;
        self.0.directory_gate.enter().await
    }
}

impl Deref for Queries {
    type Target = QueryApi;

    fn deref(&self) -> &QueryApi {
        &self.0.api
    }
}

impl FromRef<Queries> for Auth {
    fn from_ref(queries: &Queries) -> Self {
        queries.auth.clone()
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
    /// How many queries read one store at the same time; more wait.
    pub concurrent_reads: usize,
    /// Longest that a query waits for its turn before it is answered 503 `busy`.
    pub longest_queue: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            default_page: 50,
            max_page: 200,
            max_reads: 8,
            concurrent_reads: 64,
            longest_queue: Duration::from_millis(500),
        }
    }
}

#[derive(OpenApi)]
#[openapi(components(schemas(Position, Problem)), tags((name = ROLE, description = "Queries; each reads the projections that it names.")))]
struct Api;

/// Every query, with its description. Their answers can be kept and asked for again with
/// `If-None-Match`.
pub fn router(api: QueryApi) -> OpenApiRouter {
    operations().layer(from_fn(caching::revalidate)).with_state(Queries::new(api))
}

/// The descriptions alone, for a document made without starting anything.
pub fn description() -> OpenApiRouter {
    OpenApiRouter::with_openapi(operations().into_openapi())
}

fn operations() -> OpenApiRouter<Queries> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(rooms::list_rooms))
        .routes(routes!(rooms::get_room))
        .routes(routes!(members::list_members))
        .routes(routes!(permissions::explain))
        .routes(routes!(roles::list_roles))
        .routes(routes!(roles::list_overrides))
        .routes(routes!(messages::list_messages))
        .routes(routes!(messages::get_message))
        .routes(routes!(events::list_events))
        .routes(routes!(accounts::get_own_account))
        .routes(routes!(accounts::get_account))
}
