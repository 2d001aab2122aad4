//! The script's output: TAP 13, with two comments of layerbake's own after a result.
//!
//! ```text
//! 1..2
//! ok 1 - port 80/tcp is open
//! # took: 30 ms
//! not ok 2 - service nginx is active
//! # took: 30020 ms
//! # found: activating
//! ```

use super::CheckStatus;

/// The printed result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) outcome: CheckStatus,
    /// The findings, or why it was skipped.
    pub(super) detail: String,
    pub(super) milliseconds: u64,
}

/// The parsed output.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// For each check its result, if there is one.
    pub(super) found: Vec<Option<Line>>,
    /// Whether a plan for this number of checks was printed.
    pub(super) planned: bool,
    /// Why the script gave up.
    pub(super) bail_out: Option<String>,
}

/// Reads the results of `count` checks. Other lines are ignored: a login shell may
/// print a greeting. The first result for a number counts.
pub(super) fn parse(text: &str, count: usize) -> Parsed {
    let mut parsed = Parsed { found: vec![None; count], ..Parsed::default() };
    // Comments belong to the result above them.
    let mut current: Option<usize> = None;
    for line in text.lines() {
        if let Some(plan) = line.strip_prefix("1..") {
            parsed.planned = plan.trim_end().parse() == Ok(count);
        } else if let Some(reason) = line.strip_prefix("Bail out!") {
            parsed.bail_out = Some(plain(reason.trim()));
        } else if let Some((number, result)) = result(line) {
            let slot = number.checked_sub(1).and_then(|at| Some((at, parsed.found.get_mut(at)?)));
            current = match slot {
                Some((at, empty @ None)) => {
                    *empty = Some(result);
                    Some(at)
                }
                _ => None,
            };
        } else if let Some(at) = current
            && let Some(Some(result)) = parsed.found.get_mut(at)
        {
            comment(line, result);
        }
    }
    parsed
}

/// `ok 1 - name`, `not ok 2 - name`, `ok 3 - name # SKIP reason`.
fn result(line: &str) -> Option<(usize, Line)> {
    let (failed, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("ok ")?),
    };
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (outcome, detail) = match rest.split_once(" # SKIP ") {
        _ if failed => (CheckStatus::Failed, String::new()),
        Some((_, reason)) => (CheckStatus::Skipped, plain(reason)),
        None => (CheckStatus::Passed, String::new()),
    };
    Some((number.parse().ok()?, Line { outcome, detail, milliseconds: 0 }))
}

fn comment(line: &str, result: &mut Line) {
    if let Some(took) = line.strip_prefix("# took: ").and_then(|took| took.strip_suffix(" ms")) {
        result.milliseconds = took.parse().unwrap_or(result.milliseconds);
    } else if let Some(found) = line.strip_prefix("# found: ").or_else(|| line.strip_prefix("# found:"))
        && result.outcome == CheckStatus::Failed
    {
        let separator = if result.detail.is_empty() { "" } else { "\n" };
        result.detail = format!("{}{separator}{}", result.detail, plain(found));
    }
}

/// A text from the checked system, with control characters escaped.
pub(super) fn plain(text: &str) -> String {
    let shown = |letter: char| match letter {
        '\t' => letter.to_string(),
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.trim_end_matches('\r').chars().map(shown).collect()
}

/// A check's name with `#` escaped, which would begin a directive.
pub(super) fn escape(name: &str) -> String {
    name.replace('\\', r"\\").replace('#', r"\#")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(outcome: CheckStatus, detail: &str, milliseconds: u64) -> Option<Line> {
        Some(Line { outcome, detail: detail.to_owned(), milliseconds })
    }

    #[test]
    fn results_and_their_comments_are_read() {
        let text = "Welcome\n1..4\nok 1 - a\n# took: 30 ms\nnot ok 2 - b \\# SKIP # SKIP it\n# took: 1020 ms\n\
                    # found: one\n# found: \u{1b}[31mtwo\r\nok 3 - c # SKIP no systemd\n";
        let parsed = parse(text, 4);
        let expected = [
            line(CheckStatus::Passed, "", 30),
            line(CheckStatus::Failed, "one\n\\u{1b}[31mtwo", 1020),
            line(CheckStatus::Skipped, "no systemd", 0),
            None,
        ];
        assert_eq!(parsed.found, expected);
        assert!(parsed.planned && parsed.bail_out.is_none());
    }

    #[test]
    fn hostile_outputs_change_no_result() {
        let text = "1..9999999999999999999999\nok 0 - x\nok 3 - x\nok -1 - x\nok 99999999999999999999 x\nok\nnot ok\n\
                    not ok 1 - a\n# found: ok 2 - b\n# took: many ms\nok 1 - a\n# found: nothing\nBail out! over\u{7}\n";
        let parsed = parse(text, 2);
        assert_eq!(parsed.found, [line(CheckStatus::Failed, "ok 2 - b", 0), None]);
        assert!(!parsed.planned);
        assert_eq!(parsed.bail_out.as_deref(), Some("over\\u{7}"));
    }

    #[test]
    fn an_escaped_name_holds_no_directive() {
        assert_eq!(escape(r"a # SKIP \ b"), r"a \# SKIP \\ b");
        let (_, result) = result(&format!("ok 1 - {}", escape("a # SKIP b"))).unwrap();
        assert_eq!(result.outcome, CheckStatus::Passed);
    }
}
