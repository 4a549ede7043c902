//! The validating webhooks: what is wrong with a template refuses it, and what will not work as meant is a warning to whoever applies a
//! template or annotates a DaemonSet. Nothing here is needed for correctness: what must hold is in the CRD's own rules, and the
//! controller tells the rest later; so both fail open.

use crate::sizing::api::{FlexDaemonsetTemplateSpec, Overcommit};
use crate::sizing::cache::Caches;
use crate::sizing::crowd::Crowd;
use crate::sizing::excess::{Excess, excess};
use crate::sizing::findings;
use crate::sizing::kinds::kinds;
use crate::sizing::partial::{DaemonSets, Kind, Partial};
use crate::sizing::recipe::Recipe;
use crate::sizing::view::{DaemonSetView, NodeView};
use crate::webhook::endpoint::{Endpoint, Reply};
use crate::webhook::review::{Answer, Malformed, read};
use futures::future::BoxFuture;
use serde::Deserialize;
use std::sync::Arc;
use tokio::time::Instant;

/// Reviews templates.
pub(crate) struct TemplateReviews {
    pub(crate) caches: Arc<Caches>,
}

/// Reviews DaemonSets that name a template.
pub(crate) struct DaemonSetReviews {
    pub(crate) caches: Arc<Caches>,
}

#[derive(Debug, Deserialize)]
struct Template {
    #[serde(default)]
    spec: FlexDaemonsetTemplateSpec,
}

impl Endpoint for TemplateReviews {
    fn path(&self) -> &'static str {
        "/validate-flexdaemonsettemplate"
    }

    fn name(&self) -> &'static str {
        "templates"
    }

    fn review<'a>(
        &'a self,
        body: &'a [u8],
        _deadline: Instant,
    ) -> BoxFuture<'a, Result<Reply, Malformed>> {
        Box::pin(async move {
            let request = read::<Template>(body)?;
            let is_changed = match (&request.object, &request.old_object) {
                (Some(new), Some(old)) => new.spec != old.spec,
                (new, _) => new.is_some(),
            };
            let answer = match request.object.filter(|_| is_changed) {
                Some(template) => self.judge(&request.name, &template.spec).await,
                None => Answer::default(),
            };
            Ok(reply(&answer, &request.uid))
        })
    }
}

impl Endpoint for DaemonSetReviews {
    fn path(&self) -> &'static str {
        "/validate-daemonset"
    }

    fn name(&self) -> &'static str {
        "daemonsets"
    }

    fn review<'a>(
        &'a self,
        body: &'a [u8],
        _deadline: Instant,
    ) -> BoxFuture<'a, Result<Reply, Malformed>> {
        Box::pin(async move {
            let request = read::<Partial<DaemonSets>>(body)?;
            let view = |object: &Partial<DaemonSets>| DaemonSets::view(object, self.caches.texts());
            let answer = match request.object.as_ref().and_then(view) {
                Some(daemonset) => {
                    let former = request.old_object.as_ref().and_then(view);
                    let asked = (&*request.namespace, &*request.name);
                    self.judge(asked, daemonset, former).await
                }
                None => Answer::default(),
            };
            Ok(reply(&answer, &request.uid))
        })
    }
}

fn reply(answer: &Answer, uid: &str) -> Reply {
    let verdict = match (&answer.refusal, answer.warnings.is_empty()) {
        (Some(_), _) => "refused",
        (None, false) => "warned",
        (None, true) => "allowed",
    };
    Reply {
        body: answer.write(uid),
        verdict,
    }
}

fn refused(why: String) -> Answer {
    Answer {
        refusal: Some(why),
        ..Answer::default()
    }
}

