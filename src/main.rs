//! `holdfast`: the manager and the user's verbs.

use anyhow::Context;
use clap::Parser;
use holdfast::cli::arguments::{Arguments, Verb};
use holdfast::cli::{explain, print, teardown};
use holdfast::{app, install_crypto};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    install_crypto();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfast: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.verb {
        Verb::Serve(flags) => app::serve::serve(*flags).await.context("the manager ended"),
        Verb::Explain(arguments) => Ok(explain::run(*arguments).await?),
        Verb::Crds => Ok(print::out(&print::yaml(&app::crds())?)?),
        Verb::Teardown(arguments) => Ok(teardown::run(arguments, &app::kinds()).await?),
        Verb::Version => Ok(print::out(concat!(
            "holdfast ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        ))?),
        Verb::Completions { shell } => Ok(print::out(&print::completions(shell))?),
        #[cfg(feature = "faults")]
        Verb::Faults => Ok(print::out(
            &app::fault_points()
                .into_iter()
                .map(|point| point + "\n")
                .collect::<String>(),
        )?),
    }
}
