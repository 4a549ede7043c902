//! `holdfast certs`: a certificate for the webhooks, for whoever wants to bring their own and has no authority at hand.
//!
//! The authority's key is thrown away: nobody can sign anything else with it, and a new certificate comes with a new authority.

use crate::kit::error::Error;
use crate::process::clock;
use crate::webhook::authority::{Authority, service_names};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY: u64 = 24 * 3600;

/// Where to write which certificate.
#[derive(Debug, Clone, clap::Args)]
pub struct Certs {
    /// Directory to write ca.crt, tls.crt and tls.key to
    #[arg(long, default_value = "certs/_certs", value_name = "DIR")]
    pub out: PathBuf,
    /// Service that the API server reaches the webhooks by
    #[arg(long, default_value = "holdfast")]
    pub service: String,
    /// Namespace of the Service and the Secret
    #[arg(long, short, default_value = "holdfast-system")]
    pub namespace: String,
    /// Name of the Secret in the printed command [default: SERVICE-tls]
    #[arg(long)]
    pub secret: Option<String>,
    /// One more name that the certificate is for; may be repeated
    #[arg(long = "name", value_name = "DNS NAME")]
    pub names: Vec<String>,
    /// How many days it is valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3650))]
    pub days: u64,
    /// Overwrite what is there
    #[arg(long)]
    pub force: bool,
}

/// Writes the files, and hands out what to do with them.
///
/// # Errors
/// A file is there already or cannot be written, or a name cannot be used.
pub fn run(certs: &Certs) -> Result<String, Error> {
    write(certs, clock::now())
}

fn write(certs: &Certs, now: Timestamp) -> Result<String, Error> {
    let Certs {
        out,
        service,
        namespace,
        secret,
        names: more,
        days,
        force,
    } = certs;
    let files = ["ca.crt", "tls.crt", "tls.key"].map(|name| out.join(name));
    if let Some(there) = files.iter().find(|file| file.exists())
        && !force
    {
        return Err(Error::Invalid {
            what: format!("--out={}", out.display()),
            why: format!(
                "{} is there already; give another directory, or --force to overwrite it",
                there.display()
            ),
        });
    }
    let mut names = service_names(service, namespace);
    for name in more {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let life = Duration::from_secs(days.saturating_mul(DAY));
    let authority = Authority::create("holdfast certs", life, now)?;
    let leaf = authority.issue(&names, life, now)?;
    fs::create_dir_all(out)
        .map_err(|source| Error::io("make", out.display().to_string(), source))?;
    let texts = [authority.certificate(), &leaf.certificate, &leaf.key];
    for ((file, text), mode) in files.iter().zip(texts).zip([0o644, 0o644, 0o600]) {
        put(file, text, mode)?;
    }
    let secret = secret.clone().unwrap_or_else(|| format!("{service}-tls"));
    let [_, tls, key] = files.map(|file| file.display().to_string());
    Ok(format!(
        "wrote ca.crt, tls.crt and tls.key to {out}, for {names}, valid until {until:.0}\n\
         \n\
         The Secret:\n\
         \n\
         \x20 kubectl create secret tls {secret} --cert={tls} --key={key} -n {namespace}\n\
         \n\
         The authority, for caBundle, where Holdfast is not to write it itself:\n\
         \n\
         {bundle}\n",
        out = out.display(),
        names = names.join(", "),
        until = leaf.validity.until,
        bundle = STANDARD.encode(authority.certificate()),
    ))
}

/// A new file takes the old one's place, so that its mode is the one that is wanted, and nobody reads half of it.
fn put(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let failed = |source| Error::io("write", path.display().to_string(), source);
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let left_over = fs::remove_file(&aside);
    if let Err(error) = left_over
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(failed(error));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(&aside).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    drop(file);
    fs::rename(&aside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::tls::Certificate;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    fn certs(test: &str) -> Certs {
        let out =
            std::env::temp_dir().join(format!("holdfast-certs-{}-{test}", std::process::id()));
        Certs {
            out: out.join("deeper"),
            service: "hooks".into(),
            namespace: "apps".into(),
            secret: None,
            names: vec!["localhost".into(), "hooks.apps.svc".into()],
            days: 30,
            force: false,
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn writes_what_a_server_can_use_and_says_what_to_do_with_it() {
        let certs = certs("writes");
        let said = write(&certs, now()).unwrap();
        let served = Certificate::read(&certs.out, Arc::default()).unwrap();
        assert_eq!(
            served.pair().validity.until,
            now() + Duration::from_secs(30 * DAY)
        );
        assert_eq!(served.pair().authority.len(), 1);
        let key = fs::metadata(certs.out.join("tls.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        let line = format!(
            "kubectl create secret tls hooks-tls --cert={0}/tls.crt --key={0}/tls.key -n apps",
            certs.out.display()
        );
        assert!(said.contains(&line), "{said}");
        let authority = fs::read(certs.out.join("ca.crt")).unwrap();
        assert!(said.contains(&STANDARD.encode(authority)), "{said}");
        assert!(
            said.contains("hooks.apps.svc") && said.contains("localhost"),
            "{said}"
        );
        fs::remove_dir_all(certs.out.parent().unwrap()).unwrap();
    }

    #[test]
    fn overwrites_only_when_it_is_told_to() {
        let mut certs = certs("overwrites");
        write(&certs, now()).unwrap();
        let key = || fs::read(certs.out.join("tls.key")).unwrap();
        let first = key();
        let error = write(&certs, now()).unwrap_err().to_string();
        assert!(error.contains("--force"), "{error}");
        assert_eq!(key(), first);
        let out = certs.out.clone();
        certs.force = true;
        write(&certs, now()).unwrap();
        assert_ne!(fs::read(out.join("tls.key")).unwrap(), first);
        let files = fs::read_dir(&out).unwrap().count();
        assert_eq!(files, 3, "nothing is left beside them");
        fs::remove_dir_all(out.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_name_that_cannot_be_used_leaves_nothing_behind() {
        let mut certs = certs("names");
        certs.names.push("näme".into());
        assert!(write(&certs, now()).is_err());
        assert!(!certs.out.exists());
    }
}
