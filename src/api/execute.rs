//! What the services share: the store, the keys, and how a command is run and a read is done for a call.

use std::time::Duration;

use tonic::Status;
use uuid::Uuid;

use super::call::{Call, note_invitation};
use super::organization_access::check_new;
use super::requests::{Named, Retryable};
use super::violations::Violations;
use crate::clock::Clock;
use crate::config::LinksConfig;
use crate::domain::command::{Action, Command, Expiry, Request, Target};
use crate::domain::group::{BatchMode, Executed};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::Kind;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::secret::token::{Claims, Token};
use crate::domain::value::id::{IdSeed, InvitationId};
use crate::domain::value::text;
use crate::domain::value::time::Ttl;
use crate::domain::webhook::networks::Networks;
use crate::entropy::Entropy;
use crate::server::status;
use crate::store::{BundleError, ExecuteError, Read, Store, StoreError};

/// What the services share.
#[derive(Debug)]
pub struct Api {
    /// Reads and writes invitations.
    pub store: Store,
    /// Signs and verifies tokens.
    pub ring: KeyRing,
    /// The templates of links.
    pub links: LinksConfig,
    /// The domain in the Message-IDs of mail.
    pub mail_domain: String,
    /// How long a general invitation can be accepted unless its maker says otherwise.
    pub general_ttl: Ttl,
    /// Tells the time that ids are made from.
    pub clock: Clock,
    /// Gives what ids and page tokens need.
    pub entropy: Entropy,
    /// How long a read may take.
    pub read_timeout: Duration,
    /// What endpoints of webhooks may be like.
    pub webhooks: WebhookRules,
}

/// What the configuration says of the endpoints of webhooks.
#[derive(Clone, Debug)]
pub struct WebhookRules {
    /// Which networks may be posted to beside the open Internet.
    pub networks: Networks,
    /// How long the secret before a rotation signs too.
    pub rotation_overlap: Duration,
}

impl Api {
    /// Runs a command for a call, once per request_id.
    pub(crate) async fn execute<T: Retryable>(
        &self,
        call: &Call,
        message: &T,
        link: Option<&Claims>,
        action: Action,
    ) -> Result<Executed, Status> {
        // Which mailed link it was decides for whom, so it counts although the token does not.
        let recipient = link.map_or(0, |link| link.recipient);
        let request = self.request(call, message, recipient);
        self.run(call, request, action).await
    }

    /// Returns what a message is remembered by; `None` without a request_id.
    pub(crate) fn request<T: Retryable>(&self, call: &Call, message: &T, recipient: u16) -> Option<Request> {
        Some(message.request_id()).filter(|id| !id.is_empty()).map(|id| {
            let body = [message.body().as_slice(), &recipient.to_be_bytes()].concat();
            let request = Request::new(T::METHOD, id, self.ring.body_digests(&body));
            Request { organizations: call.organizations::<T>(), ..request }
        })
    }

    /// Returns a command of a call.
    pub(crate) fn command(&self, call: &Call, request: Option<Request>, action: Action) -> Command {
        Command {
            account: call.caller.account.clone(),
            actor: call.caller.name.clone(),
            request,
            seed: IdSeed::new(self.clock.now(), self.entropy.bytes()),
            action,
        }
    }

    /// Runs several commands of a call and returns a result for each. If the request_id of the call was used for another one,
    /// all of it is refused.
    pub(crate) async fn execute_all(
        &self,
        call: &Call,
        commands: Vec<Command>,
        mode: BatchMode,
    ) -> Result<Vec<Result<Executed, ExecuteError>>, BundleError> {
        let are_parts = commands.iter().any(|command| command.request.as_ref().is_some_and(Request::is_part));
        let results = self.store.execute_all(commands, mode, Some(call.deadline.0)).await?;
        let reused = ExecuteError::Refused(Refusal::RequestIdReused);
        if are_parts && results.iter().any(|result| result.as_ref().is_err_and(|error| *error == reused)) {
            return Err(BundleError::Failed(reused));
        }
        Ok(results)
    }

