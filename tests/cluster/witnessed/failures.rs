//! What fails from outside in the middle of a move: disks, bytes, connections, nodes, CRIU, the runtime, the pod itself. Each ends with a
//! sentence, and the witness has seen one program.

mod gone;

use super::lab::{Lab, node, other};
use super::objects::Owner;
use crate::world::within;
pub(super) use gone::{
    the_pod_is_deleted, the_sources_agent_is_gone_for_good, the_target_goes_after_the_release,
    the_target_goes_before_the_release,
};
use serde_json::Value;
use std::future::ready;

const OWNER: Owner = Owner::Deployment;
const STATES: &str = "/var/lib/holdfast/checkpoints";
/// Where the source stands still, and is dumped: what comes next is the copy.
const DUMPED: &str = "agent.hands.source.copy.before";
/// How it should end.
struct Ending {
    phases: &'static [&'static str],
    /// A part of the sentence that the user reads, one of these.
    says: &'static [&'static str],
}

const WELL: Ending = Ending {
    phases: &["Succeeded"],
    says: &[""],
};
/// It goes there, or runs on where it was.
const EITHER: Ending = Ending {
    phases: &["Succeeded", "RolledBack"],
    says: &[""],
};

fn back(says: &'static [&'static str]) -> Ending {
    Ending {
        phases: &["RolledBack"],
        says,
    }
}

/// A pod that moves, and where from and to.
struct Move<'a> {
    lab: &'a Lab,
    called: &'a str,
    pod: Value,
    source: String,
    target: &'static str,
}

impl<'a> Move<'a> {
    async fn of(lab: &'a Lab, called: &'a str) -> Result<Self, String> {
        let pod = lab.the_pod(OWNER).await?;
        lab.is_witnessed(OWNER, 1).await?;
        Ok(Self {
            lab,
            called,
            source: node(&pod).to_owned(),
            target: other(node(&pod)),
            pod,
        })
    }

    fn begins(&self) {
        self.lab.migrates(self.called, &self.pod);
    }

    /// Begins, and an agent stops at a point.
    async fn stops_at(&self, node: &str, point: &str) -> Result<(), String> {
        super::stops_at(self.lab, node, point, || self.begins()).await
    }

    async fn ends(&self, ending: &Ending) -> Result<(), String> {
        let (lab, called) = (self.lab, self.called);
        let status = lab.ended(called).await?;
        let phase = status["phase"].as_str().unwrap_or_default();
        let said = says(&status, "Succeeded");
        println!("{called}: {phase}: {said}");
        if !ending.phases.contains(&phase)
            || said.is_empty()
            || !ending.says.iter().any(|part| said.contains(part))
        {
            return Err(format!("{status:#}"));
        }
        let after = lab.the_pod(OWNER).await?;
        if (phase == "Succeeded") == (node(&after) == self.source) {
            return Err(format!("{phase}, and the pod is on {}", node(&after)));
        }
        lab.is_witnessed(OWNER, 1).await?;
        lab.is_forgotten(called);
        lab.nothing_is_left().await
    }
}

/// The message of a condition that is there.
fn says(status: &Value, condition: &str) -> String {
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let found = conditions.find(|one| one["type"] == condition);
    found.map_or_else(String::new, |one| {
        one["message"].as_str().unwrap_or_default().to_owned()
    })
}

/// The disk on which a node keeps states is so large, and empty.
fn disk(lab: &Lab, node: &str, size: &str) {
    let said = lab.sh(node, &format!("mkdir -p {STATES} && mount -t tmpfs -o size={size},mode=700 tmpfs {STATES} && echo done"));
    assert_eq!(said.trim(), "done");
}

fn disk_is_back(lab: &Lab, node: &str) {
    lab.sh(node, &format!("umount {STATES}"));
}

