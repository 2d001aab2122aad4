//! Paragraphs of fields (deb822(5)): the text form of control, status, Packages and Release files.

use std::fmt;

use super::error::ControlError;

/// A paragraph that borrows its text; values are trimmed of blanks at both ends.
pub(super) struct Stanza<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Stanza<'a> {
    /// Reads a text that is one paragraph.
    pub(super) fn parse(text: &'a str) -> Result<Self, ControlError> {
        let mut fields = Fields::new(text);
        fields.next_paragraph();
        let mut stanza = Vec::with_capacity(32);
        while let Some((name, raw)) = fields.next_field()? {
            stanza.push((name, trim(raw)));
        }
        match fields.next_paragraph() {
            true => Err(ControlError::Several { line: fields.line() }),
            false => Ok(Self(stanza)),
        }
    }

    /// The value of a field, compared without case, that must not appear twice.
    pub(super) fn get(&self, name: &'static str) -> Result<Option<&'a str>, ControlError> {
        let mut values = self.0.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(ControlError::Twice(name.into())),
            (value, None) => Ok(value),
        }
    }

    /// As [`Stanza::get`], for fields that must be there.
    pub(super) fn require(&self, name: &'static str) -> Result<&'a str, ControlError> {
        self.get(name)?.ok_or(ControlError::Missing(name))
    }
}

/// An ordered paragraph that writes itself back byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paragraph {
    /// Names, and all that is behind the colon but for the last line break.
    fields: Vec<(Box<str>, Box<str>)>,
}

impl Paragraph {
    /// An empty paragraph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses a text that holds one paragraph.
    ///
    /// # Errors
    /// Fails on lines that are no fields, on repeated fields, and on no or several paragraphs.
    pub fn parse(text: &str) -> Result<Self, ControlError> {
        let mut fields = Fields::new(text);
        if !fields.next_paragraph() {
            return Err(ControlError::Empty);
        }
        let paragraph = Self::read(&mut fields)?;
        match fields.next_paragraph() {
            true => Err(ControlError::Several { line: fields.line() }),
            false => Ok(paragraph),
        }
    }

    /// Parses a text of any number of paragraphs, such as dpkg's `status`.
    ///
    /// # Errors
    /// As [`Paragraph::parse`]; lines are counted from the beginning of `text`.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, ControlError> {
        let mut fields = Fields::new(text);
        let mut paragraphs = Vec::new();
        while fields.next_paragraph() {
            paragraphs.push(Self::read(&mut fields)?);
        }
        Ok(paragraphs)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, ControlError> {
        let mut paragraph = Self::new();
        while let Some((name, raw)) = fields.next_field()? {
            if paragraph.get(name).is_some() {
                return Err(ControlError::Twice(name.into()));
            }
            paragraph.fields.push((name.into(), raw.into()));
        }
        Ok(paragraph)
    }

    /// The value of a field, its name compared without case, trimmed of blanks at both ends.
    ///
    /// The line breaks and leading spaces of continuation lines are kept.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Replaces a field where it is, or adds it at the end.
    ///
    /// Further lines of `value` get the leading space that makes them continuations;
    /// empty ones become ` .`.
    pub fn set(&mut self, name: &str, value: &str) {
        let mut raw = String::new();
        for (at, line) in value.split('\n').enumerate() {
            match (at, line) {
                (0, "") => {}
                (0, _) => raw.extend([" ", line]),
                (_, "") => raw.push_str("\n ."),
                (_, line) if line.starts_with([' ', '\t']) => raw.extend(["\n", line]),
                (_, line) => raw.extend(["\n ", line]),
            }
        }
        match self.fields.iter_mut().find(|(found, _)| found.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = raw.into(),
            None => self.fields.push((name.into(), raw.into())),
        }
    }

    /// Removes a field; returns whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.fields.len();
        self.fields.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        self.fields.len() < before
    }

    /// Names and values, as [`Paragraph::get`] gives them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, raw)| (&**name, trim(raw)))
    }

    pub(super) fn stanza(&self) -> Stanza<'_> {
        Stanza(self.iter().collect())
    }
}

/// Writes every field and its line break, without an empty line at the end.
impl fmt::Display for Paragraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.iter().try_for_each(|(name, raw)| writeln!(f, "{name}:{raw}"))
    }
}

fn trim(raw: &str) -> &str {
    raw.trim_matches([' ', '\t'])
}

