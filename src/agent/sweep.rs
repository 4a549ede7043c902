//! Records of pods that are gone. A record that holds, or that waits for a state, is never swept: its operation ends it. And what the
//! runtime left of containers that were deleted, where nobody will ask for it.

use crate::agent::attempt;
use crate::agent::host::Host;
use crate::agent::records::Records;
use crate::hold::record::{Record, TokenState};
use crate::kit::error::chain;
use crate::oci::files;
use crate::oci::place::Places;
use crate::process::telemetry::AgentMetrics;
use crate::runtime::api::{Evidence, evidence_folder};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked. What is gone at two looks is gone: between a sandbox's end and the next one's start there is less.
const PERIOD: Duration = Duration::from_secs(60);

/// Looks until the stop.
pub(crate) async fn run(
    records: Records,
    host: Host,
    metrics: AgentMetrics,
    stop: CancellationToken,
) {
    let (places, evidence) = (Places::below(&host.run()), evidence_folder(&host.run()));
    let mut gone = HashSet::new();
    loop {
        gone = look(&records, &places, &metrics, &gone).await;
        if let Err(why) = sweep_evidence(&records, &evidence).await {
            tracing::warn!(why, "what containers left behind stays");
        }
        if let Err(why) = sweep_attempts(&records, &host).await {
            tracing::warn!(why, "what attempts left behind stays");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

/// Forgets what was gone before and is gone now; says what is gone now for the first time.
async fn look(
    records: &Records,
    places: &Places,
    metrics: &AgentMetrics,
    before: &HashSet<String>,
) -> HashSet<String> {
    let (living, listed) = match (living(places), records.list().await) {
        (Ok(living), Ok(listed)) => (living, listed),
        (living, listed) => {
            let why = living.err().unwrap_or_default();
            let error = listed.err().map(|error| chain(&error)).unwrap_or_default();
            tracing::warn!(why, error, "records could not be looked through");
            return before.clone();
        }
    };
    let mut counts =
        BTreeMap::from(["note", "hold", "admission", "unreadable"].map(|kind| (kind, 0)));
    let mut gone = HashSet::new();
    for (uid, record) in listed {
        let kind = match &record {
            Ok(record) => kind(record),
            Err(error) => {
                tracing::error!(%uid, error = %chain(error), "a record cannot be read: its pod waits until somebody looks at it");
                "unreadable"
            }
        };
        let count = counts.entry(kind).or_insert(0_i64);
        *count = count.saturating_add(1);
        let Ok(record) = record else { continue };
        if kind != "note" || living.contains(uid.as_str()) {
            continue;
        }
        if !before.contains(uid.as_str()) {
            gone.insert(uid.to_string());
        } else if let Err(error) = records.forget(record).await {
            tracing::warn!(%uid, error = %chain(&error), "the record of a pod that is gone stays");
        }
    }
    for (kind, count) in counts {
        metrics.records(kind, count);
    }
    gone
}

/// What became of a container is asked only of pods that wait for a state, or had one.
async fn sweep_evidence(records: &Records, folder: &Path) -> Result<(), String> {
    let listed = records.list().await.map_err(|error| chain(&error))?;
    let is_asked = |record: &Record| record.admission.is_some();
    let keeps = listed
        .into_iter()
        // Of a record that cannot be read nothing is known: its pod's is kept.
        .filter(|(_, record)| record.as_ref().map_or(true, is_asked))
        .map(|(uid, _)| uid.to_string());
    let (keeps, folder): (HashSet<String>, _) = (keeps.collect(), folder.to_owned());
    let swept = tokio::task::spawn_blocking(move || {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            // No container was deleted since the boot.
            return Ok(());
        };
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            let left = files::read(&path).map_err(|failure| failure.to_string())?;
            let left: Option<Evidence> = left.and_then(|text| serde_json::from_slice(&text).ok());
            if left.is_some_and(|left| !keeps.contains(&left.place.uid)) {
                files::remove(&path).map_err(|failure| failure.to_string())?;
            }
        }
        Ok(())
    });
    swept.await.map_err(|error| error.to_string())?
}

/// Cgroups of attempts that are over, where whoever asked was still in them when they were.
async fn sweep_attempts(records: &Records, host: &Host) -> Result<(), String> {
    let listed = records.list().await.map_err(|error| chain(&error))?;
    let mut begun = HashSet::new();
    for (_, record) in listed {
        // Of a record that cannot be read nothing is known.
        let record = record.map_err(|error| chain(&error))?;
        let tokens = record.tokens.into_values();
        let tokens = tokens.filter(|token| token.state == TokenState::Begun);
        begun.extend(tokens.filter_map(|token| token.id));
    }
    let host = host.clone();
    let swept = tokio::task::spawn_blocking(move || attempt::sweep(&host, &begun));
    let swept = swept.await.map_err(|error| error.to_string())?;
    swept.map_err(|failure| failure.to_string())
}

fn kind(record: &Record) -> &'static str {
    match record {
        Record { hold: Some(_), .. } => "hold",
        Record {
            admission: Some(_), ..
        } => "admission",
        _ => "note",
    }
}

