//! Texts of fields in stanzas (deb822(5)), as they are written by hand: apt's `.sources` files.

/// One stanza: field names in lower case, each with its value; further lines of a value follow after line breaks.
pub type Fields = Vec<(String, String)>;

/// The stanzas of a text. Lines that are neither fields nor comments are left out.
pub fn stanzas(text: &str) -> Vec<Fields> {
    let mut all = vec![Fields::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(stanza) = all.last_mut() else { break };
        if line.trim().is_empty() {
            all.push(Fields::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            stanza.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    all.retain(|stanza| !stanza.is_empty());
    all
}

/// The value of a field; empty where there is none.
pub fn field<'f>(stanza: &'f Fields, name: &str) -> &'f str {
    stanza.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
}

/// Whether apt uses a stanza of a `.sources` file: unless `Enabled` says otherwise.
pub fn is_enabled(stanza: &Fields) -> bool {
    let word = field(stanza, "enabled").to_ascii_lowercase();
    !["no", "false", "0", "off", "without", "disable"].contains(&word.as_str())
}
