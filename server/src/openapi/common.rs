//! What every operation of a certain shape can answer, whatever it does: said here once, and added to what the
//! operation says of itself.

use roomlog_query_api as query_api;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::{Content, HeaderBuilder, Object, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type};

const ROLES_WITH_LIMITS: [&str; 2] = ["command-api", query_api::ROLE];
const KEY: &str = "Idempotency-Key";

/// A status, and the codes of its problem, perhaps with a word on them.
type Answer = (&'static str, &'static [&'static str]);

const WITH_TOKEN: Answer = ("401", &["unauthorized", "token_invalid", "token_expired", "session_ended"]);
const WITH_ADMINISTRATORS_TOKEN: [Answer; 2] = [WITH_TOKEN, ("403", &["administrator_only"])];
const WITH_PATH: Answer = ("400", &["invalid_path"]);
const WITH_QUERY: Answer = ("400", &["invalid_query"]);
const WITH_BODY: [Answer; 4] = [
    ("400", &["malformed_json", "unreadable_body"]),
    ("413", &["body_too_large"]),
    ("415", &["unsupported_media_type"]),
    ("422", &["invalid_body"]),
];
/// A key makes it a command, which is written to the log.
const WITH_KEY: [Answer; 5] = [
    ("400", &["invalid_idempotency_key"]),
    ("409", &["key_expired"]),
    ("422", &["key_reused"]),
    ("429", &["overloaded: nothing was written"]),
    (
        "503",
        &[
            "store_unavailable",
            "log_unavailable: nothing was written",
            "outcome_unknown: repeat with the key",
        ],
    ),
];
const WITH_LIMITS: [Answer; 2] =
    [("408", &["request_timeout"]), ("429", &["rate_limited: nothing was done"])];
/// Commands without a key, log-ins and imports among them, need the stores at least.
const OF_COMMAND_API: Answer = ("503", &["store_unavailable"]);

/// Adds them to every operation that one of the roles with limits serves.
pub fn describe(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.put, &mut item.post, &mut item.delete].into_iter().flatten() {
            describe_operation(operation, false);
        }
        if let Some(operation) = &mut item.get {
            describe_operation(operation, true);
        }
    }
}

fn describe_operation(operation: &mut Operation, is_get: bool) {
    let mut tags = operation.tags.iter().flatten();
    let Some(role) = tags.find_map(|tag| ROLES_WITH_LIMITS.into_iter().find(|role| role == tag)) else {
        return;
    };
    for (status, codes) in answers(operation, role) {
        add(operation, status, codes);
    }
    if role == query_api::ROLE && is_get {
        let unchanged = "What `If-None-Match` names is still what there is.";
        let unchanged = ResponseBuilder::new().description(unchanged).build();
        operation.responses.responses.insert("304".into(), unchanged.into());
    }
}

fn answers(operation: &Operation, role: &str) -> Vec<Answer> {
    let mut answers = WITH_LIMITS.to_vec();
    if needs(operation, "administrator_token") {
        answers.extend(WITH_ADMINISTRATORS_TOKEN);
    } else if needs(operation, "access_token") {
        answers.push(WITH_TOKEN);
    }
    let has = |is: fn(&Parameter) -> bool| operation.parameters.iter().flatten().any(is_parameter(is));
    if has(|parameter| parameter.parameter_in == ParameterIn::Path) {
        answers.push(WITH_PATH);
    }
    if has(|parameter| parameter.parameter_in == ParameterIn::Query) {
        answers.push(WITH_QUERY);
    }
    if operation.request_body.is_some() {
        answers.extend(WITH_BODY);
    }
    if has(|parameter| parameter.name == KEY) {
        answers.extend(WITH_KEY);
    }
    if role != query_api::ROLE {
        answers.push(OF_COMMAND_API);
    }
    answers
}

fn is_parameter(is: fn(&Parameter) -> bool) -> impl Fn(&RefOr<Parameter>) -> bool {
    move |parameter| matches!(parameter, RefOr::T(parameter) if is(parameter))
}

fn needs(operation: &Operation, scheme: &str) -> bool {
    operation.security.iter().flatten().any(|requirement| {
        serde_json::to_value(requirement).is_ok_and(|schemes| schemes.get(scheme).is_some())
    })
}

/// The codes that the operation does not name itself.
fn add(operation: &mut Operation, status: &str, codes: &[&str]) {
    let described = operation.responses.responses.entry(status.to_owned());
    let RefOr::T(response) = described.or_insert_with(|| problem().into()) else { return };
    for code in codes {
        let (code, word) = code.split_once(':').map_or((*code, None), |(code, word)| (code, Some(word)));
        let code = format!("`{code}`");
        let said = response.description.trim_end();
        if said.contains(&code) {
            continue;
        }
        let separator = match said {
            "" => "",
            _ if said.contains(':') => "; ",
            _ => ", ",
        };
        let word = word.map(|word| format!(":{word}")).unwrap_or_default();
        response.description = format!("{said}{separator}{code}{word}");
    }
    if ["429", "503"].contains(&status) {
        let seconds = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::Integer)))
            .description(Some("Seconds after which to ask again."))
            .build();
        response.headers.entry("Retry-After".to_owned()).or_insert(seconds.into());
    }
}

fn problem() -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().content("application/problem+json", content).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_said_once_and_what_is_said_stays() {
        let mut operation = Operation::new();
        let said = ResponseBuilder::new().description("`overloaded`: too much; `busy`").build();
        operation.responses.responses.insert("429".into(), said.into());
        add(&mut operation, "429", &["busy", "rate_limited: nothing was done"]);
        add(&mut operation, "401", &["unauthorized", "token_invalid"]);
        let description = |status: &str| match &operation.responses.responses[status] {
            RefOr::T(response) => response.description.clone(),
            RefOr::Ref(_) => panic!("a reference"),
        };
        assert_eq!(description("429"), "`overloaded`: too much; `busy`; `rate_limited`: nothing was done");
        assert_eq!(description("401"), "`unauthorized`, `token_invalid`");
    }

    #[test]
    fn every_operation_of_a_role_says_what_its_shape_answers() {
        let document = crate::openapi::document();
        let operations =
            document.paths.paths.values().flat_map(|item| [&item.get, &item.put, &item.post, &item.delete]);
        let mut seen = 0;
        for operation in operations.flatten() {
            let name = operation.operation_id.as_deref().unwrap_or_default();
            let answers = |status: &str| operation.responses.responses.contains_key(status);
            if name == "token_keys" {
                assert!(!answers("429"), "{name}: without limits");
                continue;
            }
            assert!(answers("408") && answers("429") && answers("503"), "{name}");
            assert_eq!(answers("415"), operation.request_body.is_some(), "{name}");
            assert!(answers("401") || operation.security.is_none(), "{name}");
            seen += 1;
        }
        assert!(seen > 20, "{seen}");
    }
}
