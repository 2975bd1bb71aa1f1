//! `health`: asks a running server for its health.

use std::error::Error;

use tonic::Request;

use super::HealthArgs;
use crate::pb::health::HealthCheckRequest;
use crate::pb::health::health_check_response::ServingStatus;
use crate::pb::health::health_client::HealthClient;

/// The reason why a server that was asked does not serve.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// The arguments do not fit together, or name a file that cannot be used.
    #[error("{0}")]
    Arguments(String),
    /// There is no answer.
    #[error("{0}")]
    Unreachable(String),
    /// It answers that it does not serve, or refuses the question.
    #[error("{0}")]
    NotServing(String),
}

/// Asks a server for its health.
///
/// # Errors
/// The reason why it does not serve.
pub async fn ask(args: HealthArgs) -> Result<(), AskError> {
    let HealthArgs { connection, service, timeout } = args;
    let endpoint = connection.endpoint().map_err(AskError::Arguments)?;
    let url = connection.endpoint;
    let of_service = if service.is_empty() { String::new() } else { format!(" for service {service}") };
    let asked = async {
        let unreachable =
            |error: &dyn Error| AskError::Unreachable(format!("{url} cannot be reached: {}", root(error)));
        let channel = endpoint.connect().await.map_err(|error| unreachable(&error))?;
        let request = Request::new(HealthCheckRequest { service });
        HealthClient::new(channel).check(request).await.map_err(|status| match status.source() {
            // The connection broke, or no gRPC is spoken over it.
            Some(_) => unreachable(&status),
            None => {
                let reason = format!("{:?}, {}", status.code(), status.code().description());
                AskError::NotServing(format!("{url} refuses the question{of_service}: {reason}"))
            }
        })
    };
    let late = |_| AskError::Unreachable(format!("{url} gives no answer in time, which is {timeout:?}"));
    let answer = tokio::time::timeout(timeout, asked).await.map_err(late)??;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(AskError::NotServing(format!("{url} answers {}{of_service}", other.as_str_name()))),
    }
}

/// Returns the text of the first cause of an error, which the texts of the others only repeat.
fn root(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}