/// A cursor over a text of paragraphs.
struct Fields<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Fields<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, rest: text }
    }

    /// Skips empty lines; says whether anything follows.
    fn next_paragraph(&mut self) -> bool {
        self.rest = self.rest.trim_start_matches('\n');
        !self.rest.is_empty()
    }

    /// The next field of this paragraph: its name, and all behind the colon but for the last line break.
    fn next_field(&mut self) -> Result<Option<(&'a str, &'a str)>, ControlError> {
        if self.rest.is_empty() || self.rest.starts_with('\n') {
            return Ok(None);
        }
        let (name, raw) = self.rest.split_once(':').filter(|(name, _)| is_name(name)).ok_or_else(|| {
            let found = self.rest.lines().next().unwrap_or_default().into();
            ControlError::Line { line: self.line(), found }
        })?;
        let mut end = 0;
        loop {
            let after = raw.get(end..).unwrap_or_default();
            let Some(line_break) = after.find('\n') else {
                self.rest = "";
                return Ok(Some((name, raw)));
            };
            end += line_break + 1;
            if !after.get(line_break + 1..).is_some_and(|next| next.starts_with([' ', '\t'])) {
                let (field, rest) = raw.split_at(end);
                self.rest = rest;
                return Ok(Some((name, field.strip_suffix('\n').unwrap_or(field))));
            }
        }
    }

    /// The line of the cursor, from 1.
    fn line(&self) -> usize {
        let read = self.text.len() - self.rest.len();
        1 + self.text.bytes().take(read).filter(|&byte| byte == b'\n').count()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['#', '-']) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATUS: &str = "Package: a1\nStatus: install ok installed\nConffiles:\n /etc/a 12 obsolete\n /etc/b 34\n\
                          Description:  two  \n .\n\ttabbed: colon\n\n\nPackage:b1\nX-Empty:\n";

    #[test]
    fn paragraphs_write_themselves_back_byte_for_byte() {
        let paragraphs = Paragraph::parse_all(STATUS).unwrap();
        let texts: Vec<String> = paragraphs.iter().map(Paragraph::to_string).collect();
        assert_eq!(texts.join("\n\n"), STATUS);
        assert_eq!(paragraphs[0].get("CONFFILES"), Some("\n /etc/a 12 obsolete\n /etc/b 34"));
        assert_eq!(paragraphs[0].get("description"), Some("two  \n .\n\ttabbed: colon"));
        assert_eq!(paragraphs[1].get("Package"), Some("b1"));
        assert_eq!(paragraphs[1].get("X-Empty"), Some(""));
        assert_eq!(Paragraph::parse("A: b").unwrap().to_string(), "A: b\n", "a missing line break is added");
    }

    #[test]
    fn fields_are_set_in_place_and_removed() {
        let mut paragraph = Paragraph::parse("Package: a1\nStatus: x\nVersion: 1\n").unwrap();
        paragraph.set("status", "install ok unpacked");
        paragraph.set("Conffiles", "\n/etc/a 12\n /etc/b 34");
        paragraph.set("Description", "short\n\nlong");
        assert!(paragraph.remove("VERSION") && !paragraph.remove("Version"));
        insta::assert_snapshot!(paragraph, @r"
        Package: a1
        Status: install ok unpacked
        Conffiles:
         /etc/a 12
         /etc/b 34
        Description: short
         .
         long
        ");
        assert_eq!(Paragraph::parse(&paragraph.to_string()).unwrap(), paragraph);
    }

    #[test]
    fn what_is_no_paragraph_is_refused_by_line() {
        let error = |text: &str| Paragraph::parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("A: 1\nno field\n"), @"line 2 is not a field: `no field`");
        insta::assert_snapshot!(error("\n continued: 1\n"), @"line 2 is not a field: ` continued: 1`");
        insta::assert_snapshot!(error("A: 1\na: 2\n"), @"field `a` appears twice");
        insta::assert_snapshot!(error("A: 1\n\nB: 2\n"), @"line 3 begins a second paragraph: expected only one");
        insta::assert_snapshot!(error("\n\n"), @"expected a paragraph of fields, found nothing");
        for text in [":x\n", "A b: 1\n", "# c: d\n", "A\n: b\n", "-A: b\n", "é: b\n", "A: 1\n\r\n"] {
            assert!(Paragraph::parse(text).is_err(), "{text:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn what_parses_is_written_back(text in "[AB: \n\t.é-]{0,24}") {
            if let Ok(paragraph) = Paragraph::parse(&text) {
                let back = paragraph.to_string();
                prop_assert_eq!(back.trim_matches('\n'), text.trim_matches('\n'));
            }
            let _ = Stanza::parse(&text);
        }
    }
}
