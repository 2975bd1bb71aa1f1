//! The contract of the log: its targets, its events with their fields, and the meaning of each field, once.
//!
//! Nothing of it follows the modules of the code, so that moving a file breaks no filter and no alert. `docs/logs.md` shows these tables, and
//! tests compare both with it and with every place that logs.

/// A kind of line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// The stable id, which is the field `event`.
    pub id: &'static str,
    /// The target, by which lines are filtered.
    pub target: &'static str,
    /// The levels at which it is logged.
    pub levels: &'static [&'static str],
    /// The fields that a line of it may have, beside those of its call.
    pub fields: &'static [&'static str],
    /// The meaning of the line.
    pub meaning: &'static str,
}

/// Logs an event of the table: its level, its constant in [`events`](self), its fields and its message.
#[macro_export]
macro_rules! log_event {
    ($level:ident, $event:ident, $($rest:tt)+) => {
        tracing::$level!(
            target: $crate::telemetry::events::$event.target,
            event = $crate::telemetry::events::$event.id,
            $($rest)+
        )
    };
}

/// Declares the events of each target, and the list of all.
macro_rules! events {
    ($($target:literal: $($name:ident $id:literal [$($level:ident)+] ($($field:ident)*) $meaning:literal)+;)+) => {
        $($(
            #[doc = $meaning]
            pub const $name: LogEvent = LogEvent {
                id: $id,
                target: $target,
                levels: &[$(stringify!($level)),+],
                fields: &[$(stringify!($field)),*],
                meaning: $meaning,
            };
        )+)+

        /// All events, by their constants.
        pub const EVENTS: &[(&str, LogEvent)] = &[$($((stringify!($name), $name)),+),+];
    };
}

/// The targets of this service, and the lines that each has.
pub const TARGETS: [(&str, &str); 8] = [
    ("calls", "answered calls, streams and what went wrong in them"),
    ("audit", "changes of credentials, and erasures"),
    ("credentials", "refused callers, expired keys, and the keys of JWT issuers"),
    ("delivery", "mail, webhooks and NATS"),
    ("database", "the database, its schema and its standby, and work on it that is tried again"),
    ("tasks", "the work beside the calls"),
    ("reload", "files that were read again"),
    ("server", "the start, the end, readiness, connections, and the log itself"),
];

/// The target of the lines of a call and of the span that gives them their fields.
pub const CALLS: &str = "calls";

/// The fields that every line has while a call is answered, also lines of other targets; each only if it is known.
pub const CALL_FIELDS: [&str; 8] =
    ["service", "method", "account", "caller", "trace_id", "correlation_id", "request_id", "invitation"];

