//! The promises of the subscriber, whatever the filter is and whatever value is logged.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing::field::Empty;

use super::*;

/// A writer that keeps what is written.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn capture(level: &str, json: bool, log: impl FnOnce()) -> Vec<String> {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = subscriber(level, json, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, log);
    captured.lines()
}

/// Logs at each level under a target, inside a span of that target.
macro_rules! log_under {
    ($($target:literal),*) => {
        $({
            let _span = tracing::trace_span!(target: $target, "frame", authorization = "hunter2").entered();
            tracing::trace!(target: $target, "hunter2 at trace");
            tracing::debug!(target: $target, "hunter2 at debug");
            tracing::info!(target: $target, concat!($target, " at info"));
        })*
    };
}

#[test]
fn no_filter_turns_libraries_below_info() {
    let filters = [
        "trace",
        "h2=trace,hyper=trace,hyper_util=trace,tonic=trace,tower=trace,rustls=trace,sqlx=trace,sea_orm=trace",
        "trace,h2::codec=trace,sqlx::query=trace,sea_orm::driver=debug",
        "[frame]=trace",
        "[frame{authorization=hunter2}]=trace,h2=trace",
        "[{authorization}]=trace",
    ];
    for filter in filters {
        for json in [false, true] {
            let lines = capture(filter, json, || {
                log_under!(
                    "h2::codec::framed_read",
                    "h2::hpack::decoder",
                    "hyper::proto::h2",
                    "hyper_util::rt",
                    "tonic::transport",
                    "tower::buffer",
                    "rustls::conn",
                    "sqlx::query",
                    "sqlx_postgres::connection",
                    "sea_orm::driver",
                    "log",
                    "a_library_of_tomorrow"
                );
            });
            assert!(lines.iter().all(|line| !line.contains("hunter2")), "{filter}: {lines:#?}");
            let alive = lines.iter().any(|line| line.contains("h2::hpack::decoder at info"));
            assert_eq!(alive, filter.contains("h2") || filter == "trace", "{filter}: {lines:#?}");
        }
    }
}

#[test]
fn the_filter_decides_about_this_service() {
    let log = || {
        tracing::trace!(target: "database", "one");
        tracing::debug!(target: "delivery", "two");
        tracing::info!(target: "calls", "three");
    };
    assert_eq!(capture("trace", false, log).len(), 3);
    assert_eq!(capture("info,delivery=debug", false, log).len(), 2);
    assert_eq!(capture("info,calls=warn", false, log).len(), 0);
    assert_eq!(capture("warn,calls=info", false, log).len(), 1);
    assert_eq!(capture("warn", false, log).len(), 0);
}

#[test]
fn a_value_can_neither_forge_a_line_nor_drive_a_terminal() {
    const HOSTILE: &str = "x\r\n2026-01-01T00:00:00Z  INFO forged\u{2028}\u{9b}31m\u{1b}[2J\u{202e}\0\t\u{85}";
    #[derive(Debug)]
    struct Error;
    impl fmt::Display for Error {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(HOSTILE)
        }
    }
    impl std::error::Error for Error {}

    for json in [false, true] {
        let lines = capture("info", json, || {
            let error: &(dyn std::error::Error + 'static) = &Error;
            let span =
                tracing::info_span!(target: "calls", "create", display = %HOSTILE, debug = ?HOSTILE, late = Empty);
            span.record("late", tracing::field::display(HOSTILE));
            let _span = span.entered();
            tracing::info!(target: "calls", value = %HOSTILE, text = HOSTILE, error, "message {HOSTILE}");
        });
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let line = &lines[0];
        assert!(!line.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}')), "{line:?}");
        assert!(line.contains("INFO") && line.contains("forged"), "{line}");
        if json {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["message"], format!("message {HOSTILE}"));
            assert_eq!(event["late"], HOSTILE);
            assert_eq!(event["level"], "INFO");
        }
    }
}

#[test]
fn json_line_is_flat_with_the_fields_of_its_event_and_call() {
    let lines = capture("info", true, || {
        let span = tracing::info_span!(target: "calls", "rpc", method = "Get", absent = Empty, late = Empty);
        span.record("late", "one \"quoted\"");
        span.record("late", "two");
        let _span = span.entered();
        // Neither a library's span nor one that is within the call takes the call's fields away.
        let _library = tracing::info_span!(target: "a_library", "request", method = "POST").entered();
        tracing::info!(target: "database", code = ?Some(1), share = 0.5, none = f64::NAN, count = 3_u64, below = -3, yes = true, "a \\ line");
    });
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    let expected = json!({
        "timestamp": line["timestamp"], "level": "INFO", "message": "a \\ line", "code": "Some(1)", "share": 0.5, "none": null, "count": 3,
        "below": -3, "yes": true, "method": "Get", "late": "two", "target": "database",
    });
    assert_eq!(line, expected);
}

#[test]
fn fields_of_a_library_take_no_place_of_ours() {
    let lines = capture("info", true, || {
        let _call = tracing::info_span!(target: "calls", "rpc", method = "Get").entered();
        tracing::info!(target: "a_library", method = "POST", event = "x", level = "y", size = 3, "of a library");
        tracing::info!(target: "a_library", "alone");
    });
    let [with, alone] = [0, 1].map(|number| serde_json::from_str::<Value>(&lines[number]).unwrap());
    let fields = json!({"method": "POST", "event": "x", "level": "y", "size": 3});
    let expected =
        |line: &Value| json!({"timestamp": line["timestamp"], "level": "INFO", "method": "Get", "target": "a_library"});
    let mut expected_with = expected(&with);
    expected_with["message"] = "of a library".into();
    expected_with["fields"] = fields;
    let mut expected_alone = expected(&alone);
    expected_alone["message"] = "alone".into();
    assert_eq!((with, alone), (expected_with, expected_alone));
}

#[test]
fn library_with_the_name_of_a_target_is_under_the_ceiling() {
    for (target, module, is_shown) in [
        ("calls", "invitation_service::server", true),
        ("calls", "calls", false),
        ("calls", "invitation_service_of_others", false),
    ] {
        let is_own = is_own_module(module) && is_own(target);
        assert_eq!(is_own, is_shown, "{target} in {module}");
    }
    assert!(!is_own("calls_of_a_library") && !is_own("call"));
}

#[test]
fn known_noise_of_libraries_is_off() {
    let lines = capture("trace", false, || {
        tracing::info!(target: "sqlx::postgres::notice", "relation already exists, skipping");
        tracing::warn!(target: "sqlx::postgres::notice", "terminating connection due to immediate shutdown command");
        tracing::warn!(target: "sqlx_core::pool::connection", "error occurred while testing the connection on-release");
        tracing::info!(target: "sqlx_core::pool::inner", "ping on idle connection returned error");
        tracing::warn!(target: "sqlx_postgres::options::parse", "ignoring unrecognized connect parameter");
        tracing::error!(target: "rustls_platform_verifier::verification", "invalid peer certificate");
    });
    assert_eq!(lines, Vec::<String>::new());
    let kept = capture("info", false, || {
        tracing::error!(target: "sqlx::postgres::notice", "an error of the server");
        tracing::error!(target: "sqlx_core::pool::inner", "error returned from after_connect");
        tracing::info!(target: "rustls_platform_verifier_of_others", "another library");
    });
    assert_eq!(kept.len(), 3, "{kept:?}");
}

#[test]
fn a_malformed_filter_is_an_error_and_not_a_panic() {
    assert!(matches!(subscriber("info,h2=loud", false, io::stderr), Err(TelemetryError::Filter(_))));
}
