//! Verification codes, as whoever reads the mail knows them.

use invitation_service::pb;
use sea_orm::{ConnectionTrait, QueryResult, Statement};
use tonic::Status;
use uuid::Uuid;

use crate::support::codes::code_of;
use crate::support::service::{KEYS, Service};

/// The request for a code.
pub(crate) fn asking(token: &str, email: &str) -> pb::SendVerificationCodeRequest {
    let access = Some(pb::send_verification_code_request::Access::Token(token.to_owned()));
    pb::SendVerificationCodeRequest { access, email: email.to_owned(), client_key: String::new() }
}

/// Asks for a code for one visitor.
pub(crate) async fn ask_as(service: &Service, token: &str, email: &str, client: &str) -> Result<(), Status> {
    let request = pb::SendVerificationCodeRequest { client_key: client.to_owned(), ..asking(token, email) };
    service.redemptions().send_verification_code(request).await.map(drop)
}

/// Asks for a code.
pub(crate) async fn ask(service: &Service, token: &str, email: &str) -> Result<(), Status> {
    let answer = service.redemptions().send_verification_code(asking(token, email)).await;
    answer.map(|answer| assert!(answer.into_inner().expire_time.is_some()))
}

/// A try of a code.
pub(crate) fn trying(token: &str, email: &str, code: &str) -> pb::VerifyEmailRequest {
    let access = Some(pb::verify_email_request::Access::Token(token.to_owned()));
    pb::VerifyEmailRequest { access, email: email.to_owned(), code: code.to_owned(), client_key: String::new() }
}

/// A try of a code by one visitor.
pub(crate) fn trying_as(token: &str, email: &str, code: &str, client: &str) -> pb::VerifyEmailRequest {
    pb::VerifyEmailRequest { client_key: client.to_owned(), ..trying(token, email, code) }
}

/// Tries a code for one visitor.
pub(crate) async fn verify_as(
    service: &Service,
    token: &str,
    email: &str,
    code: &str,
    client: &str,
) -> Result<(), Status> {
    service.redemptions().verify_email(trying_as(token, email, code, client)).await.map(drop)
}

/// Tries a code.
pub(crate) async fn verify(service: &Service, token: &str, email: &str, code: &str) -> Result<String, Status> {
    let answer = service.redemptions().verify_email(trying(token, email, code)).await?.into_inner();
    assert!(answer.expire_time.is_some());
    Ok(answer.email_proof)
}

/// Asks for a code and exchanges it for a proof.
pub(crate) async fn prove(service: &Service, token: &str, email: &str) -> String {
    ask(service, token, email).await.unwrap();
    let code = sent(service, email).await.unwrap();
    verify(service, token, email, &code).await.unwrap()
}

/// Asks for a code by the invitation's name and exchanges it for a proof.
pub(crate) async fn prove_by_name(service: &Service, name: &str, email: &str) -> String {
    let access = Some(pb::send_verification_code_request::Access::Name(name.to_owned()));
    let ask = pb::SendVerificationCodeRequest { access, ..asking("", email) };
    service.redemptions().send_verification_code(ask).await.unwrap();
    let access = Some(pb::verify_email_request::Access::Name(name.to_owned()));
    let code = sent(service, email).await.unwrap();
    let verify = pb::VerifyEmailRequest { access, ..trying("", email, &code) };
    service.redemptions().verify_email(verify).await.unwrap().into_inner().email_proof
}

/// The code that an address can prove itself with; none if none was asked for.
pub(crate) async fn sent(service: &Service, email: &str) -> Option<String> {
    code_of(service.connected().await, KEYS, email).await
}

/// A code that is not this one.
pub(crate) fn other(code: &str) -> String {
    let first = if code.starts_with('1') { '2' } else { '1' };
    format!("{first}{}", &code[1..])
}

/// The messages that bring codes: to which recipient, or else to which address.
pub(crate) async fn mailed(service: &Service) -> Vec<(i32, Option<String>)> {
    let sql = "SELECT recipient, address, about FROM outbox WHERE purpose = 'verification_code' AND state = 'queued'
        AND due_at IS NOT NULL AND planned_at IS NULL ORDER BY created_at, recipient, address";
    let message = |row: &QueryResult| {
        row.try_get::<Uuid>("", "about").expect("it is about a verification");
        (row.try_get("", "recipient").unwrap(), row.try_get("", "address").unwrap())
    };
    rows(service, sql).await.iter().map(message).collect()
}

/// Rows of the service's database.
pub(crate) async fn rows(service: &Service, sql: &str) -> Vec<QueryResult> {
    let database = service.connected().await;
    database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap()
}
