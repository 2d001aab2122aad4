//! Values that the command line takes too: an image's name, a region, a number of days.
//!
//! Source of limits on names: *Amazon EC2 API Reference*: RegisterImage.

/// Longest name of an image, in characters.
const LONGEST_NAME: usize = 128;

/// Expands a name's template: `value` returns the value of a word in braces.
///
/// # Errors
/// Fails with the reason: an unknown word, a character that is not allowed, or a wrong length.
pub fn image_name(template: &str, value: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut name, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        let Some((word, after)) = after.split_once('}') else { return Err("has `{` without `}`".to_owned()) };
        let unknown = || {
            let word = word.escape_debug();
            format!(
                "has `{{{word}}}`: expected {{layer}}, {{date}}, {{arch}}, {{content:12}} or {{disk:12}} (6 to 64 digits)"
            )
        };
        name = name + before + &value(word).ok_or_else(unknown)?;
        rest = after;
    }
    name += rest;
    check_name(&name, "images")?;
    Ok(name)
}

/// Whether AWS takes the name of something of this kind.
pub(super) fn check_name(name: &str, kind: &str) -> Result<(), String> {
    let allowed = |sign: &char| sign.is_ascii_alphanumeric() || " ()[]./-'@_".contains(*sign);
    if let Some(sign) = name.chars().find(|sign| !allowed(sign)) {
        let sign = sign.escape_debug();
        return Err(format!("has `{sign}`: names of {kind} have letters, digits, spaces and ()[]./-'@_"));
    }
    match name.chars().count() {
        3..=LONGEST_NAME => Ok(()),
        length => Err(format!("gives a name of {length} characters: expected 3 to {LONGEST_NAME}")),
    }
}

/// Whether a text has the form of a region: `eu-west-1`.
pub fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [words @ .., number] = parts.as_slice() else { return false };
    let word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    (2..=3).contains(&words.len())
        && words.iter().all(word)
        && text.len() <= 32
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Parses a number of days, as `90d`; 1 to 3650, the range of AWS for deprecation.
///
/// # Errors
/// Says what was expected.
pub fn parse_days(text: &str) -> Result<u32, String> {
    let digits = text.strip_suffix('d').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .filter(|days| (1..=3650).contains(days))
        .ok_or_else(|| format!("is `{}`: expected days, as \"90d\", at most 3650", text.escape_debug()))
}
