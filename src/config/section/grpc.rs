//! Section `[grpc]`: the listening socket, deadlines, and how a stop is spread over time.
//!
//! Sizes of messages and pages are part of the API contract, not configuration.

pub(in crate::config) mod cors;
pub(in crate::config) mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;
use cors::CorsOrigins;
use tls::{RawTls, TlsConfig};

/// The settings of the server.
#[derive(Clone, Debug)]
pub struct GrpcConfig {
    /// The address and port to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The longest a unary call may take, also when its caller would wait longer.
    pub request_timeout: Duration,
    /// The time for which a stop reports NOT_SERVING, while still accepting calls, before it closes the listener.
    pub drain_delay: Duration,
    /// The time that calls in flight have to end after that; then they are cut.
    pub drain_timeout: Duration,
    /// The number of calls that one connection may have in flight.
    pub max_concurrent_streams: u32,
    /// The number of connections; a few more take probes of health alone.
    pub max_connections: usize,
    /// The age from which on a connection takes no more calls, up to a tenth more or less; `None` if there is none.
    pub max_connection_age: Option<Duration>,
    /// The time that the calls of such a connection have to end.
    pub max_connection_age_grace: Duration,
    /// Whether reflection is served: to everybody, or to callers with a credential where calls need one.
    pub reflection: bool,
    /// Whether health is served on the port of the calls.
    pub health: bool,
    /// The origins whose pages may call.
    pub cors_origins: CorsOrigins,
    /// The TLS of connections; `None` if they are plain.
    pub tls: Option<TlsConfig>,
}

impl GrpcConfig {
    /// Returns whether only this machine can connect.
    pub fn is_on_loopback(&self) -> bool {
        // `::ffff:127.0.0.1` is loopback too, but only its canonical form says so.
        self.listen.ip().to_canonical().is_loopback()
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawGrpc {
    listen: String,
    request_timeout: String,
    drain_delay: String,
    drain_timeout: String,
    max_concurrent_streams: String,
    max_connections: String,
    max_connection_age: String,
    max_connection_age_grace: String,
    reflection: String,
    health: String,
    cors_origins: String,
    tls: RawTls,
}

const REQUEST_TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// The word for connections of any age.
pub(in crate::config) const OFF: &str = "off";

const AGE_MIN: Duration = Duration::from_secs(1);
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const DRAIN_MAX: Duration = Duration::from_secs(5 * 60);
const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(5 * 60);

impl RawGrpc {
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<GrpcConfig> {
        let RawGrpc {
            listen,
            request_timeout,
            drain_delay,
            drain_timeout,
            max_concurrent_streams,
            max_connections,
            max_connection_age,
            max_connection_age_grace,
            reflection,
            health,
            cors_origins,
            tls,
        } = self;
        let listen = value::address(problems, "grpc.listen", &listen);
        let request_timeout = value::duration(
            problems,
            "grpc.request_timeout",
            &request_timeout,
            REQUEST_TIMEOUT_MIN..=REQUEST_TIMEOUT_MAX,
        );
        let drain_delay = value::duration(problems, "grpc.drain_delay", &drain_delay, Duration::ZERO..=DRAIN_MAX);
        let drain_timeout = value::duration(problems, "grpc.drain_timeout", &drain_timeout, Duration::ZERO..=DRAIN_MAX);
        let max_concurrent_streams =
            value::number(problems, "grpc.max_concurrent_streams", &max_concurrent_streams, 1..=65_536);
        let max_connections = value::number(problems, "grpc.max_connections", &max_connections, 1..=65_536);
        let max_connection_age = match max_connection_age.as_str() {
            OFF => Ok(None),
            age => value::duration(problems, "grpc.max_connection_age", age, AGE_MIN..=AGE_MAX).map(Some),
        };
        let max_connection_age_grace =
            value::duration(problems, "grpc.max_connection_age_grace", &max_connection_age_grace, AGE_MIN..=AGE_MAX);
        let grows_old = !matches!(max_connection_age, Ok(None));
        if let (Ok(grace), Ok(timeout)) = (&max_connection_age_grace, &request_timeout)
            && grows_old
            && grace < timeout
        {
            // Otherwise a call would be cut because its connection has grown old.
            let timeout = value::format_duration(*timeout);
            problems.add(
                "grpc.max_connection_age_grace",
                format!("must be at least grpc.request_timeout, which is {timeout}"),
            );
        }
        let reflection = value::choice(problems, "grpc.reflection", &reflection, &[("true", true), ("false", false)]);
        let health = value::choice(problems, "grpc.health", &health, &[("true", true), ("false", false)]);
        let cors_origins = problems.check("grpc.cors_origins", CorsOrigins::parse(&cors_origins));
        let tls = tls.validate(problems);
        Ok(GrpcConfig {
            listen: listen?,
            request_timeout: request_timeout?,
            drain_delay: drain_delay?,
            drain_timeout: drain_timeout?,
            max_concurrent_streams: max_concurrent_streams?,
            max_connections: max_connections?,
            max_connection_age: max_connection_age?,
            max_connection_age_grace: max_connection_age_grace?,
            reflection: reflection?,
            health: health?,
            cors_origins: cors_origins?,
            tls: tls?,
        })
    }
}
