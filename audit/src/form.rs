//! The values of which checkpoints and keys consist. Each has one text, which is in the JSON and is what is
//! signed.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
/// The last millisecond of the year 9999, which RFC 3339 ends with.
const LAST_MS: i64 = 253_402_300_799_999;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct FormError(&'static str);

/// A moment in milliseconds, RFC 3339 with three digits and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(i64);

impl Time {
    /// Milliseconds since 1970; what lies before that or after the year 9999 becomes the nearest that does not.
    pub fn from_ms(ms: i64) -> Self {
        Self(ms.clamp(0, LAST_MS))
    }

    pub fn ms(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        let text = time.ok().and_then(|time| time.format(TIME).ok());
        f.write_str(&text.expect("every moment up to the year 9999 has a text"))
    }
}

impl FromStr for Time {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let wrong = FormError("a time like 2026-12-01T00:00:00.000Z");
        let time = time::PrimitiveDateTime::parse(text, TIME).map_err(|_| wrong)?.assume_utc();
        let ms = i64::try_from(time.unix_timestamp_nanos() / 1_000_000).map_err(|_| wrong)?;
        // The one text of this moment, and no other that means the same.
        let time = Self::from_ms(ms);
        if time.to_string() == text { Ok(time) } else { Err(wrong) }
    }
}

/// 32 or 64 bytes as lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hex<const N: usize>(pub [u8; N]);

/// An Ed25519 public key, which is also its own name.
pub type PublicKey = Hex<32>;
/// An Ed25519 signature.
pub type Signature = Hex<64>;

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<const N: usize> FromStr for Hex<N> {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let wrong = FormError("lower-case hexadecimal digits of the right number");
        let digits = text.as_bytes();
        if digits.len() != 2 * N {
            return Err(wrong);
        }
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(wrong),
        };
        let mut bytes = [0; N];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

/// Serialized as its text.
macro_rules! as_text {
    ($([$($generics:tt)*] $type:ty),+) => {$(
        impl<$($generics)*> Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de, $($generics)*> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

as_text!([] Time, [const N: usize] Hex<N>);

impl PublicKey {
    pub fn of(key: &SigningKey) -> Self {
        Self(key.verifying_key().to_bytes())
    }

    /// Whether this key signed the text. Strict: of keys and signatures that have several forms, none counts.
    pub fn has_signed(&self, text: &str, signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

pub fn sign(key: &SigningKey, text: &str) -> Signature {
    Hex(key.sign(text.as_bytes()).to_bytes())
}

/// The text of values: each followed by a line feed, which none of them contains.
pub fn lines(values: &[&dyn fmt::Display]) -> String {
    values.iter().fold(String::new(), |text, value| {
        debug_assert!(!value.to_string().contains('\n'));
        format!("{text}{value}\n")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_has_one_text() {
        assert_eq!(Time::from_ms(1_796_083_200_007).to_string(), "2026-12-01T00:00:00.007Z");
        for other in [
            "2026-12-01T00:00:00Z",
            "2026-12-01T00:00:00.7Z",
            "2026-12-01T00:00:00.000+00:00",
            "2026-12-01t00:00:00.000z",
            "1969-12-31T23:59:59.999Z",
            "",
        ] {
            assert!(other.parse::<Time>().is_err(), "{other}");
        }
    }

    #[test]
    fn digits_have_one_case() {
        assert!("0g".repeat(32).parse::<PublicKey>().is_err());
        assert!("AB".repeat(32).parse::<PublicKey>().is_err());
        assert!("ab".repeat(31).parse::<PublicKey>().is_err());
        assert_eq!("ab".repeat(32).parse::<PublicKey>(), Ok(Hex([0xab; 32])));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ms: i64, bytes: [u8; 32]) {
            let time = Time::from_ms(ms);
            prop_assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
            let key = Hex(bytes);
            prop_assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
        }

        #[test]
        fn nothing_makes_the_parsers_panic(text in ".{0,80}") {
            let _ = text.parse::<Time>();
            let _ = text.parse::<PublicKey>();
        }
    }
}
