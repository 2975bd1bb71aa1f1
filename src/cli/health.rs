//! `health`: asks a running server for its health.

use tonic::Request;

use super::HealthArgs;
use super::client::connection::with_causes;
use crate::pb::health::HealthCheckRequest;
use crate::pb::health::health_check_response::ServingStatus;
use crate::pb::health::health_client::HealthClient;

/// Asks a server for its health. The error is the reason why it does not serve.
pub async fn run(args: HealthArgs) -> Result<(), String> {
    let HealthArgs { connection, service, timeout } = args;
    let endpoint = connection.endpoint()?;
    let asked = async {
        let channel = endpoint.connect().await.map_err(|error| format!("no connection: {}", with_causes(&error)))?;
        let request = Request::new(HealthCheckRequest { service });
        HealthClient::new(channel).check(request).await.map_err(|status| status.code().description().to_owned())
    };
    let answer = tokio::time::timeout(timeout, asked).await.map_err(|_| "no answer in time".to_owned())??;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(other.as_str_name().to_owned()),
    }
}
