//! Numbers as a person reads them.

/// Three digits that say something; whole numbers from 100 on.
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        small if small >= 1.0 => 2,
        0.0 => 0,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        let shown = [0.0, 0.1834, 1.234, 12.34, 1234.5].map(number);
        assert_eq!(shown, ["0", "0.183", "1.23", "12.3", "1234"]);
    }
}
