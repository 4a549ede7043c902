//! Whether this node has the images that a pod's state needs, before that pod is frozen elsewhere; and that what a state is put into was
//! made from the image that it comes from.

use super::Targets;
use crate::agent::api::{ImageNote, ImagesReport, Order, StateTask, TargetOrder};
use crate::hold::shelf::Whose;
use crate::migration::api::{Decision, Outcome};
use crate::oci::failure::Failure;
use crate::oci::place::{Place, Places};

/// So much of a digest is told.
const SHORT: usize = 12;

impl Targets {
    /// How the images stand that an order names. While a pod is frozen nothing is asked: what let it be frozen stands.
    pub(super) async fn images(&self, operation: &str) -> Option<ImagesReport> {
        let ordered = self.0.orders.get(operation);
        let task = ordered.order()?;
        let order = task.spec.target.as_ref()?;
        if order.images.is_empty() {
            return None;
        }
        let former = former(task);
        if is_settled(order, &task.spec.decision, former) {
            return former.cloned();
        }
        let report = self.compared(order).await;
        Some(report.unwrap_or_else(|failure| ImagesReport {
            unknown: Some(failure.to_string()),
            ..ImagesReport::default()
        }))
    }

    async fn compared(&self, order: &TargetOrder) -> Result<ImagesReport, Failure> {
        let uid = order.pod.as_ref().map(|pod| pod.uid.as_str());
        let places = self.places(uid)?;
        let mut report = ImagesReport {
            asked: order.asked,
            ..ImagesReport::default()
        };
        for note in &order.images {
            let is_its =
                |place: &&Place| place.container.as_deref() == Some(note.container.as_str());
            let mut made = places.iter().filter(is_its).peekable();
            if made.peek().is_none() {
                match self.0.images.named(&note.image).await? {
                    Some(found) => self.compare(note, &found, &mut report),
                    None => report.lacks.push(note.container.clone()),
                }
            }
            for container in made {
                let (id, bundle) = (&container.id, &container.bundle);
                let found = self.0.images.of_container(id, bundle);
                self.compare(note, &found.await?, &mut report);
            }
        }
        Ok(report)
    }

    fn compare(&self, note: &ImageNote, found: &str, report: &mut ImagesReport) {
        if note.id.as_ref().is_some_and(|id| id != found) {
            let why = self.unlike(note, found);
            report.unlike.get_or_insert(why);
        }
    }

    fn unlike(&self, note: &ImageNote, found: &str) -> String {
        let short = |id: &str| id.chars().take(SHORT).collect::<String>();
        let (here, image, container) = (&self.0.node, &note.image, &note.container);
        let was = note.id.as_deref().map(short).unwrap_or_default();
        format!(
            "{image} is another image on {here} ({}) than the one that container {container} runs ({was}): its tag has moved in between, so make the pod anew, and name its image by the digest",
            short(found)
        )
    }

    fn places(&self, uid: Option<&str>) -> Result<Vec<Place>, Failure> {
        let Some(uid) = uid else {
            return Ok(Vec::new());
        };
        let all = Places::below(&self.0.host.run()).all()?;
        let mut all: Vec<Place> = all.into_iter().collect::<Result<_, _>>()?;
        all.retain(|place| place.uid == uid);
        Ok(all)
    }

    /// Just before a state is put into a container: the kubelet may have asked its registry once more.
    ///
    /// # Errors
    /// It is another image, or nobody says which.
    pub(crate) async fn is_same_image(&self, whose: &Whose, place: &Place) -> Result<(), Failure> {
        let operation = self.0.orders.naming(&whose.namespace, whose.uid.as_str());
        let Some(operation) = operation else {
            return Ok(());
        };
        let ordered = self.0.orders.get(&operation);
        let order = ordered.order().and_then(|task| task.spec.target.as_ref());
        let mut notes = order.into_iter().flat_map(|order| &order.images);
        let is_its = |note: &&ImageNote| Some(&note.container) == place.container.as_ref();
        let Some(note) = notes.find(is_its) else {
            return Ok(());
        };
        let found = self.0.images.of_container(&place.id, &place.bundle).await?;
        let mut report = ImagesReport::default();
        self.compare(note, &found, &mut report);
        report.unlike.map_or(Ok(()), |why| Err(Failure::new(why)))
    }
}

/// What was told before.
fn former(task: &StateTask) -> Option<&ImagesReport> {
    let status = task.status.as_ref()?;
    status.target.as_ref()?.images.as_ref()
}

/// The pod that waits may run the state, or, where there is none, all of it was found: from here on it may be frozen.
fn is_settled(order: &TargetOrder, decision: &Decision, former: Option<&ImagesReport>) -> bool {
    let is_open = matches!(decision.outcome, Outcome::Undecided | Outcome::Allowed);
    let is_allowed = || {
        let pod = order.pod.as_ref();
        pod.is_some_and(|pod| decision.allows(&pod.uid))
    };
    match order.order {
        _ if !is_open => true,
        Order::PrepareFirst => is_allowed(),
        Order::FreezeFirst => {
            let is_current = |report: &ImagesReport| report.asked == order.asked;
            former.is_some_and(|report| report.are_proven() && is_current(report)) || is_allowed()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::api::PodName;

    fn order(order: Order, pod: Option<&str>) -> TargetOrder {
        let named = |uid: &str| PodName {
            name: "web".into(),
            uid: uid.into(),
        };
        TargetOrder {
            order,
            pod: pod.map(named),
            ..TargetOrder::default()
        }
    }

    #[test]
    fn nothing_is_asked_while_a_pod_may_be_frozen() {
        let undecided = Decision::default();
        let allowed = Decision {
            outcome: Outcome::Allowed,
            pod_uid: Some("u1".into()),
            ..Decision::default()
        };
        let proven = ImagesReport::default();
        let lacking = ImagesReport {
            lacks: vec!["c".into()],
            ..ImagesReport::default()
        };
        let first = |pod| order(Order::PrepareFirst, pod);
        assert!(!is_settled(&first(None), &undecided, Some(&proven)));
        assert!(!is_settled(&first(Some("u1")), &undecided, Some(&proven)));
        assert!(is_settled(&first(Some("u1")), &allowed, Some(&proven)));
        // Another pod than the one that was allowed waits now: nothing is known of it.
        assert!(!is_settled(&first(Some("u2")), &allowed, Some(&proven)));
        let last = order(Order::FreezeFirst, None);
        assert!(!is_settled(&last, &undecided, None));
        assert!(!is_settled(&last, &undecided, Some(&lacking)));
        assert!(is_settled(&last, &undecided, Some(&proven)));
        // What was found before the kubelet was asked says nothing.
        let asked = TargetOrder {
            asked: true,
            ..last
        };
        assert!(!is_settled(&asked, &undecided, Some(&proven)));
    }
}
