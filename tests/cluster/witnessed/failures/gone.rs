//! Who is gone in the middle of a move: the pod, the target's node, the source's agent.

use super::super::lab::{Lab, Program, name};
use super::super::{within, witnesses};
use super::{DUMPED, Ending, Move, OWNER, back, says};
use std::future::ready;

/// Where the target knows that it may restore, and has not begun.
const RELEASED: &str = "agent.store.release.released.after";

/// Somebody deletes the pod that stands still: a kill is honoured. What was dumped before is restored; where nothing was, its owner
/// starts another one.
pub(in crate::witnessed) async fn the_pod_is_deleted(lab: &Lab) -> Result<(), String> {
    let this = Move::of(lab, "deleted").await?;
    this.stops_at(&this.source, DUMPED).await?;
    lab.stops(this.target);
    lab.goes_on(&this.source);
    lab.world
        .kubectl(&format!("delete pod {} --wait=false", name(&this.pod)));
    let status = lab.ended(this.called).await;
    lab.goes_on(this.target);
    let status = status?;
    println!(
        "deleted: {}: {}",
        status["phase"],
        says(&status, "Succeeded")
    );
    if says(&status, "Succeeded").is_empty() {
        return Err(format!("{status:#}"));
    }
    lab.the_pod(OWNER).await?;
    lab.is_witnessed(OWNER, 2).await?;
    lab.is_forgotten(this.called);
    // What was dumped stays on its node, and so does its record: the node would start the pod from it, and nobody says that it is gone.
    lab.is_left_as_it_is();
    Ok(())
}

/// The target's node is gone before the release: the source runs again by itself.
pub(in crate::witnessed) async fn the_target_goes_before_the_release(
    lab: &Lab,
) -> Result<(), String> {
    let this = Move::of(lab, "target-gone").await?;
    this.stops_at(&this.source, DUMPED).await?;
    let number = this.target.trim_start_matches("node");
    lab.world.command(&["node", "kill", number]);
    lab.goes_on(&this.source);
    // Nobody but the source's own node lets it go: the leader may not yet know that the other is gone.
    let runs = within(150, || witnesses(lab, OWNER)).await;
    lab.world.command(&["node", "start", number]);
    runs.ok_or("none: the source does not run again by itself")?;
    this.ends(&back(&["was let go"])).await
}

/// The target's node is gone after the release: nobody knows whether it ran, so the source stands still, and a condition says so. When
/// the node is back, it goes on.
pub(in crate::witnessed) async fn the_target_goes_after_the_release(
    lab: &Lab,
) -> Result<(), String> {
    let this = Move::of(lab, "released-gone").await?;
    this.stops_at(this.target, RELEASED).await?;
    let number = this.target.trim_start_matches("node");
    lab.world.command(&["node", "kill", number]);
    let undecided = || {
        let status = lab
            .migration(this.called)
            .map(|one| one["status"].clone())?;
        let said = says(&status, "Undecided");
        (!said.is_empty()).then_some(said)
    };
    let undecided = within(120, || ready(undecided())).await;
    println!("released-gone: Undecided: {undecided:?}");
    // Past the deadline of the freeze: the guard has let nothing go.
    let runs = within(110, || witnesses(lab, OWNER)).await;
    lab.world.command(&["node", "start", number]);
    undecided.ok_or("no condition Undecided")?;
    if runs.is_some() {
        return Err("two: the source runs though the target may".into());
    }
    this.ends(&Ending {
        phases: &["Succeeded", "RolledBack"],
        says: &[""],
    })
    .await
}

/// The source's agent does not come back: the guard lets the pod go at its deadline.
pub(in crate::witnessed) async fn the_sources_agent_is_gone_for_good(
    lab: &Lab,
) -> Result<(), String> {
    let this = Move::of(lab, "agent-gone").await?;
    lab.arms(
        &this.source,
        Program::Agent,
        &format!("HOLDFAST_DIE_AT={DUMPED}"),
    );
    lab.sh(
        &this.source,
        "mv /opt/armed/bin/holdfast /opt/armed/bin/away",
    );
    this.begins();
    let died = lab.is_sprung(&this.source, Program::Agent, DUMPED).await;
    let runs = within(150, || witnesses(lab, OWNER)).await;
    lab.sh(
        &this.source,
        "mv /opt/armed/bin/away /opt/armed/bin/holdfast",
    );
    lab.renews_agent(&this.source);
    died?;
    runs.ok_or("none: the guard does not let the pod go")?;
    this.ends(&back(&["was let go"])).await
}
