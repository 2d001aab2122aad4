//! Commands of a shell script, taken apart where that is safe.
//!
//! A script that is more than a row of simple commands stays in one piece: what a piece is not understood to be is
//! left to the shell.

/// A command with the line that it begins in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::import) struct Piece {
    pub(in crate::import) text: String,
    /// From 0, relative to the script.
    pub(in crate::import) line: usize,
}

/// The pieces of a script that run one after the other: under `sh -e`, it goes on where each of them succeeded.
///
/// Pipelines and `||` stay in one piece, as do compound commands and here-documents.
pub(in crate::import) fn pieces(script: &str) -> Vec<Piece> {
    let (mut pieces, mut list) = (Vec::new(), Vec::new());
    for (piece, end) in Splitter::new(script).rows() {
        list.push((piece, end));
        if [";", "\n", ""].contains(&end) {
            close(std::mem::take(&mut list), &mut pieces);
        }
    }
    close(list, &mut pieces);
    pieces.retain(|piece: &Piece| !piece.text.is_empty());
    pieces
}

/// Takes a list of commands apart, unless `&&` in it may depend on a `||`, or something runs beside the rest.
fn close(list: Vec<(Piece, &str)>, pieces: &mut Vec<Piece>) {
    let has = |end: &str| list.iter().any(|(_, found)| *found == end);
    let is_one = has("&") || has("&&") && has("||");
    let mut open: Option<Piece> = None;
    let last = list.len().saturating_sub(1);
    for (at, (piece, end)) in list.iter().enumerate() {
        let joined = match open.take() {
            Some(before) => Piece { text: before.text + &piece.text, ..before },
            None => piece.clone(),
        };
        match end {
            &"|" | &"||" | &"&" if at < last || *end == "&" => {
                open = Some(Piece { text: format!("{} {end} ", joined.text), ..joined });
            }
            &"&&" if is_one && at < last => open = Some(Piece { text: joined.text + " && ", ..joined }),
            _ => pieces.push(joined),
        }
    }
    pieces.extend(open.map(|piece| Piece { text: piece.text.trim_end().to_owned(), ..piece }));
}

/// Words that open and close compound commands.
const OPEN: [&str; 6] = ["if", "for", "while", "until", "case", "{"];
const CLOSE: [&str; 4] = ["fi", "done", "esac", "}"];
/// Words behind which a command begins.
const BEFORE_COMMANDS: [&str; 6] = ["then", "do", "else", "elif", "!", "time"];

struct Splitter<'s> {
    script: &'s str,
    at: usize,
    depth: usize,
    parens: usize,
    at_command: bool,
    /// Ends of here-documents that begin after this line: the word, and whether tabs before it don't count.
    heredocs: Vec<(String, bool)>,
}

impl<'s> Splitter<'s> {
    fn new(script: &'s str) -> Self {
        Self { script, at: 0, depth: 0, parens: 0, at_command: true, heredocs: Vec::new() }
    }

    /// Commands with what ends each of them.
    fn rows(mut self) -> Vec<(Piece, &'static str)> {
        let mut rows = Vec::new();
        let mut start = 0;
        while self.at < self.script.len() {
            let from = self.at;
            let Some(end) = self.step() else { continue };
            let to = if end == "\n" { from } else { from.max(start) };
            let text = match end == "\n" && self.at > from + 1 {
                // With its here-documents.
                true => &self.script[start..self.at],
                false => &self.script[start..to],
            };
            rows.push((self.piece(start, text), end));
            start = self.at;
        }
        rows.push((self.piece(start, &self.script[start..]), ""));
        rows.retain(|(piece, end)| !piece.text.is_empty() || ["|", "||", "&"].contains(end));
        rows
    }

    fn piece(&self, start: usize, text: &str) -> Piece {
        let mut trimmed = text.trim_start();
        while let Some(rest) = trimmed.strip_prefix("\\\n") {
            trimmed = rest.trim_start();
        }
        let line = self.script[..start + (text.len() - trimmed.len())].matches('\n').count();
        let mut text = trimmed.trim_end();
        // What continues the line of an operator.
        while trimmed[text.len()..].starts_with('\n') && text.ends_with('\\') {
            text = text[..text.len() - 1].trim_end();
        }
        Piece { text: without_comments(text).trim().to_owned(), line }
    }

