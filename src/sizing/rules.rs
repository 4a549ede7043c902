//! What the API server itself refuses in a template (CEL): what one object can know. It holds when no manager runs.

use serde_json::{Value, json};

/// Pairs of fields, the lower bound and the upper one, and the percentage that they bound.
const BOUNDS: [(&str, &str, &str); 3] = [
    ("minCPU", "maxCPU", "cpuPercentage"),
    ("minMemory", "maxMemory", "memoryPercentage"),
    ("minStorage", "maxStorage", "storagePercentage"),
];

fn rule(rule: String, message: String) -> Value {
    json!({ "rule": rule, "message": message })
}

/// Each of these fields, where it is there, is an amount that is not below zero.
pub(crate) fn of_quantities(fields: &[&str]) -> Value {
    fields.iter().map(|field| readable(field)).collect()
}

fn readable(field: &str) -> Value {
    rule(
        format!(
            "!has(self.{field}) || (isQuantity(self.{field}) && !quantity(self.{field}).isLessThan(quantity('0')))"
        ),
        format!("{field} must be a quantity that is not below zero, such as 500m or 2Gi"),
    )
}

/// The rules of a set of shares. An override may leave a percentage to the template, so only the template's own must have it.
pub(crate) fn of_shares(is_whole: bool) -> Value {
    let mut rules = Vec::new();
    for (min, max, percentage) in BOUNDS {
        rules.extend([readable(min), readable(max)]);
        rules.push(rule(
            format!(
                "!has(self.{min}) || !has(self.{max}) || !isQuantity(self.{min}) || !isQuantity(self.{max}) || quantity(self.{min}).compareTo(quantity(self.{max})) <= 0"
            ),
            format!("{min} must not be above {max}"),
        ));
        if is_whole {
            rules.push(rule(
                format!(
                    "!has(self.{max}) || !isQuantity(self.{max}) || quantity(self.{max}).isGreaterThan(quantity('0'))"
                ),
                format!("{max} must be above zero; leave out {percentage} instead"),
            ));
        }
    }
    Value::Array(rules)
}

/// A container is weighed, or has fixed amounts, or is left out; not two of them.
pub(crate) fn of_a_container() -> Value {
    json!([
        { "rule": "!(has(self.exclude) && self.exclude) || (!has(self.weight) && !has(self.fixed))", "message": "an excluded container has neither weight nor fixed amounts" },
    ])
}

/// A number of pods, or a percentage of them.
pub(crate) fn of_wave() -> Value {
    json!([
        { "rule": "type(self) == int ? self >= 1 : self.matches('^([1-9][0-9]?|100)%$')", "message": "wave must be a number of at least 1, or a percentage from 1% to 100%" },
    ])
}
