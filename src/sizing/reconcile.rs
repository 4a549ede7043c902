//! Keeps the status of templates true: observe, plan, act.

use crate::kit::error::Error;
use crate::process::clients::Clients;
use crate::process::clock;
use crate::process::runner::Runner;
use crate::process::writes;
use crate::sizing::api::FlexDaemonsetTemplate;
use crate::sizing::observed::Observed;
use crate::sizing::plan::{Circumstances, plan, report};
use crate::sizing::recipe::Recipe;
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
    let seen = Observed {
        recipe: Recipe::read(&template.spec),
        created: template
            .creation_timestamp()
            .map_or_else(clock::now, |time| time.0),
        crews: Vec::new(),
        refusal: None,
        now: clock::now(),
    };
    let report = report(&template, &seen, &plan(&seen), &Circumstances::default());
    let Some(status) = &report.status else {
        return Ok(Action::await_change());
    };
    let applied = writes::apply_status(
        &context.templates,
        (&STATUS).into(),
        MANAGER,
        &template.name_any(),
        status,
    )
    .await;
    match applied {
        Ok(_) => {}
        Err(error) if error.is_not_found() => return Ok(Action::await_change()),
        Err(error) => return Err(error),
    }
    for notice in &report.notices {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::api::FlexDaemonsetTemplateSpec;
    use crate::testkit::api_server::ApiServer;
    use http::StatusCode;
    use kube::runtime::events::Reporter;
    use serde_json::json;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    const PATH: &str = "/apis/flexdaemonsets.xai/v1alpha1/flexdaemonsettemplates/t";
    const STATUS_WRITE: &str =
        "PATCH /apis/flexdaemonsets.xai/v1alpha1/flexdaemonsettemplates/t/status";

    /// Longer than anything here takes, on a clock that leaps.
    const IN_TIME: Duration = Duration::from_secs(3600);

    fn template(min_memory: &str) -> FlexDaemonsetTemplate {
        let mut template = FlexDaemonsetTemplate::new(
            "t",
            FlexDaemonsetTemplateSpec {
                min_memory: Some(min_memory.into()),
                ..Default::default()
            },
        );
        template.metadata.generation = Some(1);
        template
    }

    fn with(template: &FlexDaemonsetTemplate) -> ApiServer {
        let server = ApiServer::default();
        server.put(PATH, serde_json::to_value(template).unwrap());
        server
    }

    fn recorder(server: &ApiServer) -> Recorder {
        let reporter = Reporter {
            controller: "test".into(),
            instance: None,
        };
        Recorder::new(server.client(), reporter)
    }

    fn context(server: &ApiServer) -> Arc<Context> {
        Arc::new(Context {
            templates: Api::all(server.client()),
            recorder: recorder(server),
        })
    }

    async fn stored(server: &ApiServer) -> Arc<FlexDaemonsetTemplate> {
        Arc::new(context(server).templates.get("t").await.unwrap())
    }

    fn status_writes(server: &ApiServer) -> usize {
        let calls = server.calls();
        calls.iter().filter(|call| *call == STATUS_WRITE).count()
    }

    fn is_ready(server: &ApiServer) -> bool {
        let template = server.stored(PATH).unwrap();
        template["status"]["conditions"][0]["status"] == json!("True")
    }

    #[tokio::test]
    async fn a_status_is_written_once() {
        let server = with(&template("128Mi"));
        for _ in 0..2 {
            let pass = reconcile(stored(&server).await, context(&server)).await;
            assert_eq!(pass.unwrap(), Action::await_change());
        }
        assert!(is_ready(&server));
        assert_eq!(status_writes(&server), 1);
    }

    #[tokio::test]
    async fn a_mistake_is_told_once() {
        let server = with(&template("-1Gi"));
        for _ in 0..2 {
            let pass = reconcile(stored(&server).await, context(&server)).await;
            pass.unwrap();
        }
        let calls = server.calls();
        let told = |call: &&String| call.starts_with("POST ") && call.ends_with("/events");
        assert_eq!(calls.iter().filter(told).count(), 1, "{calls:?}");
        assert!(!is_ready(&server));
    }

    #[tokio::test]
    async fn a_template_that_goes_meanwhile_is_no_failure() {
        let server = with(&template("128Mi"));
        let seen = stored(&server).await;
        server.remove(PATH);
        let pass = reconcile(seen, context(&server)).await;
        assert_eq!(pass.unwrap(), Action::await_change());
        assert_eq!((status_writes(&server), server.stored(PATH)), (1, None));
    }

    #[tokio::test]
    async fn a_template_that_is_being_deleted_is_left_alone() {
        let mut going = template("128Mi");
        going.metadata.finalizers = Some(vec!["somebody.example/else".into()]);
        let server = with(&going);
        let path = context(&server);
        let deleted = path
            .templates
            .delete("t", &kube::api::DeleteParams::default())
            .await;
        deleted.unwrap();
        let pass = reconcile(stored(&server).await, path).await;
        pass.unwrap();
        assert_eq!(status_writes(&server), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_tried_again_until_the_status_is_true() {
        let server = with(&template("128Mi"));
        server.refuse_once(STATUS_WRITE, StatusCode::CONFLICT);
        let runner = Runner {
            concurrency: 1,
            pass_limit: IN_TIME,
            telemetry: Arc::default(),
            stop: CancellationToken::new(),
        };
        let clients = Clients {
            api: server.client(),
            once: server.client(),
            farewell: server.carrier(),
        };
        let running = tokio::spawn(run(runner.clone(), clients, recorder(&server)));
        // The second pass that is done has seen what the first one wrote.
        let settled = "holdfast_reconcile_total{controller=\"sizing\",outcome=\"done\"} 2";
        let waited = tokio::time::timeout(IN_TIME, async {
            while !runner.telemetry.text().contains(settled) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        waited.await.unwrap();
        assert!(is_ready(&server));
        assert_eq!(status_writes(&server), 2);
        let text = runner.telemetry.text();
        assert!(text.contains("outcome=\"conflict\"} 1"), "{text}");
        runner.stop.cancel();
        running.await.unwrap().unwrap();
    }
}