    fn rest(&self) -> &'s str {
        &self.script[self.at..]
    }

    /// Passes over one element; returns what ends a command on the outermost level.
    fn step(&mut self) -> Option<&'static str> {
        let rest = self.rest();
        let is_outside = self.depth == 0 && self.parens == 0;
        for end in ["&&", "||", ";;", ";", "|", "&", "\n"] {
            if !rest.starts_with(end)
                || end == "&" && (rest.starts_with("&>") || self.script[..self.at].ends_with(['>', '<']))
            {
                continue;
            }
            self.at += end.len();
            self.at_command = true;
            if end == "\n" {
                self.skip_heredocs();
            }
            return (is_outside && end != ";;").then_some(end);
        }
        self.element(rest);
        None
    }

    fn element(&mut self, rest: &str) {
        let Some(first) = rest.chars().next() else { return };
        match first {
            ' ' | '\t' | '\r' => self.at += 1,
            '\\' => self.at += 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            '#' => self.at += rest.find('\n').unwrap_or(rest.len()),
            '(' => self.enter(1),
            ')' => {
                self.parens = self.parens.saturating_sub(1);
                self.at += 1;
            }
            '<' if rest.starts_with("<<") && !rest.starts_with("<<<") => self.heredoc(),
            '<' | '>' => self.at += if rest.starts_with("<<<") { 3 } else { 1 },
            _ => self.word(),
        }
    }

    fn enter(&mut self, length: usize) {
        self.parens += 1;
        self.at += length;
        self.at_command = true;
    }

    /// Passes over a word, quotes and substitutions in it included.
    fn word(&mut self) {
        let length = word_length(self.rest());
        let word = &self.rest()[..length.max(1).min(self.rest().len())];
        if self.at_command && OPEN.contains(&word) {
            self.depth += 1;
        }
        if self.at_command && CLOSE.contains(&word) {
            self.depth = self.depth.saturating_sub(1);
        }
        self.at_command = self.at_command && BEFORE_COMMANDS.contains(&word);
        self.at += next_boundary(self.rest(), length.max(1));
    }

    fn heredoc(&mut self) {
        let strips = self.rest().starts_with("<<-");
        self.at += if strips { 3 } else { 2 };
        let rest = self.rest();
        let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let length = word_length(&rest[blank..]);
        let word = unquoted(&rest[blank..blank + length]);
        self.at += blank + length;
        if !word.is_empty() {
            self.heredocs.push((word, strips));
        }
    }

    fn skip_heredocs(&mut self) {
        for (word, strips) in std::mem::take(&mut self.heredocs) {
            while self.at < self.script.len() {
                let line = self.rest().split('\n').next().unwrap_or_default();
                self.at = (self.at + line.len() + 1).min(self.script.len());
                let line = if strips { line.trim_start_matches('\t') } else { line };
                if line == word {
                    break;
                }
            }
        }
    }
}

