//! The OpenAPI document: made from the code of every role.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{Content, HeaderBuilder, Info, Object, OpenApi, Ref, ResponseBuilder, Server, Type};

const ROLES_WITH_LIMITS: [&str; 2] = ["command-api", roomlog_query_api::ROLE];

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
    describe_limits(&mut document);
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

/// What every operation may answer, whichever role serves it.
fn describe_limits(document: &mut OpenApi) {
    let problem = |description: &str| {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        ResponseBuilder::new().description(description).content("application/problem+json", content)
    };
    let operations = document.paths.paths.values_mut().flat_map(|item| {
        let others = [&mut item.put, &mut item.post, &mut item.delete].map(|operation| (operation, false));
        let all = std::iter::once((&mut item.get, true)).chain(others);
        all.filter_map(|(operation, is_get)| Some((operation.as_mut()?, is_get)))
    });
    for (operation, is_get) in operations {
        let tags = operation.tags.iter().flatten();
        let Some(role) = tags.map(String::as_str).find(|role| ROLES_WITH_LIMITS.contains(role)) else {
            continue;
        };
        let is_query = role == roomlog_query_api::ROLE && is_get;
        let responses = &mut operation.responses.responses;
        let seconds = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::Integer)))
            .description(Some("Seconds after which to ask again."))
            .build();
        let limited = match responses.get("429") {
            Some(_) => "`rate_limited`, `overloaded`: nothing was done",
            None => "`rate_limited`: nothing was done",
        };
        let limited = problem(limited).header("Retry-After", seconds).build();
        responses.insert("429".into(), limited.into());
        if is_query {
            let unchanged = ResponseBuilder::new()
                .description("What `If-None-Match` names is still what there is.")
                .build();
            responses.insert("304".into(), unchanged.into());
        }
    }
}

/// Without starting anything.
pub fn document() -> OpenApi {
    crate::http::api_document()
}
