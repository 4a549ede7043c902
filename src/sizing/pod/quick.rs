//! A pod, read quickly: the same fields as by `serde`, which is asked wherever this says nothing.

use crate::kit::json::{Cursor, Quick, quick_fields};
use crate::kit::names;
use crate::sizing::amounts::{Each, Resource};
use crate::sizing::pod::{
    Affinity, Annotations, Container, MatchField, Metadata, NodeAffinity, NodeSelector, Owner, Pod,
    PodLabels, ResourceList, Resources, SelectorTerm, Spec, Written,
};
use std::borrow::Cow;

quick_fields!(Pod { b"metadata" => metadata, b"spec" => spec });
quick_fields!(Metadata {
    b"annotations" => annotations,
    b"labels" => labels,
    b"ownerReferences" => owner_references,
});
quick_fields!(Owner {
    b"apiVersion" => api_version,
    b"kind" => kind,
    b"name" => name,
    b"uid" => uid,
    b"controller" => controller,
});
quick_fields!(Spec {
    b"nodeName" => node_name,
    b"affinity" => affinity,
    b"initContainers" => init_containers,
    b"containers" => containers,
    b"resources" => resources,
});
quick_fields!(Affinity { b"nodeAffinity" => node_affinity });
quick_fields!(NodeAffinity { b"requiredDuringSchedulingIgnoredDuringExecution" => required });
quick_fields!(NodeSelector { b"nodeSelectorTerms" => node_selector_terms });
quick_fields!(SelectorTerm { b"matchFields" => match_fields });
quick_fields!(MatchField { b"key" => key, b"operator" => operator, b"values" => values });
quick_fields!(Container {
    b"name" => name,
    b"restartPolicy" => restart_policy,
    b"resources" => resources,
});
quick_fields!(Resources { b"requests" => requests, b"limits" => limits });
quick_fields!(PodLabels { b"pod-template-generation" => generation });

impl<'a> Quick<'a> for Annotations<'a> {
    fn quick(json: &mut Cursor<'a, '_>) -> Option<Self> {
        let mut found = Self::default();
        json.fields(&[names::SHARE_ANNOTATION.as_bytes()], |json, _share| {
            // A map and no object of ours: of two with one name, the last one counts.
            found.share = Some(Cow::quick(json)?);
            Some(())
        })?;
        Some(found)
    }
}

impl<'a> Quick<'a> for ResourceList<'a> {
    fn quick(json: &mut Cursor<'a, '_>) -> Option<Self> {
        let mut amounts = Each::default();
        let keys = Resource::ALL.map(|resource| resource.key().as_bytes());
        let says_something = json.fields(&keys, |json, number| {
            let resource = *Resource::ALL.get(number)?;
            *amounts.of_mut(resource) = Some(Written::Text(Cow::quick(json)?));
            Some(())
        })?;
        Some(Self {
            amounts,
            says_something,
        })
    }
}
