//! What is to be seen of the containers of a pod that is to get a state: their processes, what became of what was begun, who waits.

use crate::agent::attempt::Attempt;
use crate::agent::host::Host;
use crate::agent::pods;
use crate::agent::target::{Evidence, Live, Sight};
use crate::agent::waiting::Waiting;
use crate::engine::restore;
use crate::hold::record::{Record, Token, TokenState};
use crate::oci::cgroups::Cgroups;
use crate::oci::failure::Failure;
use crate::oci::files;
use crate::oci::place::{Place, Places};
use crate::oci::state::State;
use crate::runtime::api::{self, Seen, evidence_path};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a kill of a pod's processes may take.
const KILLING: Duration = Duration::from_secs(20);

/// What is to be seen of a pod.
#[derive(Debug)]
pub(crate) struct Sights {
    pub(crate) containers: BTreeMap<String, Sight>,
    pub(crate) has_sandbox: bool,
}

/// One pod's containers on this node.
struct Pod<'a> {
    host: &'a Host,
    record: &'a Record,
    places: Vec<Place>,
}

impl<'a> Pod<'a> {
    fn of(host: &'a Host, record: &'a Record) -> Result<Self, Failure> {
        let mut places = Vec::new();
        for place in Places::below(&host.run()).all()? {
            let place = place?;
            if place.uid == record.uid.as_str() {
                places.push(place);
            }
        }
        Ok(Self {
            host,
            record,
            places,
        })
    }

    fn names(&self) -> BTreeSet<&str> {
        let tokens = self.record.tokens.keys().map(String::as_str);
        let places = self.places.iter();
        tokens
            .chain(places.filter_map(|place| place.container.as_deref()))
            .collect()
    }

    fn token(&self, name: &str) -> Option<&Token> {
        self.record.tokens.get(name)
    }

    fn places_of(&self, name: &str) -> impl Iterator<Item = &Place> {
        let is_it = move |place: &&Place| place.container.as_deref() == Some(name);
        self.places.iter().filter(is_it)
    }

    /// What was begun of a container, by its token and by its places.
    fn attempts(&self, name: &str) -> Result<Vec<Attempt>, Failure> {
        let token = self.token(name).and_then(|token| token.id.as_deref());
        let places = self.places_of(name).map(|place| place.id.as_str());
        let ids: BTreeSet<&str> = token.into_iter().chain(places).collect();
        let read = ids.into_iter().map(|id| Attempt::read(self.host, id));
        read.filter_map(Result::transpose).collect()
    }

    /// The cgroups that the real runtime names for a container's places.
    fn known(&self, name: &str) -> Result<Vec<Cgroups>, Failure> {
        let mut found = Vec::new();
        for place in self.places_of(name) {
            let state = State::of(&self.host.path(&place.root), &place.id)?;
            let Some(state) = state else { continue };
            if !state.cgroups.is_empty() {
                let paths = state.cgroups.iter().map(|path| self.host.path(path));
                found.push(Cgroups::at(paths));
            } else if let Some(pid) = state.pid.filter(|pid| pods::is_same(*pid, state.start)) {
                found.push(Cgroups::of_process(pid)?);
            }
        }
        Ok(found)
    }

    fn live(&self, name: &str, waiting: &BTreeSet<i32>) -> Result<Live, Failure> {
        for place in self.places_of(name) {
            let state = State::of(&self.host.path(&place.root), &place.id)?;
            let init = state.and_then(|state| Some((state.pid?, state.start)));
            if init.is_some_and(|(pid, start)| pods::is_same(pid, start)) {
                return Ok(Live::Running);
            }
        }
        let attempts = self.attempts(name)?;
        let both = |attempt: &Attempt| [attempt.cgroups(self.host), attempt.own(self.host)];
        let all = attempts.iter().flat_map(both).chain(self.known(name)?);
        for cgroups in all {
            let pids = cgroups.pids()?;
            // Who waits for our word is none of what was begun.
            if pids.difference(waiting).next().is_some() {
                return Ok(Live::Beginning);
            }
        }
        Ok(Live::Nothing)
    }

