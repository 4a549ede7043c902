//! The load driver of the benchmarks: sends admission reviews as an API server does, and counts.
//!
//! One thread, one epoll, no runtime: on two cores it has to be cheaper than the server that it measures. One line of JSON at the end.
//! What it must not do: load anything but this machine. It takes loopback addresses and those of the test worlds.

/// The parts, from what is asked to what is told.
mod driver {
    pub(crate) mod answer;
    pub(crate) mod arguments;
    pub(crate) mod connection;
    pub(crate) mod flood;
    pub(crate) mod held;
    pub(crate) mod load;
    pub(crate) mod meter;
    pub(crate) mod outcome;
    pub(crate) mod poller;
    pub(crate) mod population;
    pub(crate) mod requests;
    pub(crate) mod schedule;
    pub(crate) mod verify;
}

use clap::Parser;
use driver::arguments::{Arguments, What};
use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast::install_crypto();
    let ran = match Arguments::parse().what {
        What::Load(load) => driver::load::run(&load),
        What::Idle(flood) => driver::flood::idle(&flood),
        What::Slowloris(flood) => driver::flood::slowloris(&flood),
    };
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-driver: {error:#}");
            ExitCode::from(2)
        }
    }
}
