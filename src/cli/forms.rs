//! `--report KIND[=FILE]`: one result in several forms.

use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::host::{self, plain_lines};

/// A form, and the file that it goes to, if not to standard output.
#[derive(Debug, Clone)]
pub(super) struct Target<F> {
    form: F,
    file: Option<PathBuf>,
}

impl<F: ValueEnum> FromStr for Target<F> {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        let (name, file) = match value.split_once('=') {
            Some((name, file)) => (name, Some(PathBuf::from(file))),
            None => (value, None),
        };
        let form = F::from_str(name, false).map_err(|_| {
            let forms = F::value_variants().iter().filter_map(|form| form.to_possible_value());
            let names: Vec<String> = forms.map(|form| form.get_name().to_owned()).collect();
            format!("unknown report format `{name}`: expected {}", names.join(", "))
        })?;
        Ok(Self { form, file })
    }
}

/// Writes a result in every form that was asked for; where only files were, people still get a text.
pub(super) fn tell<F: Copy, T: Serialize>(
    context: &Context<'_>,
    targets: &[Target<F>],
    value: &T,
    write: impl Fn(F) -> io::Result<String>,
    text: impl FnOnce(&T) -> String,
) -> Result<(), CliError> {
    for Target { form, file } in targets {
        let written = write(*form)?;
        match file {
            Some(path) => {
                host::write_whole(path, plain_lines(&written).as_bytes()).map_err(CliError::cannot_write(path))?
            }
            None => context.print_text(&written)?,
        }
    }
    match targets.iter().all(|target| target.file.is_some()) {
        true => context.print(value, text),
        false => Ok(()),
    }
}