impl TemplateReviews {
    async fn judge(&self, name: &str, spec: &FlexDaemonsetTemplateSpec) -> Answer {
        let (recipe, mut warnings) = match findings::of_template(spec) {
            Ok(found) => found,
            Err(mistake) => return refused(mistake),
        };
        self.caches.each_daemonset(|namespace, daemonset, view| {
            if view.template.as_deref() == Some(name) {
                warnings.extend(unknown(&recipe, (namespace, daemonset), view));
            }
        });
        let policy = recipe.overcommit;
        let before = self.caches.crowd();
        let after = before.clone().with_template(name, recipe);
        add_excess(
            Answer {
                warnings,
                ..Answer::default()
            },
            &self.caches,
            policy,
            before,
            after,
        )
        .await
    }
}

impl DaemonSetReviews {
    async fn judge(
        &self,
        (namespace, name): (&str, &str),
        daemonset: DaemonSetView,
        former: Option<DaemonSetView>,
    ) -> Answer {
        let Some(template) = daemonset.template.clone() else {
            return Answer::default();
        };
        let mut answer = Answer::default();
        let exclusion = self.caches.exclusion(namespace);
        let said = exclusion.map(|exclusion| exclusion.sentence(namespace));
        answer.warnings.extend(said);
        if daemonset.whole.is_some() {
            answer
                .warnings
                .push("its pods have resources for the pod as a whole, and so get no share".into());
        }
        let found = self.caches.template(&template);
        let recipe = match found.as_ref().map(|found| &found.recipe) {
            None => {
                answer.warnings.push(format!("there is no FlexDaemonsetTemplate {template}: its pods keep their own resources until there is"));
                return answer;
            }
            Some(Err(why)) => {
                answer.warnings.push(format!(
                    "FlexDaemonsetTemplate {template} cannot be used: {why}"
                ));
                return answer;
            }
            Some(Ok(recipe)) => recipe,
        };
        answer
            .warnings
            .extend(unknown(recipe, (namespace, name), &daemonset));
        let is_new = former.is_none_or(|former| {
            former.template != daemonset.template || former.landing != daemonset.landing
        });
        if !is_new {
            return answer;
        }
        let policy = recipe.overcommit;
        let before = self.caches.crowd();
        let after = before
            .clone()
            .with_daemonset(daemonset, found, exclusion.is_some());
        add_excess(answer, &self.caches, policy, before, after).await
    }
}

/// A warning for each container that a template names and a DaemonSet lacks.
fn unknown(recipe: &Recipe, daemonset: (&str, &str), view: &DaemonSetView) -> Vec<String> {
    let (namespace, name) = daemonset;
    findings::unknown_containers(recipe, view)
        .into_iter()
        .map(|container| {
            format!("the template names container {container}, which DaemonSet {namespace}/{name} does not have")
        })
        .collect()
}

/// Warns, or refuses where the template says so, if shares would come to more than nodes have, and to more than they do now.
async fn add_excess(
    mut answer: Answer,
    caches: &Caches,
    policy: Overcommit,
    before: Crowd,
    after: Crowd,
) -> Answer {
    let nodes = caches.all_nodes();
    // Thousands of nodes and hundreds of DaemonSets take a moment, in which pods have to be answered.
    let compared = tokio::task::spawn_blocking(move || {
        let found = excess_of(&nodes, &after);
        let known = if found.is_empty() {
            Vec::new()
        } else {
            excess_of(&nodes, &before)
        };
        (found, known)
    });
    let Ok((found, known)) = compared.await else {
        return answer;
    };
    for here in found {
        let is_worse = known
            .iter()
            .find(|known| known.resource == here.resource)
            .is_none_or(|known| here.is_worse_than(known));
        if policy == Overcommit::Refuse && is_worse {
            return refused(format!(
                "{}; make a percentage or a least amount smaller, or set overcommit to Warn or Scale",
                here.sentence()
            ));
        }
        answer.warnings.push(here.sentence());
    }
    answer
}

fn excess_of(nodes: &[(Arc<str>, Arc<NodeView>)], crowd: &Crowd) -> Vec<Excess> {
    let kinds = kinds(nodes.iter().map(|(name, node)| (name, node)), crowd);
    excess(&kinds.all, crowd)
}
