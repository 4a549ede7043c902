//! Looks at a Migration of many pods, and makes those of its pods.

use crate::kit::error::Error;
use crate::migration::api::{Decision, Migration, MigrationStatus, Outcome, Stage};
use crate::migration::hands::Hands;
use crate::migration::journey::{Family, controller};
use crate::migration::many::{MOST, child, children, told};
use crate::migration::observing::Eyes;
use crate::migration::plan::Owner;
use crate::migration::pods::is_alive;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use std::fmt::Write;

/// Makes what is missing, and says how it stands.
pub(crate) async fn look_after(
    eyes: &Eyes,
    hands: &Hands,
    migration: &Migration,
    stamp: (Option<i64>, Timestamp),
) -> Result<MigrationStatus, Error> {
    let status = migration.status.clone().unwrap_or_default();
    match status.stage {
        Stage::New => {}
        Stage::Begun => {
            let own = eyes.children(migration).await?;
            make(hands, migration, (&status, &own)).await?;
            return Ok(told(&status, &own, stamp));
        }
        Stage::Closed | Stage::Unknown => return Ok(status),
    }
    Ok(match pods(eyes, migration).await? {
        Ok(pods) => MigrationStatus {
            children: children(migration, &pods),
            stage: Stage::Begun,
            ..status
        },
        Err(why) => MigrationStatus {
            stage: Stage::Closed,
            given_up: Some(why),
            decision: Decision {
                outcome: Outcome::Failed,
                ..status.decision.clone()
            },
            ..status
        },
    })
}

/// Makes the Migrations that are known, and were never there.
async fn make(
    hands: &Hands,
    migration: &Migration,
    (status, own): (&MigrationStatus, &[Migration]),
) -> Result<(), Error> {
    if migration.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let is_made = |name: &str| own.iter().any(|one| one.name_any() == name);
    let notes = status.children.iter();
    for note in notes.filter(|note| !note.made && !is_made(&note.name)) {
        hands.make(&child(migration, note)).await?;
    }
    Ok(())
}

/// The pods that are meant and run, or a sentence.
async fn pods(eyes: &Eyes, migration: &Migration) -> Result<Result<Vec<Pod>, String>, Error> {
    let (selector, deployment) = match &migration.spec.deployment_name {
        Some(name) => {
            let Some(found) = eyes.deployment(name).await? else {
                return Ok(Err(format!(
                    "there is no Deployment {name} in this namespace: see kubectl get deployments"
                )));
            };
            let selector = found.spec.as_ref().map(|spec| spec.selector.clone());
            (selector, Some(found))
        }
        None => (migration.spec.selector.clone(), None),
    };
    let text = match written(&selector.unwrap_or_default()) {
        Ok(text) if text.is_empty() => {
            return Ok(Err(
                "the selector is empty, and would take every pod: name labels".into(),
            ));
        }
        Ok(text) => text,
        Err(why) => return Ok(Err(why)),
    };
    let mut pods = eyes.pods_like(&text).await?;
    pods.retain(is_running);
    // Where they are to go, some may be already.
    let there = migration.spec.destination_node.as_ref();
    let is_there = |pod: &Pod| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        node.is_some() && node == there
    };
    pods.retain(|pod| !is_there(pod));
    if let Some(deployment) = deployment {
        let sets = eyes.replica_sets(&text).await?;
        pods.retain(|pod| is_of(pod, &sets, &deployment));
    }
    Ok(match pods.len() {
        0 => Err(format!(
            "no pod runs that {text} matches and is not where it is to go"
        )),
        count if count > MOST => Err(format!(
            "{count} pods match, and one Migration moves at most {MOST}: select fewer"
        )),
        _ => Ok(pods),
    })
}

fn is_running(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    is_alive(pod) && phase == Some("Running")
}

/// Its ReplicaSet is one of this Deployment's.
fn is_of(pod: &Pod, sets: &[ReplicaSet], deployment: &Deployment) -> bool {
    let owner = controller(pod.owner_references());
    let set = owner.and_then(|owner| {
        sets.iter()
            .find(|set| set.uid().as_deref() == Some(&owner.uid))
    });
    let above = set.and_then(|set| controller(set.owner_references()));
    let is_its = above.is_some_and(|above| Some(&above.uid) == deployment.metadata.uid.as_ref());
    let family = Family {
        pod,
        replica_set: set,
        deployment: Some(deployment),
    };
    is_its && family.owner() == Owner::Deployment
}

/// As a query has it.
fn written(selector: &LabelSelector) -> Result<String, String> {
    let mut text = String::new();
    let mut add = |part: String| {
        let comma = if text.is_empty() { "" } else { "," };
        let _always = write!(text, "{comma}{part}");
    };
    for (key, value) in selector.match_labels.iter().flatten() {
        add(format!("{key}={value}"));
    }
    for one in selector.match_expressions.iter().flatten() {
        let key = &one.key;
        let values = one.values.as_deref().unwrap_or_default().join(",");
        add(match one.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.clone(),
            "DoesNotExist" => format!("!{key}"),
            other => {
                return Err(format!(
                    "the selector's operator {other} is not known: In, NotIn, Exists and DoesNotExist are"
                ));
            }
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_is_written_as_queries_have_it() {
        let of = |value| written(&serde_json::from_value(value).unwrap());
        let whole = json!({ "matchLabels": { "app": "web" }, "matchExpressions": [
            { "key": "tier", "operator": "In", "values": ["a", "b"] },
            { "key": "zone", "operator": "NotIn", "values": ["x"] },
            { "key": "on", "operator": "Exists" },
            { "key": "off", "operator": "DoesNotExist" },
        ] });
        assert_eq!(
            of(whole).unwrap(),
            "app=web,tier in (a,b),zone notin (x),on,!off"
        );
        assert_eq!(of(json!({})).unwrap(), "");
        let odd = json!({ "matchExpressions": [{ "key": "k", "operator": "Near" }] });
        assert!(of(odd).unwrap_err().contains("Near"));
    }
}