events! {
"calls":
    CALL_ANSWERED "call.answered" [info warn error] (code reason duration_ms peer request_bytes response_bytes sample)
        "A call was answered; of a stream, its answer has begun. Which calls have such a line is a matter of `log.calls`."
    CALL_FAILED "call.failed" [error] (error_id error)
        "A call failed with an internal error, whose id the caller has."
    CALL_PANICKED "call.panicked" [error] (error_id)
        "The handler of a call panicked; `process.panicked` says where."
    RESPONSES_DROPPED "call.responses_dropped" [warn] (dropped)
        "Clients did not take their answers in time, so their streams end."
    PAGE_ANSWERED "page.answered" [info warn] (page http_status duration_ms peer)
        "A request for a page of an invitation was answered; `peer` is the client, as the trusted proxies tell it. WARN if the page could not be shown."
    PAGE_FAILED "page.failed" [error] (file error)
        "A template of the pages failed with what an invitation holds, so an empty page was sent."
    WATCH_ENDED "watch.ended" [info] (code)
        "The service ended a stream of events, by this code."
    WATCH_CLOSED "watch.closed" [debug] ()
        "A client closed its stream of events."
    WATCH_STALLED "watch.stalled" [warn] ()
        "A stream of events ends, since its client reads nothing."
;
"audit":
    API_KEY_CREATED "api_key.created" [info] (api_key permissions organization_id expires_at grantable_roles)
        "An API key was created in the database."
    API_KEY_UPDATED "api_key.updated" [info] (api_key permissions organization_id expires_at grantable_roles)
        "An API key was changed; its powers are those that it has from now on."
    API_KEY_REVOKED "api_key.revoked" [info] (api_key permissions organization_id expires_at grantable_roles)
        "An API key was revoked; its powers are those that it had."
    RECIPIENT_ERASED "recipient.erased" [info] (tombstone)
        "The erasure of a recipient begins."
;
"credentials":
    CALLERS_REFUSED "callers.refused" [info warn] (code reason detail calls peer account caller key_prefix issuer)
        "Calls were refused because their caller is not known. One line in ten seconds for each reason and owner, WARN if UNAVAILABLE; the fields beside `calls` are those of the last call."
    API_KEY_EXPIRED "api_key.expired" [warn] (api_key expires_at)
        "An API key was used after its end, for the first time."
    API_KEY_EXPIRES "api_key.expires" [warn] (api_key account expires_at)
        "The API key of the file, or in use within a day, that ends next, if within a week. One line for each key that is the next."
    API_KEYS_STALE "api_keys.stale" [warn] ()
        "No API key of the database is accepted, since for ten minutes the database has not said which were revoked."
    API_KEYS_ROLLED_BACK "api_keys.rolled_back" [warn] ()
        "The API keys of the database are older than they were, as after a restore."
    NO_API_KEY "api_keys.none" [warn] ()
        "There is no API key, so no call can be answered."
    JWT_KEYS_READ "jwt_keys.read" [info] (issuer file keys skipped fingerprint)
        "The keys of a JWT issuer were read, and are others than before."
    JWT_KEYS_NOT_FETCHED "jwt_keys.not_fetched" [warn] (issuer problem age_s)
        "The keys of a JWT issuer could not be fetched; those that are known go on."
    JWT_KEYS_TOO_OLD "jwt_keys.too_old" [error] (issuer problem)
        "The keys of a JWT issuer are too old, so its tokens are UNAVAILABLE."
;
"delivery":
    MAIL_ATTEMPT_FAILED "mail.attempt_failed" [debug] (delivery attempts error failure)
        "An attempt to send a message failed."
    MAIL_FAILED "mail.failed" [warn] (delivery attempts error)
        "A message failed for good. RedeliverDeliveries queues it again."
    MAIL_NOT_SETTLED "mail.not_settled" [debug] (delivery error)
        "The result of a message was not recorded; the message is claimed again when its lease expires."
    MAIL_NOT_SENT "mail.not_sent" [info] (delivery to)
        "A message is not sent, because mail.url is `log:`."
    WEBHOOK_NOT_ACCEPTED "webhook.not_accepted" [info] (webhook endpoint attempts error outcome)
        "An endpoint did not accept a message."
    WEBHOOK_ENDPOINT_DISABLED "webhook.endpoint_disabled" [warn] (endpoint)
        "An endpoint is disabled after its failures."
    WEBHOOK_UNREADABLE "webhook.unreadable" [error] (webhook error)
        "The content of a message cannot be read; it is tried again later."
    WEBHOOK_PANICKED "webhook.panicked" [error] (webhook)
        "Posting a message panicked, which counts as a failed attempt."
    WEBHOOK_SETTLE_RETRIED "webhook.settle_retried" [debug] (error)
        "Results of messages were not recorded and are recorded again."
    WEBHOOK_NOT_SETTLED "webhook.not_settled" [warn] (error)
        "Results of messages were not recorded; the messages are posted again when their leases expire."
    WEBHOOK_HOST_UNKNOWN "webhook.host_unknown" [debug] (host)
        "The host of an endpoint is not known."
    WEBHOOK_HOST_REFUSED "webhook.host_refused" [debug] (host)
        "The host of an endpoint has no address that is allowed."
    WEBHOOK_SECRETS_RESEALED "webhook.secrets_resealed" [info] (endpoints)
        "The secrets of endpoints are sealed by the signing key."
    WEBHOOKS_OFF "webhook.off" [error] (error)
        "No webhook is posted, because the machine has no usable certificates."
    NATS_CONNECTED "nats.connected" [info] ()
        "The service is connected to NATS."
    NATS_LEASE_NOT_RELEASED "nats.lease_not_released" [debug] (error)
        "The lease of the publisher expires by itself."
;
"database":
    DATABASE_AWAITED "database.awaited" [warn] (problem wait_ms)
        "A command waits for the database, for so long at most."
    MIGRATION_APPLIED "migration.applied" [info] (migration duration_ms)
        "A migration was applied."
    MIGRATION_WAITS "migration.waits" [warn] (attempts)
        "A migration waits for a lock of another transaction; it is tried again."
    MIGRATION_TURN "migration.turn" [info] ()
        "Another process migrates; its end is waited for."
    TRACES_LOST "traces.lost" [warn] (spans)
        "The collector of traces did not take spans, which are lost; logged once in ten seconds at most."
    SCHEMA_NEWER "schema.newer" [warn] (migrations)
        "A newer release has migrated the schema; this release continues to use it."
    SCHEMA_VERSION_UNREAD "schema.version_unread" [debug] (error)
        "The version of the schema could not be read."
    READER_VIEWS_DIFFER "schema.reader_views_differ" [warn] (role)
        "The views of store.reader_role are those of another release, or missing."
    SIGNING_NOT_NOTED "token_keys.signing_not_noted" [warn] (error)
        "The use of the first token key was not recorded; the next check records it."
    STANDBY_USED "standby.used" [info] ()
        "The standby answers, so lists and gets are read from it."
    STANDBY_UNUSED "standby.unused" [warn] (error)
        "The standby cannot be read, so lists and gets are read from the primary."
    STANDBY_NOT_STREAMING "standby.not_streaming" [warn] ()
        "store.read_url leads to no streaming standby."
    GROUP_HALVED "group.halved" [warn] (error submissions)
        "A group of commands was refused, and its halves are tried again."
    CREATES_RETRIED "group.creates_retried" [debug] (error)
        "New invitations are tried again with a load."
    COMMANDS_WAIT "group.commands_wait" [debug] (submissions)
        "Commands wait beside their lane for a lock of another transaction."
    COMMIT_UNKNOWN "group.commit_unknown" [debug] (error submissions)
        "Whether a group was committed is not known; its calls are answered UNAVAILABLE."
    COMMAND_FAILED "command.failed" [error] (error_id error)
        "A command failed with an internal error, whose id the caller has."
    ROW_SKIPPED "row.skipped" [error] (error)
        "A list skips a row that this release cannot read."
    QUEUED_ROWS_UNREADABLE "queue.rows_unreadable" [error] (error rows)
        "Queued rows cannot be read and are tried again in a minute."
    TABLES_NOT_ANALYZED "tables.not_analyzed" [debug] (error)
        "Grown tables were not analyzed; autovacuum has to do it."
;
"tasks":
    TASK_FAILING "task.failing" [warn] (task error)
        "A task goes on failing. One line in ten seconds for each cause, whichever tasks have it."
    TASK_PANICKED "task.panicked" [error] (task)
        "A task panicked; it is begun again."
    OLD_ROWS_DELETED "prune.deleted" [info] (requests codes webhooks quotas events deliveries invitations)
        "Old rows were deleted; the fields are their numbers."
    OLD_INVITATIONS_RETRIED "prune.retried" [debug] (error invitations)
        "Old invitations are deleted one by one."
    OLD_ROWS_NOT_DELETED "prune.not_deleted" [warn] (error table rows)
        "Old rows are not deleted yet and are tried again later."
    INVITATION_TOO_LARGE "prune.too_large" [warn] (rows)
        "An ended invitation has too many rows to be deleted from a file; it is kept."
    EXPIRY_RETRIED "expiry.retried" [warn] (invitation error)
        "The expiry of an invitation is not recorded yet; it is tried again later."
    EXPIRY_NOT_RECORDED "expiry.not_recorded" [error] (invitation)
        "The expiry of an invitation was not recorded within a day."
;
"reload":
    RELOAD_REQUESTED "reload.requested" [info] ()
        "SIGHUP: the files that are read again when they change are looked at now."
    FILE_REFUSED "file.refused" [warn] (setting file problem)
        "A file that changed cannot be used; what it had before stays in use."
    API_KEYS_READ "api_keys_file.read" [info] (file keys withdrawn fingerprint)
        "The file of API keys was read again."
    CLIENT_CERTIFICATES_READ "client_certificates_file.read" [info] (file entries withdrawn fingerprint)
        "The file of client certificates was read again."
    ACCOUNTS_READ "accounts_file.read" [info] (accounts fingerprint)
        "The file of accounts was read again."
    JWT_ISSUERS_READ "jwt_issuers_file.read" [info] (file issuers fingerprint)
        "The file of JWT issuers was read again."
    CERTIFICATE_READ "certificate.read" [info warn] (file fingerprint not_after)
        "The certificate of this server was read, at the start or again; WARN if it has expired."
    CLIENT_AUTHORITIES_READ "client_authorities.read" [info] (file fingerprints)
        "The authorities of clients were read again."
    TOKEN_KEYS_READ "token_keys.read" [info] (file signing added removed fingerprints signs_in_s)
        "The token keys were read again; with `signs_in_s`, the first one signs in so many seconds."
    TOKEN_KEYS_HELD_BACK "token_keys.held_back" [warn] (file problem)
        "Token keys that were read are put to work when the database answers."
    DATABASE_LOGIN_READ "database_login.read" [info] (file fingerprint url listen_url read_url)
        "The login to the database was read again; the last three fields name the parts that changed."
    MAIL_LOGIN_READ "mail_login.read" [info] (file fingerprint changed)
        "The login to the mail server was read again."
    NATS_LOGIN_READ "nats_login.read" [info] (file fingerprint changed)
        "The login to NATS was read again."
;
"server":
    LISTENING "server.listening" [info] (address version)
        "The service listens for calls."
    LISTENING_FOR_PROBES "server.listening_for_probes" [info] (address)
        "The service listens for probes."
    LISTENING_FOR_PAGES "server.listening_for_pages" [info] (address)
        "The service listens for requests for pages."
    CLEAR_TEXT "server.clear_text" [warn] ()
        "Calls are served without TLS on an address that others can reach."
    READINESS_CHANGED "server.readiness_changed" [info] (ready)
        "The service became ready, or is no longer."
    NOT_READY "server.not_ready" [warn] (problem)
        "The service is not ready. One line in ten seconds."
    HANDSHAKES_FAILED "server.handshakes_failed" [info] (connections problem peer)
        "TLS handshakes failed. One line in ten seconds; `problem` and `peer` are those of the last one."
    ACCEPT_FAILED "server.accept_failed" [warn] (error)
        "A connection could not be accepted; accepting continues."
    NODELAY_NOT_SET "server.nodelay_not_set" [debug] (error)
        "Answers on a connection may be delayed."
    DRAINING "server.draining" [info] (drain_timeout_ms)
        "The service takes no more connections, and calls have so long to end."
    DRAIN_CUT "server.drain_cut" [warn] ()
        "Connections with calls are closed: the drain timeout has passed, or SIGINT came during the drain."
    ENDED "server.ended" [info warn] ()
        "The service has ended; WARN if not in order."
    PROCESS_FAILED "process.failed" [error] (exit_code)
        "The process ends because of this, with the exit code."
    PANICKED "process.panicked" [error] (location)
        "Code panicked at this place. The panic's own text may quote a value and is not logged."
    LOG_LINES_LOST "log.lines_lost" [warn] (lost)
        "The log was read too slowly, so lines were lost."
;
}
