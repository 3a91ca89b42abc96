//! What texts and names may look like.

use roomlog_web::Problem;
use unicode_normalization::UnicodeNormalization;

/// Bytes of UTF-8.
pub const MAX_MESSAGE_LEN: usize = 64 * 1024;
/// Characters.
pub const MAX_NAME_CHARS: usize = 100;
/// Characters.
pub const MAX_USERNAME_CHARS: usize = 64;
/// RFC 5321: a path of 256 with its brackets.
pub const MAX_EMAIL_LEN: usize = 254;
/// Bytes: long enough for any passphrase, short enough to hash.
pub const MAX_PASSWORD_LEN: usize = 1024;
/// Characters.
pub const MIN_PASSWORD_CHARS: usize = 8;

pub fn check_message(text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::unprocessable("text_empty", "A message has a text.", "text"));
    }
    if text.len() > MAX_MESSAGE_LEN {
        return Err(Problem::unprocessable("text_too_long", "A message has at most 64 KiB of text.", "text"));
    }
    Ok(())
}

pub fn check_room_name(name: &str) -> Result<(), Problem> {
    check_name(name, "A room's name has 1 to 100 characters and no control characters.")
}

pub fn check_role_name(name: &str) -> Result<(), Problem> {
    check_name(name, "A role's name has 1 to 100 characters and no control characters.")
}

fn check_name(name: &str, rule: &str) -> Result<(), Problem> {
    let chars = name.chars().count();
    if name.trim().is_empty() || chars > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(Problem::unprocessable("invalid_name", rule, "name"));
    }
    Ok(())
}

/// Checks a user name and folds it for comparison.
pub fn fold_username(username: &str) -> Result<String, Problem> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let chars = username.chars().count();
    let starts_well = username.chars().next().is_some_and(char::is_alphanumeric);
    if !starts_well || chars > MAX_USERNAME_CHARS || !username.chars().all(allowed) {
        return Err(Problem::unprocessable(
            "invalid_username",
            "A user name has 1 to 64 letters, digits, `_`, `-` or `.`, and begins with a letter or digit.",
            "username",
        ));
    }
    Ok(fold(username))
}

/// Checks an e-mail address roughly (only sending to it proves it) and folds it for comparison.
pub fn fold_email(email: &str) -> Result<String, Problem> {
    let well_formed = email.len() <= MAX_EMAIL_LEN
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if !well_formed {
        return Err(Problem::unprocessable("invalid_email", "This is not an e-mail address.", "email"));
    }
    Ok(fold(email))
}

pub fn check_password(password: &str) -> Result<(), Problem> {
    if password.chars().count() < MIN_PASSWORD_CHARS || password.len() > MAX_PASSWORD_LEN {
        return Err(Problem::unprocessable(
            "invalid_password",
            "A password has at least 8 characters and at most 1024 bytes.",
            "password",
        ));
    }
    Ok(())
}

/// Two names that look alike to a reader fold to the same text (Unicode NFKC, lower case).
pub fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_fold_alike() {
        assert_eq!(fold("Ada"), fold("ADA"));
        assert_eq!(fold("ﬁn"), "fin");
        assert_eq!(fold("e\u{301}"), fold("É"));
    }

    #[test]
    fn limits_hold_at_their_edges() {
        assert!(check_message(&"a".repeat(MAX_MESSAGE_LEN)).is_ok());
        assert!(check_message(&"a".repeat(MAX_MESSAGE_LEN + 1)).is_err());
        assert!(check_message(" \n").is_err());
        assert!(check_room_name(&"é".repeat(MAX_NAME_CHARS)).is_ok());
        assert!(check_room_name(&"é".repeat(MAX_NAME_CHARS + 1)).is_err());
        assert!(check_room_name("a\u{0}").is_err());
        assert!(fold_username("a.b_c-9").is_ok());
        for bad in ["", "-a", "a b", "a@b", "a/b", "a\u{200b}", &"a".repeat(65)] {
            assert!(fold_username(bad).is_err(), "{bad:?}");
        }
        assert!(fold_email("a@b").is_ok());
        for bad in ["", "a", "@b", "a@", "a b@c", &format!("{}@b", "a".repeat(254))] {
            assert!(fold_email(bad).is_err(), "{bad:?}");
        }
        assert!(check_password("12345678").is_ok());
        assert!(check_password("1234567").is_err());
    }
}
