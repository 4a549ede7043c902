//! `holdfast lint`: mistakes in files, found without a cluster.

use crate::cli::files;
use crate::cli::table::{Form, answer};
use crate::kit::documents::documents;
use crate::kit::error::Error;
use crate::sizing::lint::{Finding, Report, Severity, Source, lint};
use std::fmt::Write;
use std::path::PathBuf;

/// Find mistakes in templates, and in DaemonSets that name one, without a cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 nothing to change, 1 a mistake (with --strict: or a warning), 2 a wrong flag.

Examples:
  # One file, or all below a directory
  holdfast lint -f template.yaml
  holdfast lint -f manifests/ -f samples/

  # What a chart or an overlay makes
  helm template my-chart | holdfast lint -f -
  kubectl kustomize overlays/prod | holdfast lint --strict -f -

  # For a pipeline
  holdfast lint -f manifests/ -o json | jq '.findings[] | select(.severity == \"error\")'")]
pub struct Lint {
    /// Files, directories (all .yaml, .yml and .json below them), or `-` for standard input
    #[arg(
        long = "filename",
        short = 'f',
        value_name = "FILE",
        required = true,
        num_args = 1..
    )]
    pub files: Vec<PathBuf>,
    /// Fail on warnings too
    #[arg(long)]
    pub strict: bool,
    /// How to print the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Form,
}

/// Whether nothing has to be changed.
///
/// # Errors
/// A file cannot be read.
pub fn run(arguments: Lint) -> Result<bool, Error> {
    let Lint {
        files: names,
        strict,
        output,
    } = arguments;
    let report = lint(&sources(&names)?);
    answer(output, &report, table)?;
    let worst = if strict {
        Severity::Warning
    } else {
        Severity::Error
    };
    Ok(report.findings.iter().all(|one| one.severity > worst))
}

/// Files, as they are linted.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn sources(names: &[PathBuf]) -> Result<Vec<Source>, Error> {
    let files = files::read(names)?.into_iter();
    Ok(files
        .map(|file| Source {
            documents: documents(&file.text),
            file: file.name,
        })
        .collect())
}

/// One finding on a line, as compilers write it.
pub(crate) fn line(finding: &Finding) -> String {
    let place = finding
        .line
        .map(|line| format!(":{line}"))
        .unwrap_or_default();
    let mut text = format!("{}{place}: {}: ", finding.file, finding.severity.name());
    for part in [&finding.object, &finding.field] {
        if !part.is_empty() {
            text.push_str(part);
            text.push_str(": ");
        }
    }
    text + &finding.message
}

fn table(report: &Report) -> String {
    let mut text: String = report.findings.iter().map(|one| line(one) + "\n").collect();
    let many = |count: usize, one: &str| {
        let ending = if count == 1 { "" } else { "s" };
        format!("{count} {one}{ending}")
    };
    // A text takes whatever is written to it.
    let _written = writeln!(
        text,
        "{}, {}, {} in {} ({}, {} of other kinds)",
        many(report.count(Severity::Error), "error"),
        many(report.count(Severity::Warning), "warning"),
        many(report.count(Severity::Note), "note"),
        many(report.files, "file"),
        many(report.objects, "template and DaemonSet")
            .replace("template and DaemonSets", "templates and DaemonSets"),
        report.ignored,
    );
    text
}
