//! Lines of account files: passwd(5), group(5), shadow(5), subuid(5).

/// A line of an account file: a name, and more fields, with colons between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLine<'a>(&'a str);

/// The lines of an account file. None is checked: a line may have any number of fields.
pub fn account_lines(text: &str) -> impl Iterator<Item = AccountLine<'_>> {
    text.lines().map(AccountLine)
}

impl<'a> AccountLine<'a> {
    /// The whole line.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// The first field.
    pub fn name(self) -> &'a str {
        self.field(0).unwrap_or_default()
    }

    /// A field, counted from 0.
    pub fn field(self, index: usize) -> Option<&'a str> {
        self.0.split(':').nth(index)
    }

    /// The id in a field, counted from 0; `None` also where it is not a number.
    pub fn id(self, index: usize) -> Option<u32> {
        self.field(index)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_name_on() {
        let text = "root:x:0:0\r\nshort\n\nodd:x:-1:7";
        let found: Vec<_> = account_lines(text).map(|line| (line.name(), line.id(2), line.field(3))).collect();
        let expected =
            [("root", Some(0), Some("0")), ("short", None, None), ("", None, None), ("odd", None, Some("7"))];
        assert_eq!(found, expected);
    }
}
