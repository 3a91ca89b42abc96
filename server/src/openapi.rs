//! The OpenAPI document: made from the code of every role.

mod common;

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{Info, OpenApi, Server};

/// The whole document. Each operation's tag is the role that serves it.
pub fn complete(mut document: OpenApi) -> OpenApi {
    let mut info = Info::new("Roomlog", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "An event-sourced chat platform. The tag of an operation is the role that serves it. Errors are \
         `application/problem+json` with a stable `code`. The live stream `GET /v1/stream` is in \
         docs/asyncapi.yaml. On a server's own page, `/docs/`, a log-in by `POST /v1/sessions` is used for \
         what follows."
            .into(),
    );
    document.info = info;
    document.servers = Some(vec![Server::new("/")]);
    document.tags = Some(vec![
        tag("command-api", "Accounts, sessions and commands."),
        tag(roomlog_query_api::ROLE, "Queries; each reads the projections that it names."),
        tag("any", "What every role serves."),
    ]);
    common::describe(&mut document);
    let components = document.components.get_or_insert_default();
    let bearer = |format: &str, description: &str| {
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format(format)
                .description(Some(description))
                .build(),
        )
    };
    components.security_schemes.insert(
        "access_token".into(),
        bearer("JWT", "From `POST /v1/sessions`; valid for 15 minutes.").into(),
    );
    components.security_schemes.insert(
        "administrator_token".into(),
        bearer("opaque", "The operator's token, in the data folder's `administrator.token`.").into(),
    );
    document
}

fn tag(name: &str, description: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

/// Without starting anything.
pub fn document() -> OpenApi {
    crate::http::api_document()
}
