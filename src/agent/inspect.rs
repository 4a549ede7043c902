//! Looks at the processes of a pod on this node, before anything of it is touched: what would keep it from going elsewhere. What is read
//! is judged by `preflight::living`. Nothing is written, nothing is asked of the pod, and no more is read than has bounds.

mod reading;
mod within;

use crate::agent::api::{CheckpointOrder, RoomOrder};
use crate::agent::blocking::blocking;
use crate::agent::cut::Engine;
use crate::agent::host::{self, Host};
use crate::agent::pods::{self, Living as Found};
use crate::hold::record::Record;
use crate::oci::failure::Failure;
use crate::preflight::finding::Finding;
use crate::preflight::freezing::of_probe;
use crate::preflight::list::Item;
use crate::preflight::living::{Container, Living};
use crate::preflight::text::{mounts, sockets};
use reading::{Reader, bounded};
use std::path::Path;
use std::time::Duration;

/// Whoever looks gives up after this: a process may keep its own files from being read.
const LIMIT: Duration = Duration::from_secs(10);

/// What there is to be seen of a pod's processes.
///
/// # Errors
/// Nothing of it can be known.
pub(crate) async fn look(host: &Host, uid: &str) -> Result<Living, Failure> {
    let (host, uid) = (host.clone(), uid.to_owned());
    let seen = blocking(move || seen(&host, &uid));
    let late =
        || Failure::new("looking at its processes took too long: some of them sit in the kernel");
    tokio::time::timeout(LIMIT, seen)
        .await
        .map_err(|_late| late())?
}

/// What keeps it where it is, as far as its processes tell; with what this node lacks to dump it.
///
/// # Errors
/// Nothing of it can be known.
pub(crate) async fn findings(
    host: &Host,
    prefixes: &[&str],
    uid: &str,
) -> Result<(Vec<Finding>, u64), Failure> {
    let living = look(host, uid).await?;
    let mut found = living.findings();
    if let Err(failure) = Engine::find(host, prefixes) {
        found.push(Finding::cured(
            Item::NotOurs,
            &failure.to_string(),
            "run `holdfast host install` on its node",
        ));
    }
    Ok((found, living.memory()))
}

/// The first thing that keeps a pod from going elsewhere that is about to be frozen. What cannot be known keeps nothing: CRIU looks too.
pub(crate) async fn before_freeze(host: &Host, record: &Record) -> Option<String> {
    match look(host, record.uid.as_str()).await {
        Ok(living) => crate::preflight::finding::refusal(&living.findings()),
        Err(failure) => {
            tracing::warn!(%failure, pod = record.pod, "what its processes do is not known");
            None
        }
    }
}

/// What CRIU would not dump, or this node may not keep.
pub(crate) async fn before_dump(
    host: &Host,
    record: &Record,
    order: Option<&CheckpointOrder>,
) -> Option<String> {
    let living = look(host, record.uid.as_str()).await.ok()?;
    let room = order.and_then(|order| order.room.as_ref());
    if let Some(why) = room.and_then(|room| lacks(room, living.memory())) {
        return Some(why);
    }
    let mut found = living.findings();
    let probe = order.and_then(|order| order.probe.as_ref());
    found.extend(probe.and_then(|probe| {
        let waits = Duration::from_secs(probe.seconds.into());
        of_probe(&probe.container, waits, living.memory())
    }));
    let stops = |finding: &Finding| {
        Item::ALL
            .iter()
            .any(|item| item.stops_dump() && item.about().id == finding.id)
    };
    found.retain(stops);
    crate::preflight::finding::refusal(&found)
}

/// More than its memory a pod may have in files; less it never is.
fn lacks(room: &RoomOrder, memory: u64) -> Option<String> {
    let bytes = u64::try_from(room.bytes).unwrap_or_default();
    (memory > bytes).then(|| {
        format!(
            "there is no room for it: its memory has {memory} bytes, and {bytes} more may be kept; {}",
            room.why
        )
    })
}

fn seen(host: &Host, uid: &str) -> Result<Living, Failure> {
    let found = pods::living(host, uid)?;
    let mut reader = Reader::default();
    let mut living = Living {
        has_time: Path::new("/proc/self/ns/time").symlink_metadata().is_ok(),
        users: reader.link(&host::process(1).join("ns/user")),
        room: room(host),
        ..Living::default()
    };
    for one in &found {
        living.containers.push(container(host, one, &mut reader)?);
    }
    if let Some(one) = found.first() {
        shared(one.init, &mut living, &mut reader);
    }
    living.unseen = reader.unseen;
    Ok(living)
}

fn container(host: &Host, found: &Found, reader: &mut Reader) -> Result<Container, Failure> {
    let name = found.held.name.clone();
    let renewed = reading::renewed(host, &found.bundle)?;
    let pids = pods::cgroups(host, &found.held).pids()?;
    let processes = reader.processes(&name, pids);
    let table = bounded(&host::process(found.init).join("mountinfo")).unwrap_or_default();
    let is_given = |point: &str| renewed.given.iter().any(|given| given == point);
    let mounted = mounts(&table).filter(|(point, _)| !is_given(point));
    Ok(Container {
        mounts: mounted
            .map(|(point, kind)| (point, kind.to_owned()))
            .collect(),
        name,
        init: found.init,
        processes,
        renewed: renewed.points,
        timed: renewed.timed,
    })
}

/// What all containers of a pod have in common.
fn shared(init: i32, living: &mut Living, reader: &mut Reader) {
    for (table, is_tcp) in [
        ("tcp", true),
        ("tcp6", true),
        ("udp", false),
        ("udp6", false),
    ] {
        // One without IPv6 has no such tables.
        let text = bounded(&host::process(init).join("net").join(table)).unwrap_or_default();
        living.sockets.extend(sockets(&text, is_tcp));
    }
    match within::look(init) {
        Ok(within) => {
            living.peers = within.peers;
            living.system_v = within.system_v;
        }
        Err(why) => reader.unseen.push(why),
    }
    living.queues = within::queues(init);
}

/// Bytes that are free where states are kept.
fn room(host: &Host) -> Option<u64> {
    let checkpoints = host.checkpoints();
    // It is made with the first state.
    let mut folders = checkpoints.ancestors();
    let about = folders.find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    about.f_bavail.checked_mul(about.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_with_more_memory_than_may_be_kept_is_refused_with_what_would_have_to_go() {
        let room = |bytes| RoomOrder {
            bytes,
            why: "node n1 may keep 20.0Gi".into(),
        };
        assert_eq!(lacks(&room(100), 100), None);
        let why = lacks(&room(99), 100).unwrap();
        assert!(
            why.contains("100 bytes, and 99 more may be kept; node n1"),
            "{why}"
        );
        assert!(lacks(&room(-1), 1).is_some());
    }
}