/// The pods of which a container or sandbox is here.
pub(crate) fn living(places: &Places) -> Result<HashSet<String>, String> {
    let places = places.all().map_err(|failure| failure.to_string())?;
    places
        .into_iter()
        .map(|place| Ok(place.map_err(|failure| failure.to_string())?.uid))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::change::{AdmissionStep, Change};
    use crate::hold::shelf::Whose;
    use crate::hold::uid::Uid;
    use serde_json::json;

    #[tokio::test]
    async fn a_note_is_forgotten_when_its_pod_is_gone_at_two_looks() {
        let folder = std::env::temp_dir().join(format!("holdfast-sweep-{}", std::process::id()));
        let records = Records::open(&folder.join("records")).unwrap();
        let places = Places::below(&folder);
        std::fs::create_dir_all(folder.join("containers")).unwrap();
        let metrics = AgentMetrics::default();
        let uid = Uid::try_from("u1").unwrap();
        let whose = Whose {
            namespace: "ns".into(),
            pod: "web".into(),
            uid: uid.clone(),
        };
        let note = Change::Note {
            container: "a".into(),
        };
        records.change(&whose, &note).await.unwrap();
        let first = look(&records, &places, &metrics, &HashSet::new()).await;
        assert_eq!(first, HashSet::from(["u1".to_owned()]));
        assert!(records.read(&uid).await.unwrap().is_some());
        assert!(look(&records, &places, &metrics, &first).await.is_empty());
        assert_eq!(records.read(&uid).await.unwrap(), None);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn what_a_container_left_stays_while_its_pod_may_be_asked_for() {
        let folder = crate::testkit::folder::Folder::new();
        let records = Records::open(&folder.path().join("records")).unwrap();
        let left = |name: &str, uid: &str| {
            let place = json!({ "id": name, "root": "/r", "bundle": "/b", "namespace": "ns", "pod": "web", "uid": uid, "container": "c", "sandbox": false });
            let text = json!({ "place": place, "boot": "b", "seen": "no-state" }).to_string();
            folder.write(&format!("evidence/{name}.json"), &text);
        };
        left("c1", "u1");
        left("c2", "u2");
        folder.write("evidence/c3.json", "{");
        let whose = Whose {
            namespace: "ns".into(),
            pod: "web".into(),
            uid: Uid::try_from("u2").unwrap(),
        };
        let open = AdmissionStep::Open {
            attempt: 1,
            restores: ["c".to_owned()].into(),
            finished: [].into(),
            prepared: false,
        };
        let operation = "op".to_owned();
        let admit = Change::Admit {
            operation,
            step: open,
        };
        records.change(&whose, &admit).await.unwrap();
        let evidence = folder.path().join("evidence");
        sweep_evidence(&records, &evidence).await.unwrap();
        let stays = |name: &str| evidence.join(format!("{name}.json")).exists();
        assert_eq!(["c1", "c2", "c3"].map(stays), [false, true, true]);
    }
}