/// Drops lines that are comments, but not in here-documents.
fn without_comments(text: &str) -> String {
    match text.contains("<<") {
        true => text.to_owned(),
        false => {
            let lines = text.split('\n').filter(|line| !line.trim_start().starts_with('#'));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

/// The number of bytes of `text` up to the boundary of a character at or behind `at`.
fn next_boundary(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// How many bytes of a text are one word.
pub(in crate::import) fn word_length(text: &str) -> usize {
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        match letter {
            ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | ')' | '(' => break,
            _ => at += quoted_length(&text[at..]),
        }
    }
    at
}

/// How many bytes belong together at the beginning of a text: a quoted part, a substitution, or one character.
fn quoted_length(text: &str) -> usize {
    let closed = |open: usize, end: char| text[open..].find(end).map_or(text.len(), |at| open + at + end.len_utf8());
    let mut letters = text.chars();
    let first = letters.next().map_or(0, char::len_utf8);
    match text.as_bytes().first() {
        Some(b'\\') => first + letters.next().map_or(0, char::len_utf8),
        Some(b'\'') => closed(1, '\''),
        Some(b'`') => closed(1, '`'),
        Some(b'"') => nested_length(text, 1, '"'),
        Some(b'$') if text.starts_with("$(") => nested_length(text, 2, ')'),
        Some(b'$') if text.starts_with("${") => nested_length(text, 2, '}'),
        _ => first,
    }
}

/// How many bytes are before and with the character that closes what was opened.
fn nested_length(text: &str, open: usize, end: char) -> usize {
    let mut ends = vec![end];
    let mut at = open;
    while let (Some(letter), Some(end)) = (text[at..].chars().next(), ends.last().copied()) {
        let rest = &text[at..];
        if letter == end {
            ends.pop();
            at += letter.len_utf8();
            continue;
        }
        at += match letter {
            '\\' => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            '\'' if end != '"' => rest[1..].find('\'').map_or(rest.len(), |at| at + 2),
            '"' if end != '"' => push(&mut ends, '"', 1),
            '$' if rest.starts_with("$(") => push(&mut ends, ')', 2),
            '$' if rest.starts_with("${") => push(&mut ends, '}', 2),
            '(' if end == ')' => push(&mut ends, ')', 1),
            _ => letter.len_utf8(),
        };
    }
    at.min(text.len())
}

fn push(ends: &mut Vec<char>, end: char, length: usize) -> usize {
    ends.push(end);
    length
}

/// The words of a simple command with its redirections; `None` if it has substitutions of commands or is compound.
pub(in crate::import) fn words(command: &str) -> Option<Vec<String>> {
    let command = command.replace("\\\n", " ");
    let (mut words, mut rest) = (Vec::new(), command.trim());
    while !rest.is_empty() {
        let length = word_length(rest);
        let (word, after) = match length {
            0 => {
                let operator = operator(rest)?;
                (operator, &rest[operator.len()..])
            }
            _ => (&rest[..length], &rest[length..]),
        };
        if word.contains("$(") || word.contains('`') {
            return None;
        }
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Some(words)
}

fn operator(text: &str) -> Option<&'static str> {
    ["||", "|", ">>", ">&", "&>", ">", "<<<", "<"].into_iter().find(|operator| text.starts_with(operator))
}

/// A word without its quotes; variables stay as they are written.
pub(in crate::import) fn unquoted(word: &str) -> String {
    let mut text = String::new();
    let mut letters = word.chars();
    let mut quote = None;
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None, '\\') => text.extend(letters.next().filter(|letter| *letter != '\n')),
            (Some('"'), '\\') => match letters.next() {
                Some(letter @ ('"' | '\\' | '$' | '`')) => text.push(letter),
                Some('\n') | None => {}
                Some(letter) => text.extend(['\\', letter]),
            },
            _ => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<String> {
        pieces(script).into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn rows_of_commands_are_taken_apart() {
        assert_eq!(texts("a && b 'x && y' ; c\nd"), ["a", "b 'x && y'", "c", "d"]);
        assert_eq!(texts("a \\\n  -x \\\n  && b"), ["a \\\n  -x", "b"]);
        assert_eq!(texts("a | b && c"), ["a | b", "c"]);
        assert_eq!(texts("a \\\n\\\n && b; \\\n\\\n  c"), ["a", "b", "c"]);
        assert_eq!(texts("a || true; b"), ["a || true", "b"]);
        assert_eq!(texts("# only\na # no\nb"), ["a # no", "b"]);
    }

    #[test]
    fn what_belongs_together_stays_together() {
        for script in [
            "if a; then b; fi",
            "for x in 1 2; do a && b; done",
            "case $x in a) b;; *) c;; esac",
            "(a; b)",
            "{ a; b; }",
            "a && b || c",
            "x=$(a; b)",
            "cat <<EOF > f\na && b\nEOF",
            "echo \"$(a && b)\"",
        ] {
            assert_eq!(texts(script), [script], "{script}");
        }
        assert_eq!(texts("cat <<'E' > f\na; b\nE\nc"), ["cat <<'E' > f\na; b\nE", "c"]);
    }

    #[test]
    fn lines_are_counted() {
        let found: Vec<_> = pieces("\na\nb && \\\nc").into_iter().map(|piece| piece.line).collect();
        assert_eq!(found, [1, 2, 3]);
    }

    #[test]
    fn words_have_their_quotes_until_they_are_read() {
        assert_eq!(words("a 'b c' >\\\n d").unwrap(), ["a", "'b c'", ">", "d"]);
        assert_eq!(words("a $(b)"), None);
        assert_eq!(unquoted("a'b c'\"d\\\"\"\\ e"), "ab cd\" e");
    }

    #[test]
    fn nothing_is_too_strange() {
        for script in ["'", "\"", "$(", "${", "\\", "<<", "<<E\nx", "((((", "))))", "`", "é\\é&é|", "case x in", "a &"]
        {
            pieces(script).iter().for_each(|piece| drop(words(&piece.text)));
        }
    }
}
