//! `holdfast`: the manager and the user's verbs.

use anyhow::Context;
use clap::Parser;
use holdfast::cli::arguments::{Arguments, Verb};
use holdfast::cli::{
    certs, checkpoint, checkpoints, explain, holds, host, lint, migrate, migrations, preflight,
    print, resolve, teardown, what_if,
};
use holdfast::{app, install_crypto};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    install_crypto();
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("holdfast: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked for; false where the answer is that something has to be changed.
async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    match arguments.verb {
        Verb::Serve(flags) => app::serve::serve(*flags)
            .await
            .context("the manager ended")?,
        Verb::Agent(flags) => app::agent::agent(*flags).await.context("the agent ended")?,
        Verb::Explain(arguments) => explain::run(*arguments).await?,
        Verb::WhatIf(arguments) => what_if::run(*arguments).await?,
        Verb::Checkpoint(arguments) => return Ok(checkpoint::run(*arguments).await?),
        Verb::Checkpoints(arguments) => checkpoints::run(arguments).await?,
        Verb::Migrate(arguments) => return Ok(migrate::run(*arguments).await?),
        Verb::Migrations(arguments) => migrations::run(arguments).await?,
        Verb::Holds(arguments) => holds::run(arguments).await?,
        Verb::Resolve(arguments) => return Ok(resolve::run(*arguments).await?),
        Verb::Preflight(verb) => return Ok(preflight::run(verb).await?),
        Verb::Lint(arguments) => return Ok(lint::run(arguments)?),
        Verb::Host(verb) => return Ok(host::run(*verb).await?),
        Verb::Crds => print::out(&print::yaml(&app::crds())?)?,
        Verb::Certs(arguments) => print::out(&certs::run(&arguments)?)?,
        Verb::Teardown(arguments) => teardown::run(arguments, &app::kinds()).await?,
        Verb::Version => print::out(concat!("holdfast ", env!("CARGO_PKG_VERSION"), "\n"))?,
        Verb::Completions { shell } => print::out(&print::completions(shell))?,
        #[cfg(feature = "faults")]
        Verb::Faults => {
            let points = app::fault_points().into_iter();
            let points = points.chain(app::node_fault_points());
            print::out(&points.map(|point| point + "\n").collect::<String>())?;
        }
    }
    Ok(true)
}