    /// Runs a command on an existing invitation that the message names.
    pub(crate) async fn change<T: Named>(
        &self,
        call: &Call,
        message: &T,
        kind: Option<Kind>,
        mut violations: Violations,
        action: impl FnOnce(Target) -> Action,
    ) -> Result<Executed, Status> {
        let name = message.parse_name(&mut violations);
        let target = violations.finish(name)?.target(kind, message.etag())?;
        let target = Target { hosts: self.hosts(call, true).await?, ..target };
        self.execute(call, message, None, action(target)).await
    }

    /// Runs a command for a call.
    pub(crate) async fn run(&self, call: &Call, request: Option<Request>, action: Action) -> Result<Executed, Status> {
        if let Some(request) = &request {
            tracing::Span::current().record("request_id", request.id.as_str());
        }
        check_new(call, &action)?;
        let command = self.command(call, request, action);
        let named = command.invitation();
        named.into_iter().for_each(note_invitation);
        let executed = self.store.execute(command, Some(call.deadline.0)).await?;
        if named.is_none() {
            note_invitation(executed.invitation.id);
        }
        Ok(executed)
    }

    /// Does a read, which may take no longer than the database may.
    pub(crate) async fn read<T>(&self, read: impl Future<Output = Result<T, StoreError>>) -> Result<T, Status> {
        match tokio::time::timeout(self.read_timeout, read).await {
            Ok(done) => self.done(done),
            Err(_) => Err(status::unavailable()),
        }
    }

    /// Returns what the database did, or the status for why it did not.
    pub(crate) fn done<T>(&self, done: Result<T, StoreError>) -> Result<T, Status> {
        done.map_err(|error| match error {
            error if error.is_transient() => status::unavailable(),
            error => self.defect(&error),
        })
    }

    /// Reads an invitation that the caller may see, of one kind or of any.
    pub(crate) async fn get(
        &self,
        call: &Call,
        id: InvitationId,
        kind: Option<Kind>,
        newest: bool,
    ) -> Result<Read<Invitation>, Status> {
        let hosts = self.hosts(call, false).await?;
        self.find(call, id, kind, newest, hosts).await
    }

    /// Reads an invitation of the caller's account, of one kind or of any, that one of some organizations hosts.
    pub(crate) async fn find(
        &self,
        call: &Call,
        id: InvitationId,
        kind: Option<Kind>,
        newest: bool,
        hosts: Option<Vec<Uuid>>,
    ) -> Result<Read<Invitation>, Status> {
        let found = self.read(self.store.get_invitation(&call.caller.account, id, newest)).await?;
        let fits = |read: &Read<Invitation>| kind.is_none_or(|kind| kind == read.found.details.kind());
        let found = found.filter(fits).filter(|read| read.found.details.is_hosted_by(hosts.as_deref()));
        let found = found.ok_or_else(status::not_found)?;
        note_invitation(id);
        Ok(found)
    }

    /// Reads what a token says. One that was not made here is refused without touching the database.
    pub(crate) fn verify(&self, token: &str) -> Result<Claims, Status> {
        Claims::verify(token, &self.ring).ok_or_else(status::not_found)
    }

    /// Returns the token and the link of an invitation for a caller who may see them, else empty texts.
    pub(crate) fn link(&self, call: &Call, invitation: &Invitation) -> (String, String) {
        let token = Some(invitation.claims(0)).filter(|_| call.sees_tokens());
        let Some(token) = token.and_then(|claims| Token::sign(&claims, &self.ring)) else { return Default::default() };
        (token.reveal().to_owned(), self.links.link(invitation.details.kind(), &token))
    }

    /// Logs a defect under an id that the caller is told.
    pub(crate) fn defect(&self, error: &dyn std::fmt::Display) -> Status {
        let error_id = Uuid::from_bytes(self.entropy.bytes()).simple().to_string();
        tracing::error!(%error_id, %error, "a call failed");
        status::internal(error_id)
    }
}

/// How an invitation is sent again.
pub(crate) struct Resend {
    /// Whether a new link takes the place of all that were.
    pub(crate) rotate: bool,
    /// The new expiry; `None` leaves it as it is.
    pub(crate) expiry: Option<Expiry>,
}

/// Checks a request_id; empty is none.
pub(crate) fn check_request_id(violations: &mut Violations, request_id: &str) {
    violations.optional("request_id", request_id, text::request_id);
}
