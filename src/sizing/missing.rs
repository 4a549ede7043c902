//! DaemonSets that name a template which is not there: nothing but the DaemonSet itself can say so.

use crate::kit::events::Notice;
use crate::process::writes;
use crate::sizing::cache::Caches;
use crate::sizing::changes::Change;
use crate::sizing::triggers::gather;
use crate::write_steps;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::Recorder;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

write_steps! {
    /// An event on a DaemonSet whose template is not there.
    EVENT,
}

/// In one `kubectl apply` a template may follow its DaemonSet.
const GRACE: Duration = Duration::from_secs(2);

/// A DaemonSet by its uid, and the template that it names.
type Pair = (Arc<str>, Arc<str>);

/// Tells each DaemonSet once that its template is missing, until the stop.
pub(crate) async fn run(caches: Arc<Caches>, recorder: Recorder, stop: CancellationToken) {
    let work = async {
        let mut changes = caches.changes();
        let mut told = HashSet::new();
        loop {
            let all = gather(&mut changes).await;
            let matters = |change: &Change| {
                matches!(
                    change,
                    Change::Everything | Change::DaemonSet(..) | Change::Template(_)
                )
            };
            if all.iter().any(matters) {
                tokio::time::sleep(GRACE).await;
                look(&caches, &recorder, &mut told).await;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Whoever was told is told again only after the template was there, or another one was named.
async fn look(caches: &Caches, recorder: &Recorder, told: &mut HashSet<Pair>) {
    if caches.are_synced().is_err() {
        return;
    }
    let mut missing = Vec::new();
    caches.each_daemonset(|namespace, name, view| {
        if let Some(template) = &view.template
            && caches.template(template).is_none()
        {
            let pair = (Arc::clone(&view.uid), Arc::clone(template));
            missing.push((pair, reference(namespace, name, &view.uid)));
        }
    });
    told.retain(|known| missing.iter().any(|(pair, _)| pair == known));
    for (pair, regarding) in missing {
        let template = Arc::clone(&pair.1);
        if !told.insert(pair) {
            continue;
        }
        let notice = Notice {
            is_warning: true,
            reason: "TemplateMissing",
            action: "Observed",
            note: format!(
                "there is no FlexDaemonsetTemplate {template}: pods keep their own resources until there is; kubectl get fdt lists those that are there"
            ),
        };
        tracing::info!(namespace = regarding.namespace, name = regarding.name, %template, "a DaemonSet names a template that is not there");
        writes::tell_about(recorder, (&EVENT).into(), &regarding, &notice).await;
    }
}

/// A DaemonSet, as an event refers to it.
pub(crate) fn reference(namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("apps/v1".into()),
        kind: Some("DaemonSet".into()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}
