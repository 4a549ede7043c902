//! The resize of a pod: resources of containers, merged by the containers' names.

use super::{State, merged, refusal};
use http::StatusCode;
use serde_json::Value;

impl State {
    pub(super) fn resize(&mut self, path: &str, sent: &Value) -> (StatusCode, Value) {
        let Some(mut pod) = self.objects.get(path).cloned() else {
            let name = path.rsplit('/').next().unwrap_or_default();
            return refusal(StatusCode::NOT_FOUND, &format!("pods \"{name}\" not found"));
        };
        let uid = &sent["metadata"]["uid"];
        if !uid.is_null() && *uid != pod["metadata"]["uid"] {
            return refusal(
                StatusCode::UNPROCESSABLE_ENTITY,
                "metadata.uid: Invalid value: field is immutable",
            );
        }
        for list in ["containers", "initContainers"] {
            for patch in sent["spec"][list].as_array().into_iter().flatten() {
                let containers = pod["spec"][list].as_array_mut().unwrap();
                let known = containers
                    .iter_mut()
                    .find(|known| known["name"] == patch["name"]);
                let known = known.expect("a container of this name");
                *known = merged(known.take(), patch.clone());
            }
        }
        self.store(path, pod.clone());
        (StatusCode::OK, pod)
    }
}
