//! The table of metrics. A metric that has no row here cannot be noted; `docs/metrics.md` is compared with it.

use super::{Counter, Description, Gauge, Histogram, MetricKind};

/// Durations, in seconds: from what a read takes to more than any call may.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The sizes of groups.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// The rows of groups, up to the most that one may write.
const ROWS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 5000.0];

const fn count(labels: &[&str]) -> usize {
    labels.len()
}

/// Begins the counters whose labels are known before anything happens.
pub(super) fn begin() {
    for counter in [&LOGIN_REFUSALS, &MAIL_SUPPRESSED, &LOG_LINES_DROPPED] {
        counter.begin([]);
    }
    ["sent", "lost"].iter().for_each(|result| TRACE_SPANS.begin([*result]));
    GROUP_RETRIES_REASONS.iter().for_each(|reason| GROUP_RETRIES.begin([*reason]));
    for queue in ["mail", "webhook"] {
        ATTEMPT_RESULTS.iter().for_each(|result| ATTEMPTS.begin([queue, *result]));
    }
}

const GROUP_RETRIES_REASONS: [&str; 5] = ["conflict", "unavailable", "crowded", "locked", "split"];
const ATTEMPT_RESULTS: [&str; 6] = ["sent", "retried", "failed", "cancelled", "suppressed", "paused"];

macro_rules! table {
    ($($kind:ident $(($buckets:ident))? $constant:ident = $name:literal [$($label:ident),*]: $help:literal;)+) => {
        $(pub(crate) static $constant: table!(@type $kind $($label)*) = $kind(Description {
            name: $name,
            kind: table!(@kind $kind $($buckets)?),
            labels: &[$(stringify!($label)),*],
            help: $help,
        });)+

        /// Returns every metric, in the order of the documents.
        pub fn descriptions() -> Vec<Description> {
            vec![$($constant.0),+]
        }
    };
    (@type $kind:ident $($label:ident)*) => { $kind<{ count(&[$(stringify!($label)),*]) }> };
    (@kind Histogram $buckets:ident) => { MetricKind::Histogram($buckets) };
    (@kind Counter) => { MetricKind::Counter };
    (@kind Gauge) => { MetricKind::Gauge };
}

