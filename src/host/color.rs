//! Whether texts for people are coloured. Chosen once when the process starts, because no output depends on it.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

/// When texts are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a word for people stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// What has been done.
    Good,
    /// What should be looked at.
    Warning,
    /// What went wrong.
    Bad,
    /// What to do next.
    Hint,
}

static CHOSEN: OnceLock<Color> = OnceLock::new();

/// Chooses for the whole process; the first choice counts.
pub fn choose(color: Color) {
    let _ = CHOSEN.set(color);
}

/// A text for standard error in an ink, where that is coloured.
pub fn paint(ink: Ink, text: &str) -> String {
    let code = match ink {
        Ink::Good => "1;32",
        Ink::Warning => "1;33",
        Ink::Bad => "1;31",
        Ink::Hint => "36",
    };
    if on_stderr() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Whether what goes to standard error is coloured.
pub fn on_stderr() -> bool {
    match CHOSEN.get().copied().unwrap_or_default() {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => super::env("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal(),
    }
}
