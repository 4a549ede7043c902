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
//! | `HOLDFAST_STOP_AT=point` | the process stops (SIGSTOP) when it reaches the point; only in the file below |
//! | `HOLDFAST_PAUSE_AT=point` or `point#3` | the process writes the point's name and a line feed to the Unix socket `HOLDFAST_PAUSE_SOCKET` and goes on when a byte or the end of the stream comes back |
//!
//! Where nobody can set a variable, because a kubelet starts the program, a file says the same, one `NAME=VALUE` a line: `faults`, in the
//! folder above that of the program. It is read at each point, so that what runs already can be told where to end; and an end or a stop takes
//! it away, as `faults.sprung`, so that of all processes one ends, once, and whoever comes next does not.
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
    use std::path::PathBuf;
    use std::sync::{LazyLock, Mutex, PoisonError};

    /// A point, and at which visit it acts.
    struct Trap {
        point: String,
        visit: u32,
    }

    static DIE: LazyLock<Option<Trap>> =
        LazyLock::new(|| variable("HOLDFAST_DIE_AT").as_deref().map(trap));
    static PAUSE: LazyLock<Option<Trap>> =
        LazyLock::new(|| setting("HOLDFAST_PAUSE_AT").as_deref().map(trap));
    static VISITS: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);

    #[expect(
        clippy::disallowed_methods,
        reason = "fault points work in every program and before any flag is read"
    )]
    fn variable(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    /// A container runtime's environment is set by nobody: a file says the same.
    pub(crate) fn setting(name: &str) -> Option<String> {
        variable(name).or_else(|| in_file(name))
    }

    fn file() -> Option<PathBuf> {
        let program = std::env::current_exe().ok()?;
        let above = program.ancestors().nth(2)?;
        Some(above.join("faults"))
    }

    fn in_file(name: &str) -> Option<String> {
        let text = std::fs::read_to_string(file()?).ok()?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let mut found = pairs.filter(|(given, _)| *given == name);
        found.next().map(|(_, value)| value.to_owned())
    }

    /// Whether the file means this visit. Set when others had come by already: the next one counts. The file goes before the process
    /// does; of two that come at once, one is meant.
    fn springs_late(late: Option<&Trap>, point: &str, visit: u32) -> bool {
        late.is_some_and(|trap| trap.point == point && visit >= trap.visit)
            && file()
                .is_some_and(|path| std::fs::rename(&path, path.with_extension("sprung")).is_ok())
    }

    fn trap(value: &str) -> Trap {
        let (point, visit) = value.split_once('#').unwrap_or((value, "1"));
        Trap {
            point: point.to_owned(),
            visit: visit.parse().unwrap_or(1),
        }
    }

    /// Counts a visit. Ends or stops the process if that was asked for here; the point's name, if a pause was.
    pub(crate) fn visit(step: &Step, side: &str) -> Option<String> {
        let late = |name| in_file(name).as_deref().map(trap);
        let (dies, stops) = (late("HOLDFAST_DIE_AT"), late("HOLDFAST_STOP_AT"));
        if [&*DIE, &*PAUSE, &dies, &stops]
            .into_iter()
            .all(Option::is_none)
        {
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
        if springs(&DIE) || springs_late(dies.as_ref(), &point, visit) {
            eprintln!("fault point {point}: the process ends here");
            std::process::abort();
        }
        if springs_late(stops.as_ref(), &point, visit) {
            eprintln!("fault point {point}: the process stops here");
            // Whoever cannot be stopped goes on, and the test sees it.
            let _stopped = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::STOP,
            );
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
        setting("HOLDFAST_PAUSE_SOCKET")
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
