//! The routes of the role `command-api`.

mod accounts;
pub(crate) mod described;
mod imports;
mod key;
mod roles;
mod rooms;
mod sessions;

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef};
use roomlog_web::Auth;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accounts::Accounts;
use crate::import::Importer;
use crate::service::Service;
use crate::sessions::Sessions;

/// A message of 64 KiB, every character of it escaped, and its envelope.
const MAX_BODY: usize = 512 * 1024;
/// A batch of an import.
const MAX_IMPORT_BODY: usize = 8 * 1024 * 1024;

#[derive(Clone)]
pub struct CommandApi {
    pub auth: Auth,
    pub service: Service,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub importer: Importer,
}

/// The handlers' state, which is cloned for every request.
#[derive(Clone)]
struct Api(Arc<CommandApi>);

impl Deref for Api {
    type Target = CommandApi;

    fn deref(&self) -> &CommandApi {
        &self.0
    }
}

impl FromRef<Api> for Auth {
    fn from_ref(api: &Api) -> Auth {
        api.auth.clone()
    }
}

/// Every command, with its description.
pub fn router(api: CommandApi) -> OpenApiRouter {
    operations().with_state(Api(Arc::new(api)))
}

fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(accounts::register))
        .routes(routes!(accounts::claim))
        .routes(routes!(accounts::log_in))
        .routes(routes!(accounts::refresh))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::log_out))
        .routes(routes!(sessions::end))
        .routes(routes!(rooms::create))
        .routes(routes!(rooms::join, rooms::leave))
        .routes(routes!(rooms::send))
        .routes(routes!(roles::set_role, roles::take_role))
        .routes(routes!(roles::transfer_ownership))
        .routes(routes!(roles::create_role))
        .routes(routes!(roles::change_role, roles::remove_role))
        .routes(routes!(roles::set_override, roles::take_back_override))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(imports::import))
                .routes(routes!(imports::progress))
                .routes(routes!(imports::claim_code))
                .layer(DefaultBodyLimit::max(MAX_IMPORT_BODY)),
        )
}

/// The operations alone, for the document.
pub fn description() -> OpenApiRouter {
    let (_, document) = operations().split_for_parts();
    OpenApiRouter::with_openapi(document)
}
