//! Languages: which of those there are templates for is the nearest to what an invitation asks for.

/// Returns what to try for a language, the nearest first: itself, then the language without the region.
pub(crate) fn candidates(wanted: &str) -> impl Iterator<Item = String> {
    let exact = wanted.trim().replace('_', "-").to_ascii_lowercase();
    let mut ends: Vec<usize> = exact.match_indices('-').map(|(index, _)| index).collect();
    ends.push(exact.len());
    ends.into_iter().rev().map(move |end| exact[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_language_comes_first() {
        let all = |wanted: &str| candidates(wanted).collect::<Vec<_>>();
        assert_eq!(all("de_AT"), ["de-at", "de"]);
        assert_eq!(all("zh-Hant-TW"), ["zh-hant-tw", "zh-hant", "zh"]);
        assert_eq!(all("en"), ["en"]);
        assert_eq!(all(""), [""]);
    }
}
