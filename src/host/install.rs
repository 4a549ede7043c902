//! `host install`: programs, settings, handler, restart, trial. In this order, so that a handler never names a program that is not
//! there; and each step is one that a second run finds done.

use super::acts;
use super::configure::{Learnt, Site, learn};
use super::disk;
use super::handler::PROGRAM;
use super::node::{Node, Settings};
use super::parts::{self, Part, Parts};
use super::prefix::{self, PROGRAMS};
use super::programs::{self, Program, ask, ask_all, usable};
use super::record::Record;
use super::root;
use super::start;
use super::{commands, record::Engine};
use crate::kit::error::{Error, chain};
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// What an installation takes from where it comes from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The runtime's program.
    pub program: PathBuf,
    /// What is brought to nodes that lack it.
    pub parts: PathBuf,
    /// Whether a container is started to see that all works.
    pub with_trial: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// Where our files are.
    pub prefix: PathBuf,
    /// Whose handler was added.
    pub engine: Engine,
    /// The runtime that really runs the containers.
    pub runtime: String,
    /// What freezes them; none where there is none that can.
    pub criu: Option<String>,
    /// Whether the container runtime was started again.
    pub restarted: bool,
    /// What somebody should know.
    pub notes: Vec<String>,
}

struct Loaded {
    program: Vec<u8>,
    parts: Option<Parts>,
    with_trial: bool,
}

/// Installs, or sees that all is installed.
///
/// # Errors
/// What could not be done, and what to change.
pub async fn install(settings: &Settings, sources: &Sources) -> Result<Installed, Error> {
    let program = disk::read(&sources.program)?.ok_or_else(|| Error::Invalid {
        what: sources.program.display().to_string(),
        why: format!(
            "it is not there: put {PROGRAM} beside this program, or name it with --runtime-binary"
        ),
    })?;
    let loaded = Loaded {
        program,
        parts: Parts::load(&sources.parts)?,
        with_trial: sources.with_trial,
    };
    let entered = root::enter(&settings.root)?;
    let done = install_here(settings, &loaded).await;
    entered.leave()?;
    done
}

async fn install_here(settings: &Settings, loaded: &Loaded) -> Result<Installed, Error> {
    let node = Node::find(settings)?;
    node.service.until_it_answers().await?;
    let (prefix, mut record) = place(settings, loaded, node.service.engine).await?;
    let program = prefix.join(PROGRAMS).join(PROGRAM);
    let learnt = learn(&node, &program).await?;
    let mut notes = Vec::new();
    let runtime = runtime(&prefix, loaded, &learnt, &mut notes).await?;
    let criu = criu(&prefix, loaded, &mut notes).await?;
    let part = Part {
        path: Path::new(PROGRAMS).join(PROGRAM),
        bytes: loaded.program.clone(),
        mode: 0o755,
    };
    acts::put_part(&prefix, &part).await?;
    let told = told(&runtime.path, criu.as_ref().map(|criu| criu.path.as_path()));
    acts::put_settings(&prefix, &told).await?;
    let site = Site {
        node: &node,
        prefix: &prefix,
        program,
    };
    site.add(&mut record).await?;
    let restarted = record.restart;
    if restarted {
        begin_anew(&site, &mut record).await?;
    }
    if loaded.with_trial {
        start::try_start(&node.service.cri, learnt.is_systemd).await.map_err(|error| Error::Invalid {
            what: "the installation".into(),
            why: format!("a container does not start under it: {}; it stays as it is, so that you can look: `holdfast host uninstall` takes it away", chain(&error)),
        })?;
    }
    Ok(Installed {
        engine: node.service.engine,
        runtime: format!("{runtime} ({})", runtime.path.display()),
        criu: criu.map(|criu| format!("{criu} ({})", criu.path.display())),
        prefix,
        restarted,
        notes,
    })
}

/// Where it is to be, with its record on the disk.
async fn place(
    settings: &Settings,
    loaded: &Loaded,
    engine: Engine,
) -> Result<(PathBuf, Record), Error> {
    let given = settings.prefix.as_deref();
    if let Some((prefix, record)) = prefix::installed(given)? {
        let wrong = if given.is_some_and(|given| given != prefix) {
            Some(format!("it is installed at {} already", prefix.display()))
        } else if record.engine != engine {
            Some(format!(
                "it is installed for {} already",
                record.engine.name()
            ))
        } else {
            None
        };
        return match wrong {
            None => Ok((prefix, record)),
            Some(why) => Err(Error::Invalid {
                what: "this host".into(),
                why: format!("{why}: run `holdfast host uninstall` first"),
            }),
        };
    }
    let prefix = prefix::choose(given, &loaded.program).await?;
    let mut record = Record::new(engine);
    record.folders = disk::make_folder(&prefix)?;
    acts::put_record(&prefix, &record).await?;
    Ok((prefix, record))
}