table! {
    Histogram(SECONDS) CALL_SECONDS = "rpc_server_call_duration_seconds" [rpc_system_name, rpc_method, rpc_response_status_code]:
        "Calls of this service's RPCs by method (`_OTHER` for one that does not exist) and canonical code; of a stream, until its first answer";
    Counter CALLS_REFUSED = "invitation_calls_refused_total" [reason]:
        "Calls refused with UNAUTHENTICATED, PERMISSION_DENIED or RESOURCE_EXHAUSTED: for their credential, a permission, a rate, a quota or a budget of memory; by the reason of their ErrorInfo";
    Gauge CALLS_IN_FLIGHT = "invitation_calls_in_flight" []:
        "Calls that are being answered; open streams of WatchEvents do not count";
    Gauge READY = "invitation_ready" []:
        "1 while the service is ready for calls, as /readyz says";
    Gauge COMMANDS_WAITING = "invitation_executor_waiting" []:
        "Commands that wait in the lanes of the executor";
    Histogram(SIZES) GROUP_SIZE = "invitation_executor_group_size" []:
        "Commands that a transaction runs together";
    Histogram(ROWS) GROUP_ROWS = "invitation_executor_group_rows" []:
        "Rows that a group may write, as they are weighed before it runs";
    Histogram(SECONDS) GROUP_SECONDS = "invitation_executor_group_duration_seconds" []:
        "Groups, from their load to their commit, with all attempts";
    Counter GROUP_RETRIES = "invitation_executor_retries_total" [reason]:
        "Attempts of groups that are repeated: `conflict`, `unavailable`, `crowded` (part of it runs alone), `locked` (part of it waits for a lock), `split` (halves are tried)";
    Gauge CONNECTIONS = "invitation_database_connections" [pool, state]:
        "Connections to the database: pool `calls`, `reader` (the reader role), `upkeep`, `standby` and `standby_reader` on PostgreSQL, `read` and `write` on SQLite; state `busy` (in use, or being opened, which goes on while the database is away) or `idle`";
    Gauge CONNECTIONS_MAX = "invitation_database_connections_max" [pool]:
        "Connections that a pool may open";
    Counter LOGIN_REFUSALS = "invitation_database_login_refusals_total" []:
        "Logins that the database server has refused";
    Gauge QUEUE_MESSAGES = "invitation_queue_messages" [queue, state]:
        "Messages of the whole database that are not sent yet: queue `mail` or `webhook`; state `due`, or `delayed` for those under way or tried again later";
    Gauge QUEUE_OLDEST = "invitation_queue_oldest_due_seconds" [queue]:
        "The time for which the oldest due message of a queue has waited";
    Gauge EVENTS_LAG = "invitation_events_lag_seconds" []:
        "The age of the oldest committed event that has no place in the order yet, so that watchers, webhooks and NATS do not see it";
    Gauge FOLLOWER_LAG = "invitation_follower_lag_seconds" [follower]:
        "The age of the oldest event in the order that a follower has not passed: `webhooks`, which writes the messages to endpoints (0 without endpoints), or `nats`, where events.nats_url is set";
    Gauge CLOCK_OFFSET = "invitation_database_clock_offset_seconds" []:
        "The database's clock minus that of this machine, accurate to half of the time that the answer took; absent on SQLite";
    Gauge STANDBY_IN_USE = "invitation_standby_in_use" []:
        "1 while lists and gets are read from the standby of store.read_url, 0 while the primary answers them; absent without a standby";
    Counter ATTEMPTS = "invitation_delivery_attempts_total" [queue, result]:
        "Attempts to send a message: `sent`, `retried` later, `failed` for good, `cancelled` because nobody needs it any more, `suppressed` because nothing is sent to its address, `paused` because the mail server takes none";
    Counter MAIL_SUPPRESSED = "invitation_mail_suppressed_total" []:
        "Messages that are not sent because their address is suppressed, or had as many as limits.mails_per_recipient_per_day allows";
    Counter TRANSITIONS = "invitation_transitions_total" [kind, transition]:
        "Events that this process has committed, by kind of invitation and type of event";
    Counter RELOADS = "invitation_reloads_total" [file, result]:
        "Changed files, including the first read of each: `read` (in use) or `failed` (refused)";
    Gauge FILE_USABLE = "invitation_file_usable" [file]:
        "1 while the present content of a file is in use, 0 while it is refused or cannot be read";
    Gauge FILE_READ = "invitation_file_read_timestamp_seconds" [file]:
        "The moment since which the last content of a file that could be used is in use";
    Gauge CERTIFICATE_EXPIRY = "invitation_certificate_expiry_timestamp_seconds" []:
        "The end of the certificate that connections are served with";
    Counter TRACE_SPANS = "invitation_trace_spans_total" [result]:
        "Spans of traces that the collector took (`sent`) or not (`lost`)";
    Gauge API_KEY_EXPIRY = "invitation_api_key_expiry_timestamp_seconds" []:
        "The next end of an API key that is in the file of API keys, or that this process has seen in use within a day; +Inf if none ends";
    Gauge JWKS_AGE = "invitation_jwks_age_seconds" []:
        "The age of the keys of JWT issuers that are fetched from a URL, of the issuer whose keys are oldest; absent without one";
    Counter TASK_FAILURES = "invitation_task_failures_total" [task]:
        "Failed attempts of tasks beside the calls, by the field `task` of the log event task.failing";
    Counter LOG_LINES_DROPPED = "invitation_log_lines_dropped_total" []:
        "Lines of the log that were lost because its reader was too slow";
    Gauge BUILD_INFO = "invitation_build_info" [version]:
        "Always 1, with the version of the running release";
    Gauge PROCESS_START_TIME = "process_start_time_seconds" []:
        "The moment at which the process began; metrics of the process are there on Linux alone";
    Counter PROCESS_CPU_SECONDS = "process_cpu_seconds_total" []:
        "The processor time that the process has used, in whole seconds";
    Gauge PROCESS_RESIDENT_BYTES = "process_resident_memory_bytes" []:
        "The memory that the process has at present";
    Gauge PROCESS_OPEN_FDS = "process_open_fds" []:
        "The files and connections that the process has open";
    Gauge PROCESS_MAX_FDS = "process_max_fds" []:
        "The files and connections that the process may have open";
    Gauge PROCESS_THREADS = "process_threads" []:
        "The threads of the process";
}
