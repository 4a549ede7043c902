//! Carries out what was planned for pods: resizes in place, and deletes. What the API server answers decides how a pod stands.
//!
//! | answer to a resize | what it means |
//! |---|---|
//! | 404, and it names the pod; 409; 422 about the uid | the pod went or changed meanwhile: look again |
//! | 404 otherwise | the API server knows no resize: only new pods can have other resources |
//! | 403 because of our rights | no pod can be resized until somebody gives them |
//! | 403 otherwise, 400 | a quota, a limit or a webhook refuses it: a new pod would fare no better |
//! | 422 otherwise | what changes cannot be changed in place: only a new pod can have it |

use crate::kit::error::{Error, chain};
use crate::process::telemetry::SizingMetrics;
use crate::process::writes;
use crate::sizing::observed::{Observed, Refusal, Seen, Tried};
use crate::sizing::plan::Plan;
use crate::sizing::resizing::patch;
use crate::sizing::standing::{Course, reasons};
use crate::sizing::tried::Memory;
use crate::write_steps;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};

write_steps! {
    /// A pod is resized in place.
    RESIZE,
    /// A pod is deleted, for its DaemonSet to make it anew.
    RECREATE,
}

/// Calls at once for the pods of one template.
const AT_ONCE: usize = 8;

/// What is needed to act on pods.
pub(crate) struct Hands {
    pub(crate) client: Client,
    pub(crate) memory: Memory,
    pub(crate) metrics: SizingMetrics,
}

/// What came of a step.
enum Outcome {
    Done(Tried),
    /// The pod went, or changed: it is looked at again.
    Passed,
    /// This pod cannot be changed like this.
    Refused(Refusal),
    /// No pod can be.
    Blocked(Refusal),
    Failed(Error),
}

impl Outcome {
    /// For a metric.
    fn class(&self) -> &'static str {
        match self {
            Self::Done(_) => "accepted",
            Self::Passed => "overtaken",
            Self::Refused(_) | Self::Blocked(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

impl Hands {
    /// Does what was planned; what is refused is written into the plan.
    ///
    /// # Errors
    /// The first step that failed for a passing reason; the others were done all the same.
    pub(crate) async fn act(&self, seen: &Observed, plan: &mut Plan) -> Result<(), Error> {
        let steps: Vec<_> = plan
            .waves
            .iter()
            .enumerate()
            .flat_map(|(crew, wave)| wave.steps.iter().map(move |step| (crew, step.clone())))
            .collect();
        let calls = steps.into_iter().filter_map(|(at, step)| {
            let crew = seen.crews.get(at)?;
            let pod = crew.pods.get(step.pod)?;
            Some(async move {
                let outcome = self.step(&crew.namespace, pod, &step.course).await;
                ((at, step.pod), step.course, outcome)
            })
        });
        let mut outcomes = stream::iter(calls).buffer_unordered(AT_ONCE);
        let mut failure = Ok(());
        while let Some((at, course, outcome)) = outcomes.next().await {
            let pod = seen.crews.get(at.0).and_then(|crew| crew.pods.get(at.1));
            let Some(pod) = pod else { continue };
            self.count(&course, &outcome);
            match outcome {
                Outcome::Done(tried) => self.memory.keep(&pod.view.uid, tried),
                Outcome::Passed => {}
                Outcome::Refused(refusal) => {
                    plan.refuse(at, &refusal);
                    if let Course::Resize { wanted, .. } = course {
                        let tried = Tried::Refused(wanted, refusal);
                        self.memory.keep(&pod.view.uid, tried);
                    }
                }
                Outcome::Blocked(refusal) => {
                    plan.refuse(at, &refusal);
                    self.memory.keep_refusal(refusal);
                }
                Outcome::Failed(error) => failure = failure.and(Err(error)),
            }
        }
        failure
    }

    fn count(&self, course: &Course, outcome: &Outcome) {
        match (course, outcome) {
            (Course::Recreate, Outcome::Done(_)) => self.metrics.recreated(),
            (Course::Recreate, _) => {}
            _ => self.metrics.resized(outcome.class()),
        }
    }

    async fn step(&self, namespace: &str, pod: &Seen, course: &Course) -> Outcome {
        let target = (&*pod.name, &*pod.view.uid);
        let api: Api<PartialObjectMeta<Pod>> = Api::namespaced(self.client.clone(), namespace);
        let asked = match course {
            Course::Nothing => return Outcome::Passed,
            Course::Resize { wanted, .. } => {
                let fields = patch(&pod.view.containers, wanted);
                let resized = writes::resize(&api, (&RESIZE).into(), target, fields).await;
                resized.map(|_| Tried::Asked(wanted.clone()))
            }
            Course::Recreate => {
                tracing::info!(namespace, name = %pod.name, "deleting a pod, to be made anew with its share");
                // The whole pod is answered: its grace period begins.
                let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
                let deleted = writes::delete(&pods, (&RECREATE).into(), target).await;
                deleted.map(|()| Tried::Deleted)
            }
        };
        match asked {
            Ok(tried) => Outcome::Done(tried),
            Err(error) => judged(error, &pod.name, course),
        }
    }
}

/// What a refusal means.
fn judged(error: Error, pod: &str, course: &Course) -> Outcome {
    let said = error.said().unwrap_or_default().to_owned();
    let refusal = |reason, message, is_final| Refusal {
        reason,
        message,
        is_final,
    };
    let is_resize = *course != Course::Recreate;
    match error.code() {
        Some(409) => Outcome::Passed,
        Some(404) if !is_resize || said.contains(&format!("\"{pod}\"")) => Outcome::Passed,
        Some(404) => Outcome::Blocked(refusal(
            reasons::UNSUPPORTED,
            "this API server cannot resize pods in place (Kubernetes 1.33 and newer can): only new pods have their share".into(),
            true,
        )),
        Some(422) if said.contains("metadata.uid") => Outcome::Passed,
        Some(403) if said.contains("cannot patch resource") || said.contains("cannot delete resource") => {
            let message = format!("the manager lacks a right; install its ClusterRole anew: {said}");
            let refusal = refusal(reasons::FORBIDDEN, message, false);
            if is_resize {
                Outcome::Blocked(refusal)
            } else {
                Outcome::Refused(refusal)
            }
        }
        Some(code @ (400 | 403 | 422)) => {
            tracing::info!(name = pod, error = %chain(&error), "the API server refused to change a pod");
            Outcome::Refused(refusal(reasons::REFUSED, said, code == 422))
        }
        _ => Outcome::Failed(error),
    }
}
