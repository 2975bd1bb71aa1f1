//! `AccessService`: the connections by which one organization may act for another.

use std::collections::BTreeSet;
use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::convert::timestamp;
use super::execute::{Api, Call};
use super::page;
use super::parse::violations::Violations;
use crate::auth::permission::Permission;
use crate::domain::organization_connection::OrganizationConnection;
use crate::domain::value::id::IdSeed;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::pb::access_service_server::AccessService;
use crate::server::status;
use crate::store::{ConnectionCreated, ConnectionDeleted, Cursor, OrganizationConnectionQuery};

const COLLECTION: &str = "organizationConnections";

/// The permissions that one organization may grant to another.
const GRANTABLE: [Permission; 2] = [Permission::GuestInvitationsRead, Permission::GuestInvitationsWrite];

/// Serves `AccessService`.
#[derive(Debug)]
pub(crate) struct Access(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl AccessService for Access {
    async fn create_organization_connection(
        &self,
        request: Request<pb::CreateOrganizationConnectionRequest>,
    ) -> Result<Response<pb::OrganizationConnection>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let given = parse(&mut violations, message.organization_connection.as_ref());
        let (requester, target, permissions) = violations.finish(given)?;
        let now = self.0.clock.now();
        let connection = OrganizationConnection {
            id: IdSeed::new(now, self.0.entropy.bytes()).nth(1),
            requester,
            target,
            permissions,
            creator: call.caller.name.clone(),
            created_at: now,
        };
        let once = self.0.write_once(&call, &message);
        let created = self.0.store.create_organization_connection(&call.caller.account, &connection, &once);
        match self.0.read(created).await? {
            ConnectionCreated::Created if message.validate_only => {
                let (name, uid) = (String::new(), String::new());
                Ok(Response::new(pb::OrganizationConnection { name, uid, ..convert(&connection) }))
            }
            ConnectionCreated::Created => Ok(Response::new(convert(&connection))),
            ConnectionCreated::Replayed(connection) => Ok(Response::new(convert(&connection))),
            ConnectionCreated::Deleted(id) => Err(status::organization_connection_not_found(&name(id))),
            ConnectionCreated::RequestIdReused => Err(status::request_id_reused()),
            ConnectionCreated::AlreadyExists(id) => Err(status::organization_connection_exists(&name(id))),
        }
    }

    async fn list_organization_connections(
        &self,
        request: Request<pb::ListOrganizationConnectionsRequest>,
    ) -> Result<Response<pb::ListOrganizationConnectionsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let mut id = |field: &str, value: &str| violations.optional(field, value, text::uuid);
        let requester = id("requester_organization_id", &message.requester_organization_id);
        let target = id("target_organization_id", &message.target_organization_id);
        let (size, limit) = (asked.size, asked.limit());
        let query =
            OrganizationConnectionQuery { requester, target, ascending: asked.ascending, limit, after: asked.after };
        let query = violations.finish(Some(query))?;
        let found = self.0.store.list_organization_connections(&call.caller.account, &query);
        let mut rows = self.0.read(found).await?;
        let next_page_token = page::next(&self.0, &call, &message, &mut rows, size, |last| Cursor::of_id(last.id))?;
        let organization_connections = rows.iter().map(convert).collect();
        Ok(Response::new(pb::ListOrganizationConnectionsResponse { organization_connections, next_page_token }))
    }

    async fn delete_organization_connection(
        &self,
        request: Request<pb::DeleteOrganizationConnectionRequest>,
    ) -> Result<Response<()>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let id = violations.required("name", &message.name, parse_name);
        let id = violations.finish(id)?;
        let once = self.0.write_once(&call, &message);
        let deleted = self.0.store.delete_organization_connection(&call.caller.account, id, &once);
        match self.0.read(deleted).await? {
            ConnectionDeleted::Deleted => Ok(Response::new(())),
            ConnectionDeleted::NotFound => Err(status::organization_connection_not_found(&name(id))),
            ConnectionDeleted::RequestIdReused => Err(status::request_id_reused()),
        }
    }
}

fn parse(violations: &mut Violations, given: Option<&pb::OrganizationConnection>) -> Option<(Uuid, Uuid, Vec<String>)> {
    let empty = pb::OrganizationConnection::default();
    let given = given.unwrap_or(&empty);
    let at = |field: &str| format!("organization_connection.{field}");
    let requester = violations.required(&at("requester_organization_id"), &given.requester_organization_id, text::uuid);
    let target = violations.required(&at("target_organization_id"), &given.target_organization_id, text::uuid);
    if requester.is_some() && requester == target {
        violations.add(
            at("target_organization_id"),
            FieldRule::Conflicts,
            "must be another organization than the requester",
        );
    }
    if given.permissions.is_empty() {
        violations.add(at("permissions"), FieldRule::Required, "is required");
    }
    let permissions = violations.each(&at("permissions"), &given.permissions, GRANTABLE.len(), |value| {
        let known = GRANTABLE.iter().find(|permission| permission.name() == value);
        known
            .map(|known| known.name())
            .ok_or(Invalid::new(FieldRule::UnknownValue, "must be guest_invitations.read or guest_invitations.write"))
    });
    let permissions: BTreeSet<_> = permissions.into_iter().map(str::to_owned).collect();
    Some((requester?, target?, permissions.into_iter().collect()))
}

fn parse_name(name: &str) -> Result<Uuid, Invalid> {
    const INVALID: Invalid = Invalid::format("must be organizationConnections/{uuid}");
    let id = name.strip_prefix(COLLECTION).and_then(|rest| rest.strip_prefix('/')).ok_or(INVALID)?;
    text::uuid(id).map_err(|_| INVALID)
}

fn name(id: Uuid) -> String {
    format!("{COLLECTION}/{id}")
}

fn convert(connection: &OrganizationConnection) -> pb::OrganizationConnection {
    pb::OrganizationConnection {
        name: name(connection.id),
        uid: connection.id.to_string(),
        requester_organization_id: connection.requester.to_string(),
        target_organization_id: connection.target.to_string(),
        permissions: connection.permissions.clone(),
        creator: connection.creator.clone(),
        create_time: Some(timestamp(connection.created_at)),
    }
}
