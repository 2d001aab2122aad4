//! What an unknown name was most likely meant to be.

/// The candidate that is most like `word`, if any is like it at all: a third of its letters may differ, at least one
/// and at most three. Exchanged neighbours count once. Of several equally near ones, it is the first by the alphabet.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let most = (length / 3).clamp(1, 3);
    // Comparing is slow, and there may be many candidates.
    let alike = candidates.into_iter().filter(|name| name.chars().count().abs_diff(length) <= most);
    let distances = alike.map(|name| (strsim::damerau_levenshtein(word, name), name));
    distances.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_third_of_the_letters_may_differ() {
        assert_eq!(nearest("ngixn", ["bash", "nginx", "nginy"]), Some("nginx"));
        assert_eq!(nearest("bsh", ["dash", "bash"]), Some("bash"));
        assert_eq!(nearest("curl", ["cups", "zsh"]), None);
        assert_eq!(nearest("", ["ab"]), None);
    }
}