    /// What the real runtime knows of what was begun with this token, or knew when it was deleted. Its state is read before the evidence,
    /// and that before the place: who deletes a container writes and removes them in that order.
    fn evidence(&self, token: &Token, boot: &str) -> Result<Evidence, Failure> {
        let (Some(id), true) = (&token.id, token.boot.as_deref() == Some(boot)) else {
            return Ok(Evidence::Nothing);
        };
        let place = self.places.iter().find(|place| place.id == *id);
        let root = place.map(|place| self.host.path(&place.root));
        if let Some(root) = &root
            && let Some(state) = State::of(root, id)?
        {
            let is_runc = root.join(id).join("state.json").exists();
            return Ok(match state.pid {
                Some(_) => Evidence::Ran,
                None if is_runc => Evidence::NeverRan,
                None => Evidence::Nothing,
            });
        }
        let left = files::read(&evidence_path(&self.host.run(), id))?;
        let left = left.and_then(|text| serde_json::from_slice::<api::Evidence>(&text).ok());
        Ok(match left.filter(|left| left.boot == boot) {
            Some(left) if left.seen.shows_that_nothing_ran() => Evidence::NeverRan,
            Some(api::Evidence {
                seen: Seen::Init { .. },
                ..
            }) => Evidence::Ran,
            None if self.was_never_written(id)? => Evidence::NeverRan,
            Some(_) | None => Evidence::Nothing,
        })
    }

    /// Nobody deleted it yet, and runc keeps nothing of it.
    fn was_never_written(&self, id: &str) -> Result<bool, Failure> {
        let is_there = Places::below(&self.host.run()).get(id.as_ref())?.is_some();
        let attempt = Attempt::read(self.host, id)?;
        Ok(is_there && attempt.is_some_and(|attempt| attempt.is_runc))
    }
}

/// Looks once.
///
/// # Errors
/// Something is there and cannot be read: then nothing is known of the pod.
pub(crate) fn look(
    host: &Host,
    record: &Record,
    boot: &str,
    waiting: &Waiting,
) -> Result<Sights, Failure> {
    let pod = Pod::of(host, record)?;
    let asking = waiting.pids();
    let mut containers = BTreeMap::new();
    for name in pod.names() {
        // Its processes first: what is begun meanwhile is seen at the next look, and is not in this record.
        let live = pod.live(name, &asking)?;
        let evidence = match pod.token(name) {
            Some(token) => pod.evidence(token, boot)?,
            None => Evidence::Nothing,
        };
        let sight = Sight {
            live,
            evidence,
            is_waiting: waiting.is(record.uid.as_str(), name),
        };
        containers.insert(name.to_owned(), sight);
    }
    Ok(Sights {
        containers,
        has_sandbox: pod.places.iter().any(|place| place.sandbox),
    })
}

/// Kills all processes of the pod's containers, and of their attempts, and finds their cgroups empty. Whoever could still bring one to
/// life dies first. Those who wait for our word live: nothing comes of them.
///
/// # Errors
/// Something is left.
pub(crate) fn kill(host: &Host, record: &Record, waiting: &Waiting) -> Result<(), Failure> {
    let pod = Pod::of(host, record)?;
    for name in pod.names() {
        let attempts = pod.attempts(name)?;
        for attempt in &attempts {
            let cgroups = attempt.cgroups(host);
            let asking = waiting.pids();
            if !cgroups.pids()?.is_subset(&asking) {
                cgroups.kill(KILLING)?;
            }
        }
        let own = attempts.iter().map(|attempt| attempt.own(host));
        for cgroups in own.chain(pod.known(name)?) {
            if !cgroups.is_empty()? {
                cgroups.kill(KILLING)?;
            }
        }
    }
    Ok(())
}

/// What attempts that are over left behind goes: their cgroups, when they are empty, and CRIU's logs of what went well.
pub(crate) fn tidy(host: &Host, record: &Record) {
    for token in record.tokens.values() {
        let over = token
            .id
            .as_deref()
            .filter(|_| token.state != TokenState::Begun);
        let Some(attempt) = over.and_then(|id| Attempt::read(host, id).ok().flatten()) else {
            continue;
        };
        if attempt.leave(host) && token.state == TokenState::Done {
            let work = restore::work(&host.run(), &attempt.id);
            let _kept_until_the_next_boot = std::fs::remove_dir_all(work);
        }
    }
}

