//! The services that everybody may call: health, and reflection where it is on and no credentials are asked for. Their streams are
//! few, so that callers without a credential hold little memory.

pub(crate) mod reflection;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::Status;

use super::status;

const HEALTH: &str = "/grpc.health.v1.Health/";
const REFLECTION: &str = "/grpc.reflection.";

/// The streams that watch the health, which last as long as their clients want, and the lists of it that are not taken yet.
const HEALTH_STREAMS: usize = 256;
/// The streams of reflection. Each may hold an answer of several hundred kilobytes.
const REFLECTION_STREAMS: usize = 16;
/// The time that a client has for taking a list of the health, and for all its questions on one stream of reflection.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// The services that are on.
#[derive(Clone, Copy, Debug)]
pub struct Switches {
    /// Whether health is on.
    pub health: bool,
    /// Whether reflection is on.
    pub reflection: bool,
    /// Whether reflection asks for a credential.
    pub needs_credential: bool,
}

/// The rules for these services.
#[derive(Clone, Debug)]
pub struct OpenServices {
    switches: Switches,
    health_streams: Arc<Semaphore>,
    reflection_streams: Arc<Semaphore>,
}

/// A stream that is admitted, as long as it lasts.
#[derive(Debug)]
pub(crate) struct OpenStream {
    _permit: OwnedSemaphorePermit,
    /// The moment at which it ends; `None` if it may last for ever.
    pub(crate) until: Option<Instant>,
}

impl OpenServices {
    /// Returns the rules for the services that are on.
    pub fn new(switches: Switches) -> Self {
        let streams = |most| Arc::new(Semaphore::new(most));
        let (health_streams, reflection_streams) = (streams(HEALTH_STREAMS), streams(REFLECTION_STREAMS));
        Self { switches, health_streams, reflection_streams }
    }

    /// Returns whether a path is one of these services, whether they are on or off.
    pub(crate) fn has(path: &str) -> bool {
        path.starts_with(HEALTH) || path.starts_with(REFLECTION)
    }

    /// Returns whether a call of a path needs a credential to be admitted.
    pub(crate) fn looks_at_credential(&self, path: &str) -> bool {
        self.switches.reflection && self.switches.needs_credential && path.starts_with(REFLECTION)
    }

    /// Admits a call, as a stream if it is one. Any other path is left to the router, which refuses it.
    pub(crate) fn admit(&self, path: &str, has_credential: bool) -> Result<Option<OpenStream>, Status> {
        if let Some(method) = path.strip_prefix(HEALTH) {
            return match method {
                _ if !self.switches.health => Err(status::unimplemented()),
                "Watch" => take(&self.health_streams, None).map(Some),
                "List" => take(&self.health_streams, Some(Instant::now() + ANSWER_TIME)).map(Some),
                // Probes are always answered.
                _ => Ok(None),
            };
        }
        if !path.starts_with(REFLECTION) {
            return Ok(None);
        }
        if !self.switches.reflection {
            return Err(status::unimplemented());
        }
        if self.switches.needs_credential && !has_credential {
            return Err(status::unauthenticated());
        }
        take(&self.reflection_streams, Some(Instant::now() + ANSWER_TIME)).map(Some)
    }
}

fn take(streams: &Arc<Semaphore>, until: Option<Instant>) -> Result<OpenStream, Status> {
    let permit = Arc::clone(streams).try_acquire_owned();
    let permit = permit.map_err(|_| status::rate_limited("streams", Duration::from_secs(1)))?;
    Ok(OpenStream { _permit: permit, until })
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    const ASK: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const ALL: Switches = Switches { health: true, reflection: true, needs_credential: false };

    #[tokio::test(crate = "crate::limit")]
    async fn reflection_needs_its_switch_and_a_credential_where_calls_do() {
        for (reflection, needs, has, code) in [
            (true, false, false, Code::Ok),
            (true, true, true, Code::Ok),
            (true, true, false, Code::Unauthenticated),
            (false, false, false, Code::Unimplemented),
            (false, true, true, Code::Unimplemented),
        ] {
            let admitted = OpenServices::new(Switches { reflection, needs_credential: needs, ..ALL }).admit(ASK, has);
            assert_eq!(admitted.map_or_else(|refused| refused.code(), |_| Code::Ok), code);
        }
    }

    #[tokio::test(crate = "crate::limit")]
    async fn health_that_is_off_is_no_service() {
        for method in ["Check", "Watch", "List", "Else"] {
            let path = format!("{HEALTH}{method}");
            let services = OpenServices::new(Switches { health: false, ..ALL });
            assert_eq!(services.admit(&path, true).unwrap_err().code(), Code::Unimplemented);
            assert!(OpenServices::new(ALL).admit(&path, false).is_ok());
        }
    }

    #[tokio::test(crate = "crate::limit")]
    async fn streams_of_strangers_are_few_and_probes_are_always_answered() {
        let services = OpenServices::new(ALL);
        let health =
            [("/grpc.health.v1.Health/Watch", HEALTH_STREAMS), ("/grpc.health.v1.Health/List", HEALTH_STREAMS)];
        for (path, most) in health.into_iter().chain([(ASK, REFLECTION_STREAMS)]) {
            let mut streams: Vec<_> = (0..most).map(|_| services.admit(path, false).unwrap().unwrap()).collect();
            assert_eq!(services.admit(path, false).unwrap_err().code(), Code::ResourceExhausted);
            streams.pop();
            assert!(services.admit(path, false).unwrap().is_some());
        }
        assert!(services.admit("/grpc.health.v1.Health/Check", false).unwrap().is_none());
        assert!(services.admit("/anything", false).unwrap().is_none());
    }
}
