//! The promises of the subscriber, whatever the filter is and whatever value is logged.

use std::sync::{Arc, Mutex};

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
        tracing::trace!(target: "invitation_service::store", "one");
        tracing::debug!(target: "invitation_service::grpc", "two");
        tracing::info!(target: "invitation_service", "three");
    };
    assert_eq!(capture("trace", false, log).len(), 3);
    assert_eq!(capture("info,invitation_service::grpc=debug", false, log).len(), 2);
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
                tracing::info_span!("create", display = %HOSTILE, debug = ?HOSTILE, late = tracing::field::Empty);
            span.record("late", tracing::field::display(HOSTILE));
            let _span = span.entered();
            tracing::info!(display = %HOSTILE, text = HOSTILE, error, "message {HOSTILE}");
        });
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let line = &lines[0];
        assert!(!line.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}')), "{line:?}");
        assert!(line.contains("INFO") && line.contains("forged"), "{line}");
        if json {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["message"], format!("message {HOSTILE}"));
            assert_eq!(event["span"]["late"], HOSTILE);
            assert_eq!(event["level"], "INFO");
        }
    }
}

#[test]
fn json_line_has_the_fields_of_the_event_and_of_its_span() {
    let lines = capture("info", true, || {
        let span =
            tracing::info_span!("rpc", method = "Get", absent = tracing::field::Empty, late = tracing::field::Empty);
        span.record("late", "one \"quoted\"");
        span.record("late", "two");
        let _span = span.entered();
        tracing::info!(code = ?Some(1), share = 0.5, none = f64::NAN, count = 3_u64, below = -3, yes = true, "a \\ line");
    });
    let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&lines[0]).unwrap();
    let names: Vec<_> = line.keys().map(String::as_str).collect();
    let wanted = ["below", "code", "count", "level", "message", "none", "share", "span", "target", "timestamp", "yes"];
    assert_eq!(names, wanted);
    let value = serde_json::Value::Object(line);
    assert_eq!(
        (&value["code"], &value["share"], &value["none"]),
        (&"Some(1)".into(), &0.5.into(), &serde_json::Value::Null)
    );
    assert_eq!((&value["count"], &value["below"], &value["yes"]), (&3.into(), &(-3).into(), &true.into()));
    assert_eq!(value["message"], "a \\ line");
    assert_eq!(value["span"], serde_json::json!({"method": "Get", "late": "two", "name": "rpc"}));
    assert_eq!(value["target"], "invitation_service::telemetry::tests");
}

#[test]
fn a_malformed_filter_is_an_error_and_not_a_panic() {
    assert!(matches!(subscriber("info,h2=loud", false, io::stderr), Err(TelemetryError::Filter(_))));
}
