//! `grpc.health.v1` as its protocol describes a watch of a service that there is not: the library refuses it.

use std::pin::Pin;

use futures_util::stream::{self, StreamExt};
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService};

type Answers = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

/// The health of the services that a reporter knows.
#[derive(Debug)]
pub(crate) struct WatchedHealth(HealthService);

impl WatchedHealth {
    /// Returns the health that a reporter reports.
    pub(crate) fn new(reporter: HealthReporter) -> Self {
        Self(HealthService::from_health_reporter(reporter))
    }
}

#[tonic::async_trait]
impl Health for WatchedHealth {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.check(request).await
    }

    type WatchStream = Answers;

    /// A client that was refused would ask again at once. The services are known before the first call, so the one answer
    /// stays true.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        match self.0.watch(request).await {
            Ok(answer) => Ok(answer.map(StreamExt::boxed)),
            Err(refused) if refused.code() == Code::NotFound => {
                let unknown = HealthCheckResponse { status: ServingStatus::ServiceUnknown.into() };
                Ok(Response::new(stream::iter([Ok(unknown)]).chain(stream::pending()).boxed()))
            }
            Err(refused) => Err(refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use tonic_health::ServingStatus as Reported;

    use super::*;

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn watch_of_an_unknown_service_is_answered_and_goes_on() {
        let reporter = HealthReporter::new();
        reporter.set_service_status("known", Reported::NotServing).await;
        let health = WatchedHealth::new(reporter.clone());
        let known = ServingStatus::NotServing;
        for (service, first) in [("known", known), ("unknown", ServingStatus::ServiceUnknown)] {
            let request = HealthCheckRequest { service: service.to_owned() };
            let mut answers = health.watch(Request::new(request)).await.unwrap().into_inner();
            assert_eq!(answers.next().await.unwrap().unwrap().status(), first, "{service}");
            assert!(timeout(Duration::from_secs(60), answers.next()).await.is_err(), "{service}");
        }
        let unknown = HealthCheckRequest { service: "unknown".to_owned() };
        assert_eq!(health.check(Request::new(unknown)).await.unwrap_err().code(), Code::NotFound);
    }
}
