//! Fault points: named places before and after each write, where a test can end or hold the process. What every program of ours has
//! of them, also one without an async runtime; `process::faults` is the same for writes that are awaited.
//!
//! A module that writes declares its writes with [`write_steps!`](crate::write_steps); the names come from the module's path and the
//! constant's name, and `app.rs` lists them (`holdfast faults`, with the feature `faults`). Each step has two points,
//! `NAME.before` and `NAME.after`:
//!
//! | variable | effect |
//! |---|---|
//! | `HOLDFAST_DIE_AT=point` or `point#3` | the process is aborted when it reaches the point (for the third time) |
//! | `HOLDFAST_PAUSE_AT=point` or `point#3` | the process writes the point's name and a line feed to the Unix socket `HOLDFAST_PAUSE_SOCKET` and goes on when a byte or the end of the stream comes back |
//!
//! Where nobody can set a variable, because a kubelet starts the program, a file says the same, one `NAME=VALUE` a line: `faults`, in the
//! folder above that of the program.
//!
//! Without the feature nothing of this is compiled in.

use std::fmt;

/// One kind of write in one module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    module: &'static str,
    name: &'static str,
}

impl Step {
    /// For [`write_steps!`](crate::write_steps).
    #[must_use]
    pub const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let module = self
            .module
            .split_once("::")
            .map_or(self.module, |(_crate, path)| path);
        write!(
            f,
            "{}.{}",
            module.replace("::", "."),
            self.name.to_lowercase()
        )
    }
}

/// Declares the writes of a module: a constant each, and `STEPS` for the table in `app.rs`.
#[macro_export]
macro_rules! write_steps {
    ($($(#[doc = $doc:literal])* $name:ident),+ $(,)?) => {
        $($(#[doc = $doc])* const $name: $crate::kit::faults::Step = $crate::kit::faults::Step::new(module_path!(), stringify!($name));)+
        /// Every write of this module.
        pub(crate) const STEPS: &[$crate::kit::faults::Step] = &[$($name),+];
    };
}

/// Runs a write between its two points.
pub fn around<T>(step: &Step, write: impl FnOnce() -> T) -> T {
    reach(step, "before");
    let done = write();
    reach(step, "after");
    done
}

#[cfg(not(feature = "faults"))]
fn reach(_step: &Step, _side: &str) {}

#[cfg(feature = "faults")]
fn reach(step: &Step, side: &str) {
    if let Some(point) = armed::visit(step, side) {
        armed::paused(&point, armed::pause(&point));
    }
}

#[cfg(feature = "faults")]
pub(crate) mod armed {
    use super::Step;
    use std::collections::HashMap;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::{LazyLock, Mutex, PoisonError};

    /// A point, and at which visit it acts.
    struct Trap {
        point: String,
        visit: u32,
    }

    static DIE: LazyLock<Option<Trap>> = LazyLock::new(|| trap("HOLDFAST_DIE_AT"));
    static PAUSE: LazyLock<Option<Trap>> = LazyLock::new(|| trap("HOLDFAST_PAUSE_AT"));
    static VISITS: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);

    static FILE: LazyLock<HashMap<String, String>> = LazyLock::new(file);

    #[expect(
        clippy::disallowed_methods,
        reason = "fault points work in every program and before any flag is read"
    )]
    pub(crate) fn variable(name: &str) -> Option<String> {
        std::env::var(name).ok().or_else(|| FILE.get(name).cloned())
    }

    /// A container runtime's environment is set by nobody: a file `faults` above the program's folder says the same.
    fn file() -> HashMap<String, String> {
        let program = std::env::current_exe().unwrap_or_default();
        let above = program
            .ancestors()
            .nth(2)
            .map(|prefix| prefix.join("faults"));
        let text = above.and_then(|path| std::fs::read_to_string(path).ok());
        let text = text.unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn trap(name: &str) -> Option<Trap> {
        let value = variable(name)?;
        let (point, visit) = value.split_once('#').unwrap_or((&value, "1"));
        Some(Trap {
            point: point.to_owned(),
            visit: visit.parse().unwrap_or(1),
        })
    }

    /// Counts a visit. Ends the process if that was asked for here; the point's name, if a pause was.
    pub(crate) fn visit(step: &Step, side: &str) -> Option<String> {
        if DIE.is_none() && PAUSE.is_none() {
            return None;
        }
        let point = format!("{step}.{side}");
        let visit = {
            let mut visits = VISITS.lock().unwrap_or_else(PoisonError::into_inner);
            let count = visits.entry(point.clone()).or_default();
            *count = count.saturating_add(1);
            *count
        };
        let springs = |trap: &Option<Trap>| {
            trap.as_ref()
                .is_some_and(|t| t.point == point && t.visit == visit)
        };
        if springs(&DIE) {
            eprintln!("fault point {point}: the process ends here");
            std::process::abort();
        }
        springs(&PAUSE).then_some(point)
    }

    /// A test that asked for a pause and does not get it must not go on as if it had.
    pub(crate) fn paused(point: &str, pause: std::io::Result<()>) {
        if let Err(error) = pause {
            eprintln!("fault point {point}: no pause: {error}");
            std::process::abort();
        }
    }

    /// Where to say that a point was reached.
    pub(crate) fn socket() -> std::io::Result<String> {
        variable("HOLDFAST_PAUSE_SOCKET")
            .ok_or_else(|| std::io::Error::other("HOLDFAST_PAUSE_SOCKET is not set"))
    }

    pub(super) fn pause(point: &str) -> std::io::Result<()> {
        let mut stream = UnixStream::connect(socket()?)?;
        stream.write_all(format!("{point}\n").as_bytes())?;
        let mut go = [0_u8; 1];
        stream.read(&mut go).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_step_by_its_module() {
        assert_eq!(
            Step::new("holdfast::process::leader", "RENEW").to_string(),
            "process.leader.renew"
        );
    }

    #[test]
    fn hands_the_result_through() {
        assert_eq!(around(&Step::new("holdfast::x", "Y"), || 7), 7);
    }
}
