//! One call, and the parts that the services share: the store, the keys, and the functions that run the commands and
//! the reads of a call.

#[doc(hidden)]
pub mod measured;
pub(crate) mod organization_access;
pub(crate) mod person;
pub mod rates;

use std::time::Duration;

use futures_util::FutureExt as _;
use tonic::Status;
use uuid::Uuid;

use super::parse::violations::Violations;
use super::requests::{Rpc, Write};
use crate::auth::accounts::Accounts;
use crate::auth::caller::Caller;
use crate::auth::permission::{Permission, Required};
use crate::clock::Clock;
use crate::config::LinksConfig;
use crate::domain::command::{Access, Action, Command, Request, Target};
use crate::domain::group::{BatchMode, Executed};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::Kind;
use crate::domain::policy::Policy;
use crate::domain::quota::Quotas;
use crate::domain::reach::Reach;
use crate::domain::seat::ScopeSeats;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::secret::token::Claims;
use crate::domain::value::grantable_roles::GrantableRoles;
use crate::domain::value::id::{IdSeed, InvitationId};
use crate::domain::value::text;
use crate::domain::value::time::Ttl;
use crate::domain::webhook::networks::Networks;
use crate::entropy::Entropy;
use crate::server::deadline::Deadline;
use crate::server::status;
use crate::store::{BatchError, ExecuteError, KnownCall, Read, Reads, Store, StoreError, WriteOnce};
use crate::webhook::tester::WebhookTester;
use organization_access::{OrganizationAccess, Organizations, check_new};
use rates::{Rates, invitees_of};

/// The parts that the services share.
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
    /// The time to live of a general invitation whose creator sets none.
    pub general_ttl: Ttl,
    /// The rates of this process.
    pub rates: Rates,
    /// The limits that hold over all replicas.
    pub quotas: Quotas,
    /// The most API keys of an account that are in force; `None` is no limit.
    pub max_api_keys: Option<u32>,
    /// The clock for ids.
    pub clock: Clock,
    /// The randomness for ids and page tokens.
    pub entropy: Entropy,
    /// The time limit of a read.
    pub read_timeout: Duration,
    /// The rules for webhook endpoints.
    pub webhooks: WebhookRules,
    /// The rules of accounts.
    pub accounts: Accounts,
    /// The domains whose addresses may be invited, or join.
    pub policy: Policy,
}

/// The configured rules for webhook endpoints.
#[derive(Clone, Debug)]
pub struct WebhookRules {
    /// The networks that may be posted to beside the open Internet.
    pub networks: Networks,
    /// The time for which the previous secret signs too after a rotation.
    pub rotation_overlap: Duration,
    /// Posts tests of endpoints.
    pub tester: WebhookTester,
}

/// The context of a call: everything beside its message.
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) deadline: Deadline,
    /// Decides which organizations' invitations the call may be about.
    pub(crate) access: OrganizationAccess,
    /// The requirement that admitted the call.
    pub(crate) required: Required,
    /// The organizations that the request names, if the call needs them and both are there.
    pub(crate) organizations: Option<Organizations>,
}

impl Call {
    /// Splits a request into its call and its message, and starts to collect violations. A request that did not pass
    /// the boundary has no caller, and is refused.
    pub(crate) fn of<T: Rpc>(request: tonic::Request<T>) -> Result<(Self, T, Violations), Status> {
        let (metadata, mut extensions, message) = request.into_parts();
        let known = extensions.remove::<Caller>().zip(extensions.remove::<Deadline>());
        let (caller, deadline) = known.ok_or_else(status::unauthenticated)?;
        let (access, required) = (T::ACCESS, T::REQUIRED);
        person::check(&caller, required, &metadata)?;
        if access == OrganizationAccess::Account && caller.organization_id.is_some() {
            return Err(status::organization_access_denied());
        }
        let mut violations = Violations::default();
        let between = access == OrganizationAccess::Request;
        let parse = |violations| Organizations::parse(violations, &metadata, message.organizations());
        let organizations = if between { parse(&mut violations) } else { None };
        check_request_id(&mut violations, message.request_id());
        Ok((Self { caller, deadline, access, required, organizations }, message, violations))
    }

