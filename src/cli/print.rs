//! Verbs that only print.

use crate::cli::arguments::Arguments;
use crate::kit::error::Error;
use clap::CommandFactory;
use clap_complete::Shell;
use serde::Serialize;
use std::io::Write;

/// Objects as one YAML stream.
///
/// # Errors
/// An object cannot be written as YAML.
pub fn yaml<T: Serialize>(objects: &[T]) -> Result<String, Error> {
    let mut stream = String::new();
    for object in objects {
        let text = serde_saphyr::to_string(object).map_err(|error| Error::Invalid {
            what: "an object".into(),
            why: error.to_string(),
        })?;
        stream.push_str("---\n");
        stream.push_str(text.trim_end());
        stream.push('\n');
    }
    Ok(stream)
}

/// Completions of one shell.
#[must_use]
pub fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "holdfast", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Writes to standard output; a reader that has gone away (`| head`) is no error.
///
/// # Errors
/// Standard output cannot be written to.
pub fn out(text: &str) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| Error::io("write to", "standard output", source)),
    }
}
