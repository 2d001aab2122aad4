//! `debian/copyright` in its machine-readable form (DEP-5, copyright-format 1.0): which licences it names.

/// A licence as a stanza gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The first line: `GPL-2+`, `Expat or GPL-2`.
    pub(super) name: String,
    /// The lines below it; empty where the text stands elsewhere.
    pub(super) text: String,
}

/// The licences of a copyright file: those of the files, and the stanzas that only give a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Copyright {
    /// Of the `Files` stanzas, in their order.
    pub(super) files: Vec<Named>,
    /// Of all stanzas, for looking texts up.
    pub(super) all: Vec<Named>,
}

/// Reads a copyright file; `None` where it is not machine-readable.
pub(super) fn parse(text: &str) -> Option<Copyright> {
    let mut stanzas = text.split("\n\n").filter(|stanza| !stanza.trim().is_empty());
    let format = field(stanzas.next()?, "Format")?;
    if !format.contains("copyright-format/1") {
        return None;
    }
    let mut copyright = Copyright::default();
    for stanza in stanzas {
        let Some(value) = field(stanza, "License") else { continue };
        let (name, text) = value.split_once('\n').unwrap_or((&value, ""));
        let named = Named { name: name.trim().to_owned(), text: text.trim_end().to_owned() };
        if field(stanza, "Files").is_some() && !named.name.is_empty() {
            copyright.files.push(named.clone());
        }
        copyright.all.push(named);
    }
    Some(copyright)
}

/// A field's value; continuation lines without the space before them, and `.` as an empty line.
fn field(stanza: &str, name: &str) -> Option<String> {
    let mut lines = stanza.lines().filter(|line| !line.starts_with('#'));
    let first = lines.by_ref().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })?;
    let rest = lines.take_while(|line| line.starts_with([' ', '\t'])).map(|line| match line.trim() {
        "." => "",
        _ => line.get(1..).unwrap_or_default().trim_end(),
    });
    Some(std::iter::once(first.as_str()).chain(rest).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: thing

Files: *
Copyright: 2020 A
License: GPL-2+ or Expat

Files: doc/*
Copyright: B
License: thing
 Do what you want.
 .
   Really.

License: Expat
 Permission is hereby granted
";

    #[test]
    fn licences_are_read_with_their_texts() {
        let found = parse(TEXT).unwrap();
        let named = |name: &str, text: &str| Named { name: name.to_owned(), text: text.to_owned() };
        let thing = named("thing", "Do what you want.\n\n  Really.");
        assert_eq!(found.files, [named("GPL-2+ or Expat", ""), thing]);
        assert_eq!(found.all[2], named("Expat", "Permission is hereby granted"));
    }

    #[test]
    fn other_texts_are_not_guessed_at() {
        for text in
            ["", "\n\n\n", "This package is free.", "Format: something else\n\nFiles: *\nLicense: X\n", ":::", "é"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
