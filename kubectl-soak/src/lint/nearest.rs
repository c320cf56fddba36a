/// The name that somebody who wrote `written` may have meant.
pub(crate) fn nearest<'n>(
    written: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    let wanted = plain(written);
    // A third of a name may be wrong: more than that, and it is another one.
    let most = (wanted.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(&wanted, &plain(name)), name))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_by_a_few_letters_is_meant() {
        let names = ["maxPercent", "maxAbsolute", "signal", "query"];
        let meant = |written| nearest(written, names);
        assert_eq!(meant("maxPercnt"), Some("maxPercent"));
        assert_eq!(meant("max_percent"), Some("maxPercent"));
        assert_eq!(meant("singal"), Some("signal"));
        assert_eq!(meant("MaxAbsolut"), Some("maxAbsolute"));
        assert_eq!(meant("threshold"), None);
    }
}
