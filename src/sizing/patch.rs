//! The patch that gives a pod its share, as JSON Patch operations on the pod as it was sent. Pure.
//!
//! It only adds, below parents that were seen to be there, and only what differs: a patch that does not apply would refuse the pod
//! whatever the failure policy says, and a second look has to find nothing to do.

use crate::kit::json::escaped;
use crate::kit::names;
use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Resource};
use crate::sizing::desire::{Desired, Slot, Wanted};
use crate::sizing::pod::{Annotations, Container, Pod};
use std::fmt::Write;

/// The operations as the text of a JSON array; none where the pod has all of it already.
pub(crate) fn patch(pod: &Pod, slots: &[Slot], desired: &Desired, summary: &str) -> Option<String> {
    let mut operations = Operations::default();
    let wanted = slots.iter().zip(&desired.containers);
    for ((list, at, container), (slot, wanted)) in pod.containers().zip(wanted) {
        let place = Place { list, at };
        resize(&mut operations, place, container, slot, wanted);
    }
    annotate(&mut operations, pod.metadata.annotations.as_ref(), summary);
    operations.finish()
}

/// A container's place in the pod.
#[derive(Clone, Copy)]
struct Place {
    list: &'static str,
    at: usize,
}

fn resize(
    operations: &mut Operations,
    place: Place,
    container: &Container,
    slot: &Slot,
    wanted: &Wanted,
) {
    let (requests, limits) = (&wanted.requests, &wanted.limits);
    let changes = (
        differs(requests, &slot.requests),
        differs(limits, &slot.limits),
    );
    let Some(resources) = &container.resources else {
        if changes != (false, false) {
            operations.resize(place, &[], |text| {
                text.push('{');
                text.push_str("\"requests\":");
                write_amounts(text, requests);
                if *limits != Amounts::default() {
                    text.push_str(",\"limits\":");
                    write_amounts(text, limits);
                }
                text.push('}');
            });
        }
        return;
    };
    let lists = [
        (
            "requests",
            requests,
            &slot.requests,
            resources.requests.is_some(),
        ),
        ("limits", limits, &slot.limits, resources.limits.is_some()),
    ];
    for (name, wanted, now, is_there) in lists {
        if !is_there && differs(wanted, now) {
            operations.resize(place, &["/", name], |text| write_amounts(text, wanted));
        }
        for resource in Resource::ALL.into_iter().filter(|_| is_there) {
            let amount = *wanted.of(resource);
            if let Some(amount) = amount.filter(|_| amount != *now.of(resource)) {
                operations.resize(place, &["/", name, "/", resource.key()], |text| {
                    write_amount(text, resource, amount);
                });
            }
        }
    }
}

fn differs(wanted: &Amounts, now: &Amounts) -> bool {
    Resource::ALL.into_iter().any(|resource| {
        let wanted = wanted.of(resource);
        wanted.is_some() && wanted != now.of(resource)
    })
}

/// The share, for people who look at the pod.
fn annotate(operations: &mut Operations, annotations: Option<&Annotations>, summary: &str) {
    match annotations {
        Some(found) if found.share.as_deref() == Some(summary) => {}
        Some(_) => {
            let path = ["/metadata/annotations/", names::SHARE_ANNOTATION_IN_PATH];
            operations.add(&path, |text| write_text(text, summary));
        }
        None => operations.add(&["/metadata/annotations"], |text| {
            text.push_str("{\"");
            text.push_str(names::SHARE_ANNOTATION);
            text.push_str("\":");
            write_text(text, summary);
            text.push('}');
        }),
    }
}

/// Operations that add, as they are written.
#[derive(Default)]
struct Operations(String);

impl Operations {
    /// `path`: in pieces.
    fn add(&mut self, path: &[&str], value: impl FnOnce(&mut String)) {
        self.begin();
        self.end(path, value);
    }

    /// `path`: in pieces, below the resources of a container.
    fn resize(&mut self, place: Place, path: &[&str], value: impl FnOnce(&mut String)) {
        self.begin();
        let Place { list, at } = place;
        // A text takes all that is written.
        let _written = write!(self.0, "/spec/{list}/{at}/resources");
        self.end(path, value);
    }

    fn begin(&mut self) {
        let text = &mut self.0;
        if text.is_empty() {
            text.reserve(1024);
        }
        text.push(if text.is_empty() { '[' } else { ',' });
        text.push_str(r#"{"op":"add","path":""#);
    }

    fn end(&mut self, path: &[&str], value: impl FnOnce(&mut String)) {
        let text = &mut self.0;
        for piece in path {
            text.push_str(piece);
        }
        text.push_str(r#"","value":"#);
        value(text);
        text.push('}');
    }

    fn finish(mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| {
            self.0.push(']');
            self.0
        })
    }
}

fn write_amounts(text: &mut String, amounts: &Amounts) {
    text.push('{');
    for resource in Resource::ALL {
        if let Some(amount) = *amounts.of(resource) {
            text.push_str(if text.ends_with('{') { "\"" } else { ",\"" });
            text.push_str(resource.key());
            text.push_str("\":");
            write_amount(text, resource, amount);
        }
    }
    text.push('}');
}

fn write_amount(text: &mut String, resource: Resource, amount: Quantity) {
    text.push('"');
    resource.write(amount, text);
    text.push('"');
}

fn write_text(text: &mut String, plain: &str) {
    text.push('"');
    text.push_str(&escaped(plain));
    text.push('"');
}
