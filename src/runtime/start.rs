//! `start`: of a restored container it has been done.

use super::call::Call;
use super::ticket;
use crate::oci::failure::Failure;
use std::process::ExitCode;

pub(super) fn run(call: &Call) -> Result<ExitCode, Failure> {
    let id = call.line.id().and_then(|id| id.to_str());
    if let Some(id) = id.filter(|id| crate::oci::place::is_file_name(id))
        && ticket::take(&call.settings.run, id)?
    {
        return Ok(ExitCode::SUCCESS);
    }
    Err(call.pass())
}