/// What CRIU said last of a container that was begun.
pub(crate) fn log(host: &Host, id: &str) -> String {
    let path = restore::work(&host.run(), id).join(restore::LOG);
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::change::{AdmissionStep, Change};
    use crate::hold::record::What;
    use crate::hold::rules::Rules;
    use crate::hold::uid::Uid;
    use crate::testkit::folder::Folder;
    use serde_json::json;

    /// A pod whose one container was begun in this boot.
    fn begun() -> Record {
        let steps = [
            AdmissionStep::Open {
                attempt: 1,
                restores: ["app".to_owned()].into(),
                finished: [].into(),
                prepared: false,
            },
            AdmissionStep::Claim {
                attempt: 1,
                what: What::Generation("g".into()),
            },
            AdmissionStep::Begin {
                attempt: 1,
                container: "app".into(),
                boot: "boot".into(),
                cgroup: "/cg/holdfast/attempt-c1".into(),
                id: "c1".into(),
            },
        ];
        let blank = Record::blank("ns", "web", Uid::try_from("u1").unwrap());
        steps.into_iter().fold(blank, |record, step| {
            Change::admit("op", step).apply(record, Rules::ALL).unwrap()
        })
    }

    fn place(container: Option<&str>, id: &str) -> serde_json::Value {
        json!({ "id": id, "root": "/run/runc", "bundle": "/b", "namespace": "ns", "pod": "web", "uid": "u1",
            "container": container, "sandbox": container.is_none() })
    }

    fn node() -> (Folder, Host) {
        let folder = Folder::new();
        let host = Host::at(folder.path().to_owned());
        folder.write(
            "run/holdfast/containers/c1",
            &place(Some("app"), "c1").to_string(),
        );
        let attempt = json!({ "id": "c1", "cgroup": "/cg/holdfast/attempt-c1", "own": ["/cg/kube/c1"], "is_runc": true });
        folder.write("run/holdfast/attempts/c1.json", &attempt.to_string());
        (folder, host)
    }

    fn app(host: &Host, waiting: &Waiting) -> Sight {
        let sights = look(host, &begun(), "boot", waiting).unwrap();
        sights.containers["app"]
    }

    #[test]
    fn what_was_begun_is_on_its_way_as_long_as_a_process_of_it_is_there() {
        let (folder, host) = node();
        let waiting = Waiting::default();
        assert_eq!(app(&host, &waiting).live, Live::Nothing);
        folder.write("cg/kube/c1/cgroup.procs", "77\n");
        assert_eq!(app(&host, &waiting).live, Live::Beginning);
        folder.write("cg/kube/c1/cgroup.procs", "");
        folder.write("cg/holdfast/attempt-c1/cgroup.procs", "78\n");
        assert_eq!(app(&host, &waiting).live, Live::Beginning);
        let ticket = waiting.enter("u1", "app", Some(78));
        let sight = app(&host, &waiting);
        assert_eq!(sight.live, Live::Nothing, "it waits for our word");
        assert!(sight.is_waiting);
        drop(ticket);
        assert_eq!(app(&host, &waiting).live, Live::Beginning);
    }

    #[test]
    fn a_process_of_ours_that_runs_is_known_by_when_it_began() {
        let (folder, host) = node();
        let pid = std::process::id();
        let state = json!({ "init_process_pid": pid, "init_process_start": 0 });
        folder.write("run/runc/c1/state.json", &state.to_string());
        let sight = app(&host, &Waiting::default());
        assert_eq!((sight.live, sight.evidence), (Live::Running, Evidence::Ran));
        let state = json!({ "init_process_pid": pid, "init_process_start": 1 });
        folder.write("run/runc/c1/state.json", &state.to_string());
        let sight = app(&host, &Waiting::default());
        assert_eq!((sight.live, sight.evidence), (Live::Nothing, Evidence::Ran));
    }

    #[test]
    fn only_what_is_shown_not_to_have_run_did_not() {
        let (folder, host) = node();
        let evidence = || app(&host, &Waiting::default()).evidence;
        assert_eq!(evidence(), Evidence::NeverRan, "runc wrote nothing down");
        folder.write("run/runc/c1/state.json", r#"{"init_process_pid":0}"#);
        assert_eq!(evidence(), Evidence::NeverRan);
        std::fs::remove_dir_all(folder.path().join("run/runc")).unwrap();
        let left = |boot: &str, seen: serde_json::Value| {
            let left = json!({ "place": place(Some("app"), "c1"), "boot": boot, "seen": seen });
            folder.write("run/holdfast/evidence/c1.json", &left.to_string());
        };
        left("boot", json!({ "init": { "pid": 7 } }));
        assert_eq!(evidence(), Evidence::Ran);
        left("boot", json!({ "unknown": { "why": "x" } }));
        assert_eq!(evidence(), Evidence::Nothing);
        std::fs::remove_file(folder.path().join("run/holdfast/containers/c1")).unwrap();
        left("boot", json!("no-state"));
        assert_eq!(evidence(), Evidence::NeverRan);
        left("another", json!("no-state"));
        assert_eq!(evidence(), Evidence::Nothing);
    }

    #[test]
    fn a_pod_has_a_sandbox_while_its_place_is_there() {
        let (folder, host) = node();
        let has = || {
            look(&host, &begun(), "boot", &Waiting::default())
                .unwrap()
                .has_sandbox
        };
        assert!(!has());
        folder.write("run/holdfast/containers/s1", &place(None, "s1").to_string());
        assert!(has());
        folder.write("run/holdfast/containers/x", "{");
        let unread = look(&host, &begun(), "boot", &Waiting::default());
        assert!(unread.is_err(), "it may be one of its");
    }
}
