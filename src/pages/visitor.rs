//! Visitors by what they say of themselves: programs that preview links, and the languages that a person reads.

/// The names of programs that fetch a link to preview, index or check it, in lower case: a part of their `User-Agent`. Messengers have
/// browsers of their own, whose names are longer or shorter than those of their programs. Whoever is not named here is a person.
const PROGRAMS: [&str; 31] = [
    "bot",
    "crawler",
    "spider",
    "preview",
    "unfurl",
    "embedly",
    "iframely",
    "facebookexternalhit",
    "facebookcatalog",
    "meta-external",
    "whatsapp/",
    "slack-imgproxy",
    "ms-office",
    "google-pagerenderer",
    "google-inspectiontool",
    "googleother",
    "google-read-aloud",
    "+https://developers.google.com",
    "mediapartners-google",
    "apis-google",
    "yahoo! slurp",
    "vkshare",
    "line-poker",
    "kakaotalk-scrap",
    "zulipurl",
    "synapse",
    "mastodon/",
    "pleroma",
    "misskey/",
    "cardyb",
    "linkcheck",
];
/// A maker of phones, whose browsers would be taken for programs by its name.
const PHONES: &str = "cubot";

/// The most languages of a header that are looked at.
const MAX_LANGUAGES: usize = 20;

/// Returns whether a visitor is a program, by its `User-Agent`. A browser has one.
pub(super) fn is_program(user_agent: Option<&str>) -> bool {
    let name = user_agent.unwrap_or_default().to_ascii_lowercase().replace(PHONES, "");
    name.is_empty() || PROGRAMS.iter().any(|program| name.contains(program))
}

/// Returns the languages of an `Accept-Language`, the one that is wanted most first.
pub(super) fn languages(header: &str) -> Vec<String> {
    let parse = |entry: &str| {
        let mut parts = entry.split(';').map(str::trim);
        let language = parts.next().filter(|language| !language.is_empty() && *language != "*")?;
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok())?;
        (weight > 0.0).then(|| (language.to_owned(), weight))
    };
    let mut wanted: Vec<_> = header.split(',').take(MAX_LANGUAGES).filter_map(parse).collect();
    wanted.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    wanted.into_iter().map(|(language, _)| language).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_is_known_by_its_name_and_a_browser_is_none() {
        for program in [
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "facebookexternalhit/1.1 Facebot Twitterbot/1.0",
            "WhatsApp/2.23.20.0",
            "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
            "TelegramBot (like TwitterBot)",
            "LinkedInBot/1.0 (compatible; Mozilla/5.0)",
            "Synapse (bot; +https://github.com/matrix-org/synapse)",
            "",
        ] {
            assert!(is_program(Some(program)), "{program}");
        }
        assert!(is_program(None));
        for person in [
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36 Telegram-Android/11.4",
            "curl/8.5.0",
        ] {
            assert!(!is_program(Some(person)), "{person}");
        }
    }

    #[test]
    fn languages_are_in_the_order_of_their_weights() {
        assert_eq!(languages("de-AT,de;q=0.9, en;q=0.8"), ["de-AT", "de", "en"]);
        assert_eq!(languages("en;q=0.2, fr;q=0, de;q=0.7, *;q=0.1, x;q=a"), ["de", "en"]);
        assert!(languages("").is_empty() && languages(" , ;q=1").is_empty());
    }
}
