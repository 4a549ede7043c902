//! The program: what is ours is looked at, everything else goes to the real runtime, which takes our place.

use super::call::Call;
use super::{create, delete, enter, gate, guard, held, no_op, start};
use crate::oci::command_line::{CommandLine, Dialect};
use crate::oci::failure::Failure;
use crate::oci::log::Log;
use crate::oci::real::Real;
use crate::oci::settings::Settings;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Does what the arguments say; the first of them is the program's own name.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let Some((name, arguments)) = arguments.split_first() else {
        return ExitCode::FAILURE;
    };
    let called = Path::new(name).file_name();
    if called == Some(OsStr::new(no_op::NAME)) {
        return ExitCode::SUCCESS;
    }
    if called == Some(OsStr::new(gate::NAME)) {
        eprintln!("holdfast-runtime: {}", gate::run(arguments));
        return ExitCode::FAILURE;
    }
    if arguments
        .first()
        .is_some_and(|first| first == "--holdfast-version")
    {
        println!("holdfast-runtime {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if let Some((verb, rest)) = arguments.split_first()
        && verb == enter::VERB
    {
        eprintln!("holdfast-runtime: {}", enter::run(rest));
        return ExitCode::FAILURE;
    }
    match call(name, arguments) {
        Ok(code) => code,
        Err((failure, log)) => {
            log.tell(&failure);
            ExitCode::FAILURE
        }
    }
}

fn call(name: &OsStr, arguments: &[OsString]) -> Result<ExitCode, (Failure, Log)> {
    let dialect = Dialect::Runc;
    let log = Log::of(&CommandLine::parse(arguments, dialect), dialect);
    let prepared = prepare(name, arguments);
    let call = prepared.map_err(|failure| (failure, log))?;
    let log = Log::of(&call.line, call.dialect);
    if arguments.first().is_some_and(|first| first == guard::VERB) {
        return guard::run(&call).map_err(|failure| (failure, log));
    }
    let done = match call.line.verb() {
        Some(b"create") => create::run(&call),
        Some(b"start") => start::run(&call),
        Some(b"delete") => delete::run(&call),
        Some(b"kill") => held::kill(&call),
        Some(b"exec" | b"resume" | b"update" | b"checkpoint" | b"restore") => held::refuse(&call),
        _ => Err(call.pass()),
    };
    done.map_err(|failure| (failure, log))
}

fn prepare<'a>(name: &OsStr, arguments: &'a [OsString]) -> Result<Call<'a>, Failure> {
    let program = std::env::current_exe().map(in_place);
    let program =
        program.map_err(|error| Failure::new(format!("cannot find this program: {error}")))?;
    let settings = Settings::of_program(&program)?;
    let real = settings.real_runtime(&program)?;
    let dialect = Dialect::of(&real);
    Ok(Call {
        arguments,
        line: CommandLine::parse(arguments, dialect),
        dialect,
        settings,
        program,
        real: Real {
            program: real,
            name: name.to_owned(),
        },
    })
}

/// Where the program lies. An upgrade puts another file in its place, and the kernel then says so behind the path.
fn in_place(program: PathBuf) -> PathBuf {
    let path = program.as_os_str().as_bytes();
    match path.strip_suffix(b" (deleted)") {
        Some(path) => OsStr::from_bytes(path).into(),
        None => program,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_does_not_change_where_the_program_lies() {
        let path = PathBuf::from("/opt/holdfast/bin/holdfast-runtime");
        assert_eq!(in_place(path.clone()), path);
        assert_eq!(
            in_place(PathBuf::from(
                "/opt/holdfast/bin/holdfast-runtime (deleted)"
            )),
            path
        );
    }
}
