//! Whether a process is as good as dead: `/proc/PID/status` says which signals wait for it.

/// Whether SIGKILL waits for this process, or it is dead already.
pub(super) fn is_dying(status: &str) -> bool {
    status.lines().any(|line| {
        let (name, value) = line.split_once(':').unwrap_or_default();
        let value = value.trim();
        match name {
            "State" => value.starts_with(['Z', 'X']),
            "SigPnd" | "ShdPnd" => has_kill(value),
            _ => false,
        }
    })
}

/// Signal 9 is bit 8 of the mask.
fn has_kill(mask: &str) -> bool {
    u64::from_str_radix(mask, 16).is_ok_and(|mask| mask & (1 << 8) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_a_pending_kill_in_either_mask() {
        let status = |own: &str, shared: &str| {
            format!(
                "Name:\tx\nState:\tD (disk sleep)\nSigPnd:\t{own}\nShdPnd:\t{shared}\nSigBlk:\t0000000000000100\n"
            )
        };
        let (none, kill, term) = ("0000000000000000", "0000000000000100", "0000000000004000");
        assert!(is_dying(&status(kill, none)));
        assert!(is_dying(&status(none, kill)));
        assert!(!is_dying(&status(term, term)), "SIGTERM can be caught");
        assert!(
            !is_dying(&status(none, none)),
            "a blocked signal is not a pending one"
        );
    }

    #[test]
    fn the_dead_are_dead() {
        assert!(is_dying("Name:\tx\nState:\tZ (zombie)\n"));
        assert!(!is_dying("Name:\tZ\nState:\tS (sleeping)\n"));
    }
}
