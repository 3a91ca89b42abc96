//! What the OpenAPI document says of texts, beside the checks in [`crate::text`]: a client that keeps to it is
//! refused only for what no schema can say.

use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::text::{MAX_EMAIL_LEN, MAX_MESSAGE_LEN, MAX_NAME_CHARS, MAX_PASSWORD_LEN, MIN_PASSWORD_CHARS};

pub fn email() -> Object {
    text("An e-mail address of at most 254 bytes of UTF-8.")
        .examples(["ada@example.org"])
        .max_length(Some(MAX_EMAIL_LEN))
        .pattern(Some(r"^[^\s\x00-\x1f\x7f-\x9f]+@[^\s\x00-\x1f\x7f-\x9f@]+$"))
        .build()
}

pub fn username() -> Object {
    text("1 to 64 letters, digits, `_`, `-` or `.`, the first one a letter or digit.")
        .examples(["ada"])
        .pattern(Some(r"^[\p{L}\p{N}][\p{L}\p{N}_.-]{0,63}$"))
        .build()
}

pub fn password() -> Object {
    text("At least 8 characters, at most 1024 bytes of UTF-8.")
        .examples(["correct horse battery staple"])
        .min_length(Some(MIN_PASSWORD_CHARS))
        .max_length(Some(MAX_PASSWORD_LEN))
        .build()
}

pub fn message() -> Object {
    text("At most 64 KiB of UTF-8, and not blank.")
        .examples(["Hello!"])
        .max_length(Some(MAX_MESSAGE_LEN))
        .pattern(Some(r"\S"))
        .build()
}

/// As [`crate::text::check_role_name`] has it.
pub fn name() -> Object {
    text("1 to 100 characters, no control characters, not only blanks.")
        .examples(["Helper"])
        .min_length(Some(1))
        .max_length(Some(MAX_NAME_CHARS))
        .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"))
        .build()
}

/// As [`crate::text::check_room_name`] has it, with `/` between the names.
pub fn room_path() -> Object {
    let name = r"[^\x00-\x1f\x7f-\x9f/]*[^\s\x00-\x1f\x7f-\x9f/][^\x00-\x1f\x7f-\x9f/]*";
    text("Path of rooms' names, each of 1 to 100 characters: `root/sub`.")
        .examples(["ubuntu/support"])
        .pattern(Some(format!("^{name}(/{name})*$")))
        .build()
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}