/// The runtime that runs the containers: the node's own, or ours.
async fn runtime(
    prefix: &Path,
    loaded: &Loaded,
    learnt: &Learnt,
    notes: &mut Vec<String>,
) -> Result<Program, Error> {
    let named = learnt.named.iter().filter_map(|path| {
        if path.is_absolute() {
            Some(path.clone())
        } else {
            commands::find(path.to_str()?)
        }
    });
    let own = ["runc", "crun"].into_iter().flat_map(commands::all);
    let brought = prefix.join(parts::RUNC);
    let before = ask_all(named.clone().chain(own).chain([brought.clone()])).await;
    if let Some(named) = named.into_iter().next()
        && before.iter().all(|program| program.path != named)
    {
        notes.push(format!("the node's default handler runs {}, which is neither runc nor crun: what it adds to containers, those of Holdfast do not get", named.display()));
    }
    let wrong = match usable(before) {
        Ok(program) => return Ok(program),
        Err(wrong) => wrong,
    };
    let missing = |why: String| Error::Invalid {
        what: "this host".into(),
        why: format!(
            "{why} ({}): install runc 1.2 or later on the node, or use the image that brings it",
            wrong.join("; ")
        ),
    };
    let Some(parts) = &loaded.parts else {
        return Err(missing(
            "it has no container runtime that can restore, and this program brings none".into(),
        ));
    };
    for part in parts.runc() {
        acts::put_part(prefix, &part).await?;
    }
    let found = ask(&brought)
        .await
        .filter(|program| program.lacks().is_none());
    found.ok_or_else(|| {
        missing(format!(
            "the runc that was brought to {} does not run here",
            brought.display()
        ))
    })
}

/// What freezes containers: the node's own, ours, or nothing yet.
async fn criu(
    prefix: &Path,
    loaded: &Loaded,
    notes: &mut Vec<String>,
) -> Result<Option<Program>, Error> {
    let brought = prefix.join(parts::CRIU);
    let own = commands::all("criu").into_iter();
    let wrong = match usable(ask_all(own.chain([brought.clone()])).await) {
        Ok(program) => return Ok(Some(program)),
        Err(wrong) => wrong,
    };
    if let Some(parts) = &loaded.parts {
        for part in parts.criu(prefix) {
            acts::put_part(prefix, &part).await?;
        }
        if let Some(program) = programs::ask(&brought)
            .await
            .filter(|program| program.lacks().is_none())
        {
            return Ok(Some(program));
        }
        notes.push(format!(
            "the CRIU that was brought to {} does not run here",
            brought.display()
        ));
    }
    notes.push(format!(
        "nothing can be checkpointed on this node: it has no CRIU 4.2 or later{}",
        if wrong.is_empty() {
            String::new()
        } else {
            format!(" ({})", wrong.join("; "))
        }
    ));
    Ok(None)
}

fn told(runtime: &Path, criu: Option<&Path>) -> Vec<u8> {
    let told = json!({
        "real": runtime,
        "criu": criu,
        "socket": "/run/holdfast/agent.sock",
        "run": "/run/holdfast",
        "records": "/var/lib/holdfast/records",
    });
    let mut text = serde_json::to_vec_pretty(&told).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Starts the container runtime again; one that does not come back gets its former configuration.
async fn begin_anew(site: &Site<'_>, record: &mut Record) -> Result<(), Error> {
    let service = &site.node.service;
    let Err(error) = acts::restart(service, true).await else {
        record.restart = false;
        return acts::put_record(site.prefix, record).await;
    };
    site.take_back(record).await?;
    let again = acts::restart(service, false).await;
    if again.is_ok() {
        record.restart = false;
        acts::put_record(site.prefix, record).await?;
    }
    Err(Error::Invalid {
        what: "the new configuration".into(),
        why: match again {
            Ok(()) => format!(
                "{}; the former one is in place and in effect again",
                chain(&error)
            ),
            Err(second) => format!(
                "{}; the former one is in place again, but the runtime does not come back with it either ({}): look at its log",
                chain(&error),
                chain(&second)
            ),
        },
    })
}
