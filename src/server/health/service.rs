//! `grpc.health.v1`: the health of the process, which lives, and of each service, which is ready or not.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::pb::health::health_check_response::ServingStatus;
use crate::pb::health::health_server::Health;
use crate::pb::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};

type Answers = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

/// The name under which the process itself is asked for.
const PROCESS: &str = "";

/// Answers for services that are ready together.
#[derive(Clone, Debug)]
pub(crate) struct HealthService {
    services: BTreeSet<&'static str>,
    ready: Arc<watch::Sender<Readiness>>,
}

/// The readiness of the services, or the reason why they are not ready, which holds no secret.
pub(crate) type Readiness = Result<(), String>;

impl HealthService {
    /// Creates the service and the sender of its readiness. Nothing is ready yet.
    pub(crate) fn new(services: BTreeSet<&'static str>) -> (Arc<watch::Sender<Readiness>>, Self) {
        let ready = Arc::new(watch::Sender::new(Err("the service starts".to_owned())));
        (Arc::clone(&ready), Self { services, ready })
    }

    /// Returns whether the services are ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.borrow().is_ok()
    }

    /// Returns whether the services are ready, or the reason why not.
    pub(crate) fn readiness(&self) -> Readiness {
        self.ready.borrow().clone()
    }

    fn status_of(&self, service: &str) -> ServingStatus {
        match service {
            PROCESS => ServingStatus::Serving,
            known if self.services.contains(known) => status(self.is_ready()),
            _ => ServingStatus::ServiceUnknown,
        }
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match self.status_of(&request.into_inner().service) {
            ServingStatus::ServiceUnknown => {
                Err(Status::not_found("there is no such service: ask List for their names"))
            }
            status => Ok(Response::new(answer(status))),
        }
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let names = self.services.iter().copied().chain([PROCESS]);
        let statuses = names.map(|name| (name.to_owned(), answer(self.status_of(name)))).collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    type WatchStream = Answers;

    /// A client that was refused would ask again at once, so a service that there is not has an answer too. The services stay
    /// the same, and so does that answer, as does that for the process.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Answers>, Status> {
        let service = request.into_inner().service;
        if !self.services.contains(service.as_str()) {
            let only = Ok(answer(self.status_of(&service)));
            return Ok(Response::new(stream::iter([only]).chain(stream::pending()).boxed()));
        }
        let mut ready = self.ready.subscribe();
        ready.mark_changed();
        let changes = stream::unfold((ready, None), |(mut ready, told)| async move {
            loop {
                ready.changed().await.ok()?;
                let now = ready.borrow_and_update().is_ok();
                if told != Some(now) {
                    return Some((Ok(answer(status(now))), (ready, Some(now))));
                }
            }
        });
        Ok(Response::new(changes.boxed()))
    }
}

fn status(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use tonic::Code;

    use super::*;

    fn of(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.to_owned() })
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn watch_tells_the_present_health_and_each_change() {
        let (ready, health) = HealthService::new(["known"].into());
        for (service, first) in [
            ("known", ServingStatus::NotServing),
            ("unknown", ServingStatus::ServiceUnknown),
            ("", ServingStatus::Serving),
        ] {
            let mut answers = health.watch(of(service)).await.unwrap().into_inner();
            assert_eq!(answers.next().await.unwrap().unwrap().status(), first, "{service}");
            assert!(timeout(Duration::from_secs(60), answers.next()).await.is_err(), "{service}: it goes on");
            drop(ready.send_replace(Ok(())));
            let changed = timeout(Duration::from_secs(60), answers.next()).await;
            let changed = changed.ok().map(|answer| answer.unwrap().unwrap().status());
            assert_eq!(changed, (service == "known").then_some(ServingStatus::Serving), "{service}");
            drop(ready.send_replace(Ok(())));
            assert!(timeout(Duration::from_secs(60), answers.next()).await.is_err(), "{service}: nothing changed");
            drop(ready.send_replace(Err("away".to_owned())));
        }
    }

    #[tokio::test(crate = "crate::limit")]
    async fn list_has_the_health_of_every_service_and_the_process() {
        let (ready, health) = HealthService::new(["a", "b"].into());
        for (is_ready, status) in [(false, ServingStatus::NotServing), (true, ServingStatus::Serving)] {
            drop(ready.send_replace(if is_ready { Ok(()) } else { Err("away".to_owned()) }));
            let listed = health.list(Request::new(HealthListRequest {})).await.unwrap().into_inner().statuses;
            let wanted = [("", ServingStatus::Serving), ("a", status), ("b", status)];
            assert_eq!(listed, wanted.map(|(name, status)| (name.to_owned(), answer(status))).into());
            for (name, answered) in listed {
                assert_eq!(health.check(of(&name)).await.unwrap().into_inner(), answered);
            }
        }
        assert_eq!(health.check(of("unknown")).await.unwrap_err().code(), Code::NotFound);
    }
}
