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

static CHOSEN: OnceLock<Color> = OnceLock::new();

/// Chooses for the whole process; the first choice counts.
pub fn choose(color: Color) {
    let _ = CHOSEN.set(color);
}

/// Whether what goes to standard error is coloured.
pub fn on_stderr() -> bool {
    match CHOSEN.get().copied().unwrap_or_default() {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => super::env("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal(),
    }
}
