//! What somebody may have meant who wrote a name that is not there.

/// At most so many names are suggested.
const MOST: usize = 3;

/// The known names that are nearest to one that is not known, nearest first; none where nothing is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let small = name.to_lowercase();
    let mut near: Vec<_> = known
        .into_iter()
        .filter_map(|one| {
            let other = one.to_lowercase();
            let distance = strsim::osa_distance(&small, &other);
            // A third of the letters may be wrong; a beginning of some letters says enough.
            let is_near = distance.saturating_mul(3) <= small.chars().count().max(3);
            let is_part = small.len() >= 3 && (other.contains(&small) || small.contains(&other));
            (is_near || is_part).then_some((distance, one))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    // What is farther than the nearest was hardly meant.
    let best = near.first().map(|(distance, _)| *distance);
    near.retain(|(distance, _)| Some(*distance) == best);
    near.truncate(MOST);
    near.into_iter().map(|(_, one)| one).collect()
}

/// `; did you mean a or b?`, or nothing.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(name, known);
    match near.as_slice() {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_was_meant_and_nothing_else() {
        let known = ["cpuPercentage", "memoryPercentage", "minCPU", "minMemory"];
        for (written, meant) in [
            ("cpuPercentag", vec!["cpuPercentage"]),
            ("CPUPercentage", vec!["cpuPercentage"]),
            ("cpuPercent", vec!["cpuPercentage"]),
            ("minCpu", vec!["minCPU"]),
            ("min", vec!["minCPU"]),
            ("Percentage", vec!["cpuPercentage"]),
            ("mincup", vec!["minCPU"]),
            ("replicas", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
        assert_eq!(suggestion("minCpu", known), "; did you mean minCPU?");
        assert_eq!(suggestion("x", known), "");
    }
}
