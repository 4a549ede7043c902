//! Where a real runtime looks for CRIU it meets our runtime, under that name (`runtime/gate.rs`).

use super::failure::Failure;
use super::files;
use crate::kit::names;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Lays our runtime into this folder, to be called there as CRIU is. Several may do that at once, each in its own name: there is no moment
/// in which a runtime that begins finds none.
///
/// # Errors
/// The folder or the link cannot be made.
pub fn lay(folder: &Path, runtime: &Path, who: &str) -> Result<(), Failure> {
    files::make_folder(folder)?;
    let link = folder.join(names::CRIU);
    if std::fs::read_link(&link).is_ok_and(|to| to == runtime) {
        return Ok(());
    }
    let aside = folder.join(format!(".{who}"));
    files::remove(&aside)?;
    let laid = symlink(runtime, &aside).and_then(|()| std::fs::rename(&aside, &link));
    laid.map_err(|error| Failure::at("make", &link, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    #[test]
    fn whoever_lays_the_gate_beside_others_finds_it_there() {
        for _round in 0..50 {
            let folder = Folder::new();
            let place = folder.path();
            symlink("/opt/before", place.join(names::CRIU)).unwrap();
            let runtime = Path::new("/opt/holdfast/bin/holdfast-runtime");
            std::thread::scope(|scope| {
                for number in 0..8 {
                    scope.spawn(move || {
                        lay(place, runtime, &format!("g{number}")).unwrap();
                        assert_eq!(
                            std::fs::read_link(place.join(names::CRIU)).unwrap(),
                            runtime
                        );
                    });
                }
            });
            assert_eq!(
                std::fs::read_dir(place).unwrap().count(),
                1,
                "nothing else is left"
            );
        }
    }
}
