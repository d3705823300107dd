//! What somebody probably meant who wrote something unknown.

/// How alike a mistyped word and a known one must be for a suggestion (Jaro-Winkler similarity).
const ALIKE: f64 = 0.8;

/// `; did you mean `clusters`?`, if one of `known` is much like `written`.
pub fn suggestion(written: &str, known: &[&str]) -> String {
    let likeness = |candidate: &str| strsim::jaro_winkler(&written.to_lowercase(), &candidate.to_lowercase());
    known
        .iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::suggestion;

    #[test]
    fn the_nearest_is_suggested_and_nothing_where_none_is_near() {
        let known = ["production", "staging"];
        assert_eq!(suggestion("stagin", &known), "; did you mean `staging`?");
        assert_eq!(suggestion("Prod", &known), "; did you mean `production`?");
        assert_eq!(suggestion("edge", &known), "");
    }
}
