//! The first controller: templates get a status that is true, and the schema refuses what cannot be meant.

use crate::world::{eventually, text, world};
use holdfast::sizing::api::FlexDaemonsetTemplate;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

fn template(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

#[tokio::test]
async fn a_template_is_ready_or_says_why_not() {
    let world = world().await;
    let client = world.install().await;
    let templates: Api<FlexDaemonsetTemplate> = Api::all(client);
    let ready = |status: &'static str, generation: i64| {
        let templates = templates.clone();
        move || {
            let templates = templates.clone();
            async move {
                let found = templates.get("t").await.ok()?.status?;
                let condition = found.conditions.into_iter().find(|c| c.type_ == "Ready")?;
                (condition.status == status && condition.observed_generation == Some(generation))
                    .then_some(condition)
            }
        }
    };
    let spec = "{cpuPercentage: 10, minMemory: 99999999999999999999999E}";
    let refused = world.apply(&template("t", spec));
    let told = text(&refused.stderr);
    assert!(
        !refused.status.success() && told.contains("too large"),
        "{told}"
    );
    let spec = "{cpuPercentage: 10, minMemory: 32Mi}";
    assert!(world.apply(&template("t", spec)).status.success());
    eventually("it is ready", 20, ready("True", 1)).await;
    let cure = Patch::Merge(json!({ "spec": { "minMemory": "64Mi" } }));
    templates
        .patch("t", &PatchParams::default(), &cure)
        .await
        .unwrap();
    eventually("it is ready again", 20, ready("True", 2)).await;
    assert!(
        world
            .kubectl("get holdfast -o name")
            .contains("flexdaemonsettemplate.flexdaemonsets.xai/t"),
        "found by category"
    );
    templates
        .delete("t", &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_schema_refuses_what_cannot_be_meant() {
    let world = world().await;
    world.install().await;
    for (spec, says) in [
        ("{cpuPercentage: 0}", "greater than or equal to 1"),
        ("{memoryPercentage: 101}", "less than or equal to 100"),
        ("{minCPU: lots}", "minCPU"),
        ("{minMemory: 1 Gi}", "minMemory"),
    ] {
        let output = world.apply(&template("refused", spec));
        assert!(
            !output.status.success() && text(&output.stderr).contains(says),
            "{spec}: {}",
            text(&output.stderr)
        );
    }
}
