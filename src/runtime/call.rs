//! One run of this program: its command line, its settings, and the real runtime behind it.

use crate::oci::bundle;
use crate::oci::command_line::{CommandLine, Dialect};
use crate::oci::failure::Failure;
use crate::oci::place::Places;
use crate::oci::real::Real;
use crate::oci::settings::Settings;
use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};

/// What every verb needs.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) arguments: &'a [OsString],
    pub(super) line: CommandLine<'a>,
    pub(super) dialect: Dialect,
    pub(super) settings: Settings,
    /// This very program.
    pub(super) program: PathBuf,
    pub(super) real: Real,
}

impl Call<'_> {
    /// Becomes the real runtime, with the very same arguments. Comes back only if that failed.
    pub(super) fn pass(&self) -> Failure {
        self.real.become_it(self.arguments)
    }

    pub(super) fn places(&self) -> Places {
        Places::below(&self.settings.run)
    }

    /// The directory in which the real runtime keeps its containers.
    pub(super) fn root(&self) -> PathBuf {
        let usual = match self.dialect {
            Dialect::Runc => "/run/runc",
            Dialect::Crun => "/run/crun",
        };
        let given = self.line.global("root").filter(|root| !root.is_empty());
        whole(given.map_or(Path::new(usual), Path::new))
    }

    pub(super) fn bundle(&self) -> PathBuf {
        let given = self
            .line
            .option("bundle")
            .filter(|bundle| !bundle.is_empty());
        whole(given.map_or(Path::new("."), Path::new))
    }

    /// The bundle's specification; crun can be told another.
    pub(super) fn config(&self) -> PathBuf {
        match self.line.option("config") {
            Some(other) if self.dialect == Dialect::Crun => whole(Path::new(other)),
            _ => bundle::config_path(&self.bundle()),
        }
    }
}

fn whole(path: &Path) -> PathBuf {
    absolute(path).unwrap_or_else(|_| path.to_owned())
}
