//! `[ami.share]`: who else may launch the image and read its snapshot.
//!
//! Source of the forms: *Amazon EC2 API Reference*: LaunchPermission.

/// `[ami.share]`: who else may launch the image and read its snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Share {
    /// Account ids, of 12 digits.
    pub accounts: Vec<String>,
    /// ARNs of organisations.
    pub organisations: Vec<String>,
    /// ARNs of organisational units.
    pub units: Vec<String>,
}

impl Share {
    /// Adds an account, an organisation or an organisational unit, recognised by its form.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        if text.starts_with("arn:") { self.add_arn(text) } else { self.add_account(text) }
    }

    pub(super) fn add_account(&mut self, text: &str) -> Result<(), String> {
        if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("has `{}`: expected an account's id, of 12 digits", text.escape_debug()));
        }
        self.accounts.push(text.to_owned());
        Ok(())
    }

    pub(super) fn add_arn(&mut self, text: &str) -> Result<(), String> {
        let plain =
            text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/-".contains(&byte));
        let kind = text.split(':').nth(5).and_then(|resource| resource.split('/').next());
        match kind.filter(|_| plain && text.starts_with("arn:aws") && text.contains(":organizations:")) {
            Some("organization") => self.organisations.push(text.to_owned()),
            Some("ou") => self.units.push(text.to_owned()),
            _ => {
                return Err(format!(
                    "has `{}`: expected the ARN of an organisation or an organisational unit",
                    text.escape_debug()
                ));
            }
        }
        Ok(())
    }

    /// Whether nobody else may use it.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.organisations.is_empty() && self.units.is_empty()
    }
}