    /// Returns the organizations that, beside the message, determine the permission of the call: the one that asks and
    /// the one it asks for. `None` if the caller acts for the whole account.
    pub(crate) fn requester_and_target(&self) -> Option<(Uuid, Uuid)> {
        let given = self.organizations.map(|organizations| (organizations.requester, organizations.target));
        given.or(self.caller.organization_id.map(|own| (own, own)))
    }

    /// Returns the access by a name of a caller who answers for a person.
    pub(crate) fn by_name(&self, target: Target) -> Access {
        let for_all = self.caller.may(Permission::InvitationsAccept);
        if for_all { Access::Name(target) } else { Access::NameOfInvited(target) }
    }

    /// Returns whether an answer to an invitation of a host may show all of it: the permission to redeem is none to read, and a
    /// credential that is bound to an organization may use any link.
    pub(crate) fn reads_all_of(&self, host: Option<Uuid>) -> bool {
        let is_own = self.caller.organization_id.is_none_or(|own| host == Some(own));
        is_own && self.caller.may(Permission::InvitationsRead)
    }

    /// Returns whether tokens and links of a host's invitations may be shown. A link lets whoever has it accept, so a
    /// credential that is bound to an organization sees those of its own alone, whatever others let it read.
    pub(crate) fn sees_tokens_of(&self, host: Option<Uuid>) -> bool {
        let is_own = self.caller.organization_id.is_none_or(|own| host == Some(own));
        is_own && self.caller.may(Permission::TokensRead)
    }
}

impl Api {
    /// Runs the command that was parsed of a message, once per request_id; with validate_only, it only decides it.
    pub(crate) async fn execute<T: Write>(
        &self,
        call: &Call,
        message: &T,
        mut violations: Violations,
        action: Option<Action>,
    ) -> Result<Executed, Status> {
        // Access precedes violations: a caller without access learns nothing about them.
        let reach = self.reach(call).await?;
        self.check_policy(call, &mut violations);
        let action = violations.finish(action)?;
        check_new(call, &action)?;
        let request = self.request(call, message, action.recipient());
        if let Some(request) = &request {
            tracing::Span::current().record("request_id", request.id.as_str());
        }
        let command = self.command(call, &reach, request, action);
        let named = command.invitation();
        named.into_iter().for_each(note_invitation);
        let (executor, deadline) = (self.store.executor(), Some(call.deadline.0));
        let invitees = if message.validate_only() { 0 } else { invitees_of(&command.action) };
        let invited = self.rates.invite(&call.caller, invitees)?;
        let executed = match message.validate_only() {
            true => executor.dry_run(command, deadline).await,
            false => executor.execute(command, deadline).await,
        };
        if invites_nobody(&executed) {
            invited.give_back(invitees);
        }
        let executed = executed?;
        if named.is_none() && !executed.dry_run {
            note_invitation(executed.invitation.id);
        }
        Ok(executed)
    }

    /// Returns the idempotency key of a message; `None` without a request_id. The `recipient` of a mailed link
    /// determines the result, so it counts although the token does not.
    pub(crate) fn request<T: Write>(&self, call: &Call, message: &T, recipient: u16) -> Option<Request> {
        Some(message.request_id()).filter(|id| !id.is_empty()).map(|id| {
            let body = [message.body().as_slice(), &recipient.to_be_bytes()].concat();
            let request = Request::new(T::METHOD, id, self.ring.body_digests(&body));
            let person = call.caller.person().map(|person| person.subject.clone());
            Request { organizations: call.requester_and_target(), person, ..request }
        })
    }

    /// Adds a violation for each address that a request would invite, or send people to, against the policy.
    pub(crate) fn check_policy(&self, call: &Call, violations: &mut Violations) {
        violations.check_policy((&self.policy, &self.links.redirects), &self.accounts.policy(&call.caller.account));
    }

