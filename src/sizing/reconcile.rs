//! Keeps the status of templates true: observe, plan, act.

use crate::kit::error::Error;
use crate::process::clients::Clients;
use crate::process::clock;
use crate::process::runner::Runner;
use crate::process::writes;
use crate::sizing::api::FlexDaemonsetTemplate;
use crate::sizing::plan::plan;
use crate::write_steps;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::{Controller, watcher};
use kube::{Api, ResourceExt};
use std::sync::Arc;

write_steps! {
    /// The status of a template.
    STATUS,
    /// An event on a template.
    EVENT,
}

const NAME: &str = "sizing";
const MANAGER: &str = "flexdaemonsets.xai/sizing";

struct Context {
    templates: Api<FlexDaemonsetTemplate>,
    recorder: Recorder,
}

/// Runs until the runner stops.
pub(crate) async fn run(runner: Runner, clients: Clients, recorder: Recorder) -> Result<(), Error> {
    let templates: Api<FlexDaemonsetTemplate> = Api::all(clients.api);
    let controller = Controller::new(templates.clone(), watcher::Config::default());
    runner
        .run(
            NAME,
            controller,
            Arc::new(Context {
                templates,
                recorder,
            }),
            reconcile,
        )
        .await
}

/// 1. A template that is being deleted is left alone: nothing of ours is held for it.
/// 2. Its status is applied if it says something new, and told if it changed.
async fn reconcile(
    template: Arc<FlexDaemonsetTemplate>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    if template.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let Some(plan) = plan(&template, clock::now()) else {
        return Ok(Action::await_change());
    };
    let applied = writes::apply_status(
        &context.templates,
        (&STATUS).into(),
        MANAGER,
        &template.name_any(),
        &plan.status,
    )
    .await;
    match applied {
        Ok(_) => {}
        Err(error) if error.is_not_found() => return Ok(Action::await_change()),
        Err(error) => return Err(error),
    }
    if let Some(notice) = &plan.notice {
        tracing::info!(controller = NAME, name = %template.name_any(), reason = notice.reason, "{}", notice.note);
        writes::tell(
            &context.recorder,
            (&EVENT).into(),
            template.as_ref(),
            notice,
        )
        .await;
    }
    Ok(Action::await_change())
}
