//! `holdfast-runtime`: the container runtime that stands before the real one, on every node. No reactor, no client, no network.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast::runtime::program::run(std::env::args_os().collect())
}