    /// Returns the roles that a caller may give.
    pub(crate) fn grantable_roles(&self, caller: &Caller) -> GrantableRoles {
        let (of_credential, of_account) =
            (caller.grantable_roles.clone(), self.accounts.grantable_roles(&caller.account));
        GrantableRoles { of_credential, of_account }
    }

    /// Returns a command of a call.
    pub(crate) fn command(&self, call: &Call, reach: &Reach, request: Option<Request>, action: Action) -> Command {
        Command {
            reach: reach.clone(),
            actor: call.caller.name.clone(),
            grantable_roles: self.grantable_roles(&call.caller),
            request,
            seed: IdSeed::new(self.clock.now(), self.entropy.bytes()),
            action,
        }
    }

    /// Runs several commands of a call and returns a result for each. If the request_id of the call was used for
    /// another one, all commands are refused.
    pub(crate) async fn execute_all(
        &self,
        call: &Call,
        commands: Vec<Command>,
        mode: BatchMode,
    ) -> Result<Vec<Result<Executed, ExecuteError>>, BatchError> {
        let are_parts = commands.iter().any(|command| command.request.as_ref().is_some_and(Request::is_part));
        let results = self.store.executor().execute_all(commands, mode, Some(call.deadline.0)).await?;
        let reused = ExecuteError::Refused(Refusal::RequestIdReused);
        // The commands share one deadline. Those that were done are told, but an answer that tells only of the deadline is none.
        let is_late =
            |result: &Result<_, _>| result.as_ref().is_err_and(|error| *error == ExecuteError::DeadlineExceeded);
        if !results.is_empty() && results.iter().all(is_late) {
            return Err(BatchError::Failed(ExecuteError::DeadlineExceeded));
        }
        if are_parts && results.iter().any(|result| result.as_ref().is_err_and(|error| *error == reused)) {
            return Err(BatchError::Failed(reused));
        }
        Ok(results)
    }

    /// Remembers that a call over many invitations has begun; with `validate_only`, only looks it up.
    pub(crate) async fn begin_call(
        &self,
        call: &Call,
        request: &Request,
        validate_only: bool,
    ) -> Result<KnownCall, Status> {
        let account = &call.caller.account;
        if validate_only {
            return self.read(self.store.find_call(account, request)).await;
        }
        match self.read(self.store.begin_call(account, request)).await? {
            KnownCall::New => Err(self.defect(&"the row of a call that has begun is missing")),
            known => Ok(known),
        }
    }

    /// Returns how a message without a command is to be written.
    pub(crate) fn write_once<T: Write>(&self, call: &Call, message: &T) -> WriteOnce {
        WriteOnce { request: self.request(call, message, 0), validate_only: message.validate_only() }
    }

