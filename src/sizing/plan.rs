//! What is to be said of a template, from the template alone. Pure.

use crate::kit::conditions::{Finding, READY, merge};
use crate::kit::events::Notice;
use crate::kit::quantity::Quantity;
use crate::sizing::api::{
    CHECKED, FlexDaemonsetTemplate, FlexDaemonsetTemplateSpec, FlexDaemonsetTemplateStatus,
    INVALID_QUANTITY, USABLE,
};
use jiff::Timestamp;

/// A new status, and what to tell; nothing where all is said already.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) status: FlexDaemonsetTemplateStatus,
    pub(crate) notice: Option<Notice>,
}

pub(crate) fn plan(template: &FlexDaemonsetTemplate, now: Timestamp) -> Option<Plan> {
    let former = template.status.clone().unwrap_or_default();
    let generation = template.metadata.generation;
    let finding = judge(&template.spec);
    let was_ready = former
        .conditions
        .iter()
        .find(|c| c.type_ == READY)
        .map(|c| c.status == "True");
    let status = FlexDaemonsetTemplateStatus {
        observed_generation: generation,
        daemon_sets: former.daemon_sets,
        pods: former.pods,
        reasons: former.reasons.clone(),
        conditions: merge(
            &former.conditions,
            std::slice::from_ref(&finding),
            generation,
            now,
        ),
    };
    if template.status.as_ref() == Some(&status) {
        return None;
    }
    // A template that was right from the start is no news.
    let is_news = was_ready.map_or(!finding.holds, |was| was != finding.holds);
    let notice = is_news.then_some(Notice {
        is_warning: !finding.holds,
        reason: finding.reason,
        action: CHECKED,
        note: finding.message,
    });
    Some(Plan { status, notice })
}

fn judge(spec: &FlexDaemonsetTemplateSpec) -> Finding {
    let fields = [
        ("minCPU", &spec.min_cpu),
        ("minMemory", &spec.min_memory),
        ("minStorage", &spec.min_storage),
    ];
    let mistake = fields
        .into_iter()
        .find_map(|(field, text)| problem(field, text.as_deref()?));
    match mistake {
        Some(message) => Finding {
            kind: READY,
            holds: false,
            reason: INVALID_QUANTITY,
            message,
        },
        None => Finding {
            kind: READY,
            holds: true,
            reason: USABLE,
            message: "the template can be used".into(),
        },
    }
}

fn problem(field: &str, text: &str) -> Option<String> {
    match text.parse::<Quantity>() {
        Ok(quantity) if quantity.nanos() < 0 => Some(format!("{field} {text} is below zero")),
        Ok(_) => None,
        Err(mistake) => Some(format!("{field} {text:?}: {mistake}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(min_memory: &str) -> FlexDaemonsetTemplate {
        let mut template = FlexDaemonsetTemplate::new(
            "t",
            FlexDaemonsetTemplateSpec {
                min_memory: Some(min_memory.into()),
                ..Default::default()
            },
        );
        template.metadata.generation = Some(3);
        template
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_usable_template_is_ready_and_no_news() {
        let plan = plan(&template("128Mi"), at(1)).unwrap();
        let ready = &plan.status.conditions[0];
        assert_eq!(
            (
                ready.status.as_str(),
                ready.reason.as_str(),
                ready.observed_generation
            ),
            ("True", USABLE, Some(3))
        );
        assert_eq!(plan.notice, None);
    }

    #[test]
    fn a_quantity_that_cannot_be_used_is_named() {
        for (text, says) in [
            ("9999999999999999999999999E", "too large"),
            ("-1Gi", "below zero"),
        ] {
            let plan = plan(&template(text), at(1)).unwrap();
            let ready = &plan.status.conditions[0];
            assert_eq!(
                (ready.status.as_str(), ready.reason.as_str()),
                ("False", INVALID_QUANTITY)
            );
            assert!(
                ready.message.contains("minMemory") && ready.message.contains(says),
                "{}",
                ready.message
            );
            assert!(plan.notice.unwrap().is_warning);
        }
    }

    #[test]
    fn nothing_is_written_twice() {
        let mut checked = template("128Mi");
        checked.status = Some(plan(&checked, at(1)).unwrap().status);
        assert_eq!(plan(&checked, at(2)), None);
    }

    #[test]
    fn a_cure_is_told() {
        let mut cured = template("-1");
        cured.status = Some(plan(&cured, at(1)).unwrap().status);
        cured.spec.min_memory = Some("1Gi".into());
        let notice = plan(&cured, at(2)).unwrap().notice.unwrap();
        assert!(!notice.is_warning && notice.reason == USABLE, "{notice:?}");
    }
}
