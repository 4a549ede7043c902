use super::*;
use crate::testkit::folder::Folder;
use serde_json::{Value, json};

fn place_of(annotations: &Value) -> Option<Place> {
    let config = json!({ "annotations": annotations }).to_string();
    let annotations = Annotations::of(config.as_bytes());
    Place::of(
        &annotations,
        OsStr::new("c1"),
        Path::new("/r"),
        Path::new("/b"),
    )
}

fn containerd_says(kind: &str) -> Value {
    json!({
        "io.kubernetes.cri.container-type": kind,
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.sandbox-name": "cart-0",
        "io.kubernetes.cri.sandbox-uid": "11-22",
    })
}

#[test]
fn containerd_names_a_container() {
    let mut annotations = containerd_says("container");
    annotations["io.kubernetes.cri.container-name"] = "app".into();
    let place = place_of(&annotations).unwrap();
    assert_eq!(
        place,
        Place {
            id: "c1".into(),
            root: "/r".into(),
            bundle: "/b".into(),
            namespace: "shop".into(),
            pod: "cart-0".into(),
            uid: "11-22".into(),
            container: Some("app".into()),
            sandbox: false,
            expects: None,
        }
    );
    assert_eq!(place.title(), "app of pod shop/cart-0");
}

#[test]
fn containerd_names_a_sandbox_and_what_its_pod_expects() {
    let mut annotations = containerd_says("sandbox");
    annotations[EXPECTS] = "op-1".into();
    let place = place_of(&annotations).unwrap();
    assert!(place.sandbox);
    assert_eq!(place.container, None);
    assert_eq!(place.expects.as_deref(), Some("op-1"));
}

#[test]
fn crio_names_a_container_by_annotations_or_by_labels() {
    let direct = json!({
        "io.kubernetes.cri-o.ContainerType": "container",
        "io.kubernetes.container.name": "app",
        "io.kubernetes.pod.name": "cart-0",
        "io.kubernetes.pod.namespace": "shop",
        "io.kubernetes.pod.uid": "11-22",
    });
    let labels = json!({
        "io.kubernetes.cri-o.ContainerType": "container",
        "io.kubernetes.cri-o.Labels": json!({
            "io.kubernetes.container.name": "app",
            "io.kubernetes.pod.name": "cart-0",
            "io.kubernetes.pod.namespace": "shop",
            "io.kubernetes.pod.uid": "11-22",
        }).to_string(),
    });
    let place = place_of(&direct).unwrap();
    assert_eq!(place.container.as_deref(), Some("app"));
    assert_eq!(place_of(&labels), Some(place));
}

#[test]
fn crio_calls_the_sandbox_a_container_named_pod() {
    let annotations = json!({
        "io.kubernetes.cri-o.ContainerType": "sandbox",
        "io.kubernetes.container.name": "POD",
        "io.kubernetes.pod.name": "cart-0",
        "io.kubernetes.pod.namespace": "shop",
        "io.kubernetes.pod.uid": "11-22",
    });
    assert_eq!(place_of(&annotations).unwrap().container, None);
}

#[test]
fn what_is_not_a_pods_is_not_ours() {
    assert_eq!(place_of(&json!({})), None);
    assert_eq!(
        place_of(&containerd_says("container")),
        None,
        "it has no name"
    );
    for missing in [
        "sandbox-namespace",
        "sandbox-name",
        "sandbox-uid",
        "container-type",
    ] {
        let mut annotations = containerd_says("sandbox");
        annotations
            .as_object_mut()
            .unwrap()
            .remove(&format!("io.kubernetes.cri.{missing}"));
        assert_eq!(place_of(&annotations), None, "{missing}");
    }
}

#[test]
fn no_name_leads_out_of_a_directory() {
    for uid in ["", ".", "..", "../x", "a/b", ".x", "a\0b", &"x".repeat(300)] {
        let mut annotations = containerd_says("sandbox");
        annotations["io.kubernetes.cri.sandbox-uid"] = (*uid).into();
        assert_eq!(place_of(&annotations), None, "{uid}");
    }
    let folder = Folder::new();
    folder.write("secret", "{}");
    let places = Places::below(folder.path());
    for id in ["../secret", "..", ".", "", "/etc/passwd"] {
        assert_eq!(places.get(OsStr::new(id)).unwrap(), None, "{id}");
    }
}

#[test]
fn a_place_is_remembered_until_it_is_forgotten() {
    let folder = Folder::new();
    let places = Places::below(folder.path());
    assert_eq!(places.all().unwrap(), []);
    let place = place_of(&containerd_says("sandbox")).unwrap();
    places.put(&place).unwrap();
    assert_eq!(places.get(OsStr::new("c1")).unwrap().as_ref(), Some(&place));
    assert_eq!(places.all().unwrap(), [Ok(place)]);
    assert!(places.remove("c1").unwrap());
    assert_eq!(places.get(OsStr::new("c1")).unwrap(), None);
}

#[test]
fn a_file_that_cannot_be_read_is_not_taken_for_absent() {
    let folder = Folder::new();
    folder.write("containers/c1", "{");
    assert!(Places::below(folder.path()).get(OsStr::new("c1")).is_err());
}

#[test]
fn a_root_is_the_same_by_any_path() {
    let folder = Folder::new();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    assert!(is_same_root(folder.path(), &link));
    assert!(is_same_root(Path::new("/no/such/"), Path::new("/no/such")));
    assert!(!is_same_root(Path::new("/no/such"), Path::new("/no")));
}
