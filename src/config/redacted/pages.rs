//! The section `[pages]`.

use super::{NO_LIMIT, REDACTED, format_duration, rate_text, section};
use crate::config::PagesConfig;

pub(super) fn render(pages: &PagesConfig, file: Option<String>) -> String {
    let PagesConfig {
        listen,
        origin,
        api_key,
        redirect,
        accept,
        trusted_proxies,
        requests_per_client,
        receipt_ttl,
        templates,
        locale,
    } = pages;
    let head = match listen {
        Some(listen) => section("pages").text("listen", listen.to_string()),
        None => section("pages").comment("listen is not set: there are no pages"),
    };
    let head = head.text("origin", origin.clone().unwrap_or_default());
    let head = match (file, api_key) {
        (Some(file), _) => head.text("api_key_file", file),
        (None, Some(_)) => head.text("api_key", REDACTED.to_owned()),
        (None, None) => head.comment("api_key is not set: the pages call without a credential"),
    };
    let kinds: Vec<&str> = accept.iter().map(|kind| kind.code()).collect();
    let proxies: Vec<String> = trusted_proxies.iter().map(ToString::to_string).collect();
    head.text("redirect", redirect.clone().unwrap_or_default())
        .text("accept", kinds.join(", "))
        .text("trusted_proxies", proxies.join(", "))
        .text("requests_per_client", requests_per_client.map_or_else(|| NO_LIMIT.to_owned(), rate_text))
        .text("receipt_ttl", format_duration(*receipt_ttl))
        .text("templates", templates.as_ref().map(|path| path.display().to_string()).unwrap_or_default())
        .text("locale", locale.clone())
        .0
}