    /// Runs a read with a time limit. An async function would hold the read twice, and the read is the largest part of most calls.
    pub(crate) fn read<T>(
        &self,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, Status>> {
        tokio::time::timeout(self.read_timeout, read).map(|done| match done {
            Ok(done) => self.done(done),
            Err(_) => Err(status::unavailable()),
        })
    }

    /// Runs a read of what is only shown, which may lag. Its closure reads from a standby, or from the primary.
    pub(crate) async fn read_lagging<'r, T, R: Future<Output = Result<T, StoreError>>>(
        &'r self,
        read: impl Fn(&'r Reads) -> R,
    ) -> Result<T, Status> {
        self.read(self.store.read_lagging(read)).await
    }

    /// Runs such a read of something that has to be found once it was created.
    pub(crate) async fn find_lagging<'r, T, R: Future<Output = Result<T, StoreError>>>(
        &'r self,
        is_found: impl Fn(&T) -> bool,
        read: impl Fn(&'r Reads) -> R,
    ) -> Result<T, Status> {
        self.read(self.store.find_lagging(is_found, read)).await
    }

    /// Returns the result of the database, or the status of its error.
    pub(crate) fn done<T>(&self, done: Result<T, StoreError>) -> Result<T, Status> {
        done.map_err(|error| self.failed(error))
    }

    /// Returns the status of an error of the database.
    pub(crate) fn failed(&self, error: StoreError) -> Status {
        if error.is_transient() { status::unavailable() } else { self.defect(&error) }
    }

    /// Reads an invitation of one kind, or of any, within the reach of the call.
    pub(crate) async fn find(
        &self,
        reach: &Reach,
        id: InvitationId,
        kind: Option<Kind>,
        newest_acceptances: bool,
    ) -> Result<Read<Invitation>, Status> {
        of_kind(self.read(self.store.primary().get_invitation(reach, id, newest_acceptances)).await?, kind)
    }

    /// Finds the invitation of a link, with the settings of its scope if there are any.
    pub(crate) async fn find_by_link(
        &self,
        reach: &Reach,
        link: &Claims,
    ) -> Result<(Read<Invitation>, Option<ScopeSeats>), Status> {
        let found = self.read(self.store.primary().get_with_scope(reach, link.invitation)).await?;
        let (read, scope) = found.ok_or_else(status::not_found)?;
        note_invitation(read.found.id);
        read.found.check_link(link)?;
        Ok((read, scope))
    }

    /// Reads such an invitation to show it, as it was a moment ago.
    pub(crate) async fn find_to_show(
        &self,
        reach: &Reach,
        id: InvitationId,
        kind: Option<Kind>,
        newest_acceptances: bool,
    ) -> Result<Read<Invitation>, Status> {
        of_kind(
            self.find_lagging(Option::is_some, |reads| reads.get_invitation(reach, id, newest_acceptances)).await?,
            kind,
        )
    }

    /// Reads the invitation that a link or a name leads to; the reach comes from [`Api::reach_by`].
    pub(crate) async fn find_by(&self, reach: &Reach, access: &Access) -> Result<Read<Invitation>, Status> {
        match access {
            Access::Name(target) | Access::NameOfInvited(target) => {
                self.find(reach, target.id, target.kind, false).await
            }
            Access::Link(link) => Ok(self.find_by_link(reach, link).await?.0),
        }
    }

    /// Logs an internal error under an id that the caller gets.
    pub(crate) fn defect(&self, error: &dyn std::fmt::Display) -> Status {
        let error_id = Uuid::from_bytes(self.entropy.bytes()).simple().to_string();
        log_event!(error, CALL_FAILED, %error_id, %error, "a call failed with an internal error");
        status::internal(error_id)
    }
}

/// Returns the invitation that was found if it has the kind.
fn of_kind(found: Option<Read<Invitation>>, kind: Option<Kind>) -> Result<Read<Invitation>, Status> {
    let fits = |read: &Read<Invitation>| kind.is_none_or(|kind| kind == read.found.details.kind());
    let found = found.filter(fits).ok_or_else(status::not_found)?;
    note_invitation(found.found.id);
    Ok(found)
}

/// Returns whether it is known that a command has created no invitation.
pub(crate) fn invites_nobody(executed: &Result<Executed, ExecuteError>) -> bool {
    match executed {
        Ok(executed) => !executed.created && !executed.invited,
        Err(error) => matches!(error, ExecuteError::Refused(_)),
    }
}

/// Returns the claims of the field `token`. A forged token is refused without a query, as if its invitation did not exist.
pub(crate) fn verify(ring: &KeyRing, violations: &mut Violations, token: &str) -> Option<Claims> {
    violations.required("token", token, |_| Ok(()))?;
    let claims = Claims::verify(token, ring);
    if claims.is_none() {
        violations.refuse(status::not_found());
    }
    claims
}

/// Checks a request_id; empty means that there is none.
pub(crate) fn check_request_id(violations: &mut Violations, request_id: &str) {
    violations.optional("request_id", request_id, text::request_id);
}

/// Adds the invitation to the call's log line.
pub(crate) fn note_invitation(id: InvitationId) {
    tracing::Span::current().record("invitation", tracing::field::display(id.0));
}