/// The first process of a node of this name that has this word on its command line is killed, within a minute.
fn kills_first(lab: &Lab, node: &str, (program, word): (&str, &str)) {
    let script = format!(
        "cat >/tmp/killer <<'E'
end=$(($(date +%s) + 60))
while [ $(date +%s) -lt $end ]; do
    for found in $(grep -ls '^{program}$' /proc/[0-9]*/comm); do
        process=${{found%/comm}}
        grep -qsz '^{word}$' $process/cmdline && kill -9 ${{process#/proc/}} && echo killed >/tmp/killed && exit
    done
done
E
rm -f /tmp/killed; setsid sh /tmp/killer >/dev/null 2>&1 </dev/null &"
    );
    lab.sh(node, &script);
}

async fn was_killed(lab: &Lab, node: &str) -> Result<(), String> {
    let look = || (!lab.sh(node, "cat /tmp/killed 2>/dev/null").is_empty()).then_some(());
    within(60, || ready(look()))
        .await
        .ok_or_else(|| "nothing was there to be killed".to_owned())
}

pub(super) async fn targets_disk_is_full(lab: &Lab) -> Result<(), String> {
    let this = Move::of(lab, "targets-disk").await?;
    disk(lab, this.target, "4m");
    this.begins();
    let ended = this.ends(&back(&["no room", "No space"])).await;
    disk_is_back(lab, this.target);
    ended
}

pub(super) async fn sources_disk_is_full(lab: &Lab) -> Result<(), String> {
    let this = Move::of(lab, "sources-disk").await?;
    disk(lab, &this.source, "4m");
    this.begins();
    let ended = this.ends(&back(&["No space"])).await;
    disk_is_back(lab, &this.source);
    ended
}

/// While a state comes, the target's agent dies, and a byte of what has come is not what was sent: it is seen, and sent again.
pub(super) async fn a_byte_is_wrong(lab: &Lab) -> Result<(), String> {
    let this = Move::of(lab, "wrong-byte").await?;
    comes_halfway(&this).await?;
    let flip = format!(
        "set -- $(find {STATES} -path '*.incoming/*' -type f -size +64k | head -1); printf X | dd of=$1 bs=1 seek=4321 conv=notrunc 2>/dev/null && echo done"
    );
    let said = lab.sh(this.target, &flip);
    lab.kills(this.target);
    assert_eq!(said.trim(), "done");
    this.ends(&WELL).await
}

/// The cable of the target is out while a state comes; then it is in again.
pub(super) async fn a_connection_is_cut(lab: &Lab) -> Result<(), String> {
    let this = Move::of(lab, "cut-off").await?;
    comes_halfway(&this).await?;
    let number = this.target.trim_start_matches("node");
    lab.world.command(&["node", "partition", number]);
    lab.goes_on(this.target);
    // Longer than anything waits for an answer, and shorter than the source waits for all of it.
    tokio::time::sleep(std::time::Duration::from_secs(15)).await;
    lab.world.command(&["node", "heal", number]);
    this.ends(&EITHER).await
}

/// The target's agent stops when a part of the state has come. It comes slowly, and while it is dumped already.
async fn comes_halfway(this: &Move<'_>) -> Result<(), String> {
    let lab = this.lab;
    this.begins();
    let coming = format!("find {STATES} -path '*.incoming/*' -type f -size +64k");
    let look = || (!lab.sh(this.target, &coming).is_empty()).then_some(());
    let comes = within(60, || ready(look())).await;
    lab.stops(this.target);
    comes.ok_or_else(|| {
        let there = lab.sh(this.target, &format!("find {STATES} | xargs ls -ld"));
        format!("nothing comes:\n{there}")
    })
}

/// What is about to become the CRIU that dumps is killed. Killed in the midst of a dump it is in `tests/moving/killed.rs`, which knows how
/// far it is.
pub(super) async fn criu_is_killed_before_a_dump(lab: &Lab) -> Result<(), String> {
    let this = Move::of(lab, "dump-killed").await?;
    kills_first(lab, &this.source, ("criu", "swrk"));
    this.begins();
    was_killed(lab, &this.source).await?;
    this.ends(&back(&["was not dumped"])).await
}

pub(super) async fn runc_is_killed_before_a_dump(lab: &Lab) -> Result<(), String> {
    let this = Move::of(lab, "dumper-killed").await?;
    // Not the one that is only asked what it knows.
    kills_first(lab, &this.source, ("runc", "--image-path"));
    this.begins();
    was_killed(lab, &this.source).await?;
    this.ends(&back(&[
        "was not dumped: it ended before it was ready: signal: 9",
    ]))
    .await
}

/// Its node's runtime and kubelet begin anew while the pod stands still and while it waits for its state: both see it as it is.
pub(super) async fn runtime_and_kubelet_restart(lab: &Lab) -> Result<(), String> {
    let this = Move::of(lab, "restarted").await?;
    this.stops_at(&this.source, DUMPED).await?;
    for node in [this.source.as_str(), this.target] {
        let script = "systemctl restart containerd && systemctl restart kubelet && echo done";
        let said = lab.sh(node, script);
        if !said.trim().ends_with("done") {
            return Err(said);
        }
    }
    lab.goes_on(&this.source);
    this.ends(&EITHER).await
}

pub(super) async fn criu_is_killed_in_a_restore(lab: &Lab) -> Result<(), String> {
    let this = Move::of(lab, "restore-killed").await?;
    kills_first(lab, this.target, ("criu", "swrk"));
    this.begins();
    was_killed(lab, this.target).await?;
    this.ends(&EITHER).await
}

pub(super) async fn runc_is_killed_in_a_restore(lab: &Lab) -> Result<(), String> {
    let this = Move::of(lab, "wrapper-killed").await?;
    kills_first(lab, this.target, ("runc", "restore"));
    this.begins();
    was_killed(lab, this.target).await?;
    this.ends(&EITHER).await
}

/// The wrapper that waits on the target is killed before there is anything to restore.
pub(super) async fn a_waiting_runtime_is_killed(lab: &Lab) -> Result<(), String> {
    let this = Move::of(lab, "waiting-killed").await?;
    this.stops_at(&this.source, "hold.shelf.hold.before")
        .await?;
    kills_first(lab, this.target, ("holdfast-runtim", "create"));
    let killed = was_killed(lab, this.target).await;
    lab.goes_on(&this.source);
    killed?;
    this.ends(&EITHER).await
}
