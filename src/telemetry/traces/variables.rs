//! The variables of OpenTelemetry. The library takes a default in place of a value that it cannot use, or fails at the first span, so
//! they are checked before it reads them.

use url::Url;

/// A variable that cannot be used, and what it has to be. Its value may have a credential and is never shown.
pub(crate) type VariableProblem = (&'static str, &'static str);

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// The most spans that wait for the collector. Each may have some kilobytes.
const MAX_QUEUE: u64 = 100_000;
/// The longest time, a day in milliseconds.
const MAX_TIME: u64 = 86_400_000;

/// Returns the value of a variable; one that is empty counts as absent, as the specification says.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns whether traces are asked for.
pub(super) fn is_wanted() -> bool {
    is_wanted_by(&variable)
}

fn is_wanted_by(variable: &impl Fn(&str) -> Option<String>) -> bool {
    let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let is_wanted = match variable("OTEL_TRACES_EXPORTER") {
        Some(exporter) => exporter == "otlp",
        None => ENDPOINTS.iter().any(|name| variable(name).is_some()),
    };
    !is_off && is_wanted
}

/// Checks the variables that this service uses.
pub(crate) fn check() -> Vec<VariableProblem> {
    check_by(&variable)
}

fn check_by(variable: &impl Fn(&str) -> Option<String>) -> Vec<VariableProblem> {
    let mut problems = Vec::new();
    let mut check = |name: &'static str, rule: &'static str, is_met: &dyn Fn(&str) -> bool| {
        if variable(name).is_some_and(|value| !is_met(&value)) {
            problems.push((name, rule));
        }
    };
    check("OTEL_TRACES_EXPORTER", "must be otlp or none", &|value| matches!(value, "otlp" | "none"));
    if !is_wanted_by(variable) {
        return problems;
    }
    for name in ENDPOINTS {
        check(name, "must be http://HOST:PORT or https://HOST:PORT", &is_endpoint);
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        check(name, "must be grpc, the only protocol of this service", &|value| value == "grpc");
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"] {
        check(name, "must be gzip", &|value| value == "gzip");
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"] {
        check(name, "must be NAME=VALUE, several with commas", &are_headers);
    }
    for name in [
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BSP_SCHEDULE_DELAY",
    ] {
        check(name, "must be milliseconds, from 1 to 86400000", &|value| is_within(value, MAX_TIME));
    }
    for name in ["OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] {
        check(name, "must be a number from 1 to 100000", &|value| is_within(value, MAX_QUEUE));
    }
    let samplers = "must be always_on, always_off, traceidratio, or one of these behind parentbased_";
    check(SAMPLER, samplers, &|value| SAMPLERS.contains(&value));
    let is_ratio = |value: &str| value.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio));
    if variable(SAMPLER).is_some_and(|sampler| sampler.ends_with("ratio")) {
        check("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0.0 to 1.0", &is_ratio);
    }
    problems
}

fn is_endpoint(value: &str) -> bool {
    let Ok(url) = Url::parse(value) else { return false };
    let has_credential = !url.username().is_empty() || url.password().is_some();
    matches!(url.scheme(), "http" | "https") && url.has_host() && !has_credential
}

fn are_headers(value: &str) -> bool {
    let is_header = |header: &str| {
        let Some((name, value)) = header.split_once('=') else { return false };
        name.trim().parse::<http::HeaderName>().is_ok() && value.trim().parse::<http::HeaderValue>().is_ok()
    };
    value.split(',').all(is_header)
}

fn is_within(value: &str, max: u64) -> bool {
    value.parse().is_ok_and(|number| (1..=max).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317");

    fn refused(variables: &[(&str, &str)]) -> Vec<&'static str> {
        let value =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        check_by(&value).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn values_that_the_library_would_replace_are_refused() {
        for (name, values) in [
            ("OTEL_TRACES_EXPORTER", &["jaeger", "OTLP"][..]),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &["not a url", "ftp://x", "unix:///tmp/x", "http://a:99999", "http://u:p@h"],
            ),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", &["http/protobuf"]),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", &["zstd"]),
            ("OTEL_EXPORTER_OTLP_HEADERS", &["broken", "a b=c", "a=b,,"]),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", &["-5", "10s"]),
            ("OTEL_BSP_MAX_QUEUE_SIZE", &["0", "9999999999999"]),
            ("OTEL_TRACES_SAMPLER", &["always_of"]),
        ] {
            for value in values {
                assert_eq!(refused(&[(name, value), ENDPOINT]), [name], "{value}");
            }
        }
        for ratio in ["7", "NaN", "0,01", "-0.1"] {
            let sampler = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
            assert_eq!(refused(&[ENDPOINT, sampler, ("OTEL_TRACES_SAMPLER_ARG", ratio)]), ["OTEL_TRACES_SAMPLER_ARG"]);
        }
    }

    #[test]
    fn values_in_use_and_those_that_are_not_needed_are_taken() {
        assert!(refused(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,a=b")]).is_empty());
        assert!(
            refused(&[ENDPOINT, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.01")])
                .is_empty()
        );
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert!(refused(&[off, ENDPOINT, ("OTEL_BSP_MAX_QUEUE_SIZE", "0")]).is_empty());
        }
        assert!(refused(&[("OTEL_BSP_MAX_QUEUE_SIZE", "0")]).is_empty(), "nobody wants traces");
    }
}
