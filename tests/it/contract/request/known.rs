//! The resources that the requests are about: one of each, created through the service itself.

use invitation_service::domain::secret::receipt::Answer;
use invitation_service::pb;
use sea_orm::{ConnectionTrait, Statement, Value};
use tonic::Status;
use uuid::Uuid;

use super::{
    CREATED, new_api_key, new_endpoint, new_general, new_organizations, new_suppression, new_user, occupy_seats,
    sync_autojoin,
};
use crate::contract::codes;
use crate::rpc::redemption::keys;
use crate::support::build::guests::HOST;
use crate::support::build::{guests, messages, receipts};
use crate::support::service::Service;

/// Invitations as requests name them. Addresses, scopes and organizations are made of the first one's id.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The UUID of a connection invitation that was accepted once.
    pub(crate) id: String,
    /// Its token.
    pub(crate) token: String,
    /// The name of its acceptance.
    pub(crate) acceptance: String,
    /// Its company.
    pub(crate) company_id: String,
    /// The name of a user invitation.
    pub(crate) user: String,
    /// The code that was sent to prove its address.
    pub(crate) code: String,
    /// The name of a guest invitation.
    pub(crate) guest: String,
    /// The name of a general invitation for one person, into a scope that has an auto-join too.
    pub(crate) general: String,
    /// Its token.
    pub(crate) general_token: String,
    /// The name of a grant between organizations.
    pub(crate) organizations: String,
    /// The name of an API key of an organization that only this one has.
    pub(crate) api_key: String,
    /// The name of the message that brings the user invitation.
    pub(crate) delivery: String,
    /// Its Message-ID.
    pub(crate) message_id: String,
    /// The name of a webhook endpoint. One account has one, however often it is asked for.
    pub(crate) endpoint: String,
    /// The name of an attempt at it.
    pub(crate) attempt: String,
    /// The name of the suppression of an address that nobody has invited.
    pub(crate) suppression: String,
    /// A receipt of a person who declined the invitation.
    pub(crate) receipt: String,
}

impl Known {
    /// The same, but for ids and a token that nobody has.
    pub(crate) fn missing(&self) -> Self {
        let id = "01920000-0000-7000-8000-000000000000";
        let name = |collection: &str| format!("{collection}/{id}");
        Self {
            id: id.to_owned(),
            token: messages::mailed_token(id, 0),
            acceptance: self.acceptance.replace(&self.id, id),
            company_id: "01920000-0000-7000-8000-00000000ffff".to_owned(),
            user: name("userInvitations"),
            code: self.code.clone(),
            guest: name("guestInvitations"),
            general: name("invitations"),
            general_token: messages::mailed_token(id, 0),
            organizations: name("organizationGrants"),
            api_key: self.api_key.replace(&self.id, id),
            delivery: format!("invitations/{id}/deliveries/{id}"),
            message_id: format!("<{id}@example.org>"),
            endpoint: name("webhookEndpoints"),
            attempt: format!("{}/attempts/{id}", name("webhookEndpoints")),
            suppression: name("suppressions"),
            receipt: self.receipt.clone(),
        }
    }

    pub(crate) fn email(&self, who: &str) -> String {
        format!("{who}-{}@example.org", self.id)
    }

    /// The token of the user invitation's plain link.
    pub(crate) fn user_token(&self) -> String {
        messages::mailed_token(self.user.trim_start_matches("userInvitations/"), 0)
    }

    pub(crate) fn scope(&self) -> pb::Scope {
        messages::scope("team", &self.id)
    }

    pub(crate) fn target(&self) -> pb::TargetRef {
        pb::TargetRef { r#type: pb::TargetType::Internal.into(), value: self.id.clone() }
    }
}

/// Makes an invitation of each kind and accepts the first, of a company, once.
pub(crate) async fn known(service: &Service, key: Option<&str>, company_id: &str) -> Known {
    let key = key.unwrap_or("none");
    let create = pb::ConnectionInvitation { company_id: company_id.to_owned(), ..Default::default() };
    let create = keys::with(key, messages::creation(create));
    let made = service.connections().create_connection_invitation(create).await.unwrap().into_inner();
    let accept = pb::AcceptInvitationRequest {
        kind_input: messages::created(CREATED),
        ..messages::accept(&made.invitation_token, "ann")
    };
    let accepted = service.redemptions().accept_invitation(keys::with(key, accept)).await.unwrap().into_inner();
    let mut known = Known {
        id: made.uid,
        token: made.invitation_token,
        acceptance: accepted.acceptance.unwrap().name,
        company_id: made.company_id,
        user: String::new(),
        code: String::new(),
        guest: String::new(),
        general: String::new(),
        general_token: String::new(),
        organizations: String::new(),
        api_key: String::new(),
        delivery: String::new(),
        message_id: String::new(),
        endpoint: String::new(),
        attempt: String::new(),
        suppression: String::new(),
        receipt: String::new(),
    };
    // Whatever does not rest on one another is made at the same time.
    let ((user, code, sent), guest, (general, general_token), organizations, api_key, endpoint, suppression) = tokio::join!(
        invited_user(service, key, &known),
        invited_guest(service, key, &known),
        invited_person(service, key, &known),
        async {
            let organizations = keys::with(key, new_organizations(&known.id, HOST));
            service.access().create_organization_grant(organizations).await.unwrap().into_inner().name
        },
        async {
            let create = keys::with(key, new_api_key(&known, "known"));
            service.access().create_api_key(create).await.unwrap().into_inner().name
        },
        endpoint(service, key, &known),
        async {
            let create = keys::with(key, new_suppression(known.email("suppressed")));
            service.suppressions().create_suppression(create).await.unwrap().into_inner().name
        },
    );
    (known.user, known.code, known.guest) = (user, code, guest);
    (known.delivery, known.message_id) = (sent.name, sent.message_id);
    (known.general, known.general_token, known.organizations) = (general, general_token, organizations);
    (known.api_key, known.suppression) = (api_key, suppression);
    let attempt = attempt(service, key, &endpoint).await;
    let caller = service.access().get_caller(keys::with(key, pb::GetCallerRequest {})).await.unwrap().into_inner();
    let receipt = receipts::of(&known.id, Answer::Declined, "").sealed_for(&caller.account);
    Known { endpoint, attempt, receipt, ..known }
}

/// Makes a user invitation and has a code sent to its address. Returns its name, the code, and its mail.
async fn invited_user(service: &Service, key: &str, known: &Known) -> (String, String, pb::Delivery) {
    let user = keys::with(key, new_user(known, "user"));
    let name = service.users().create_user_invitation(user).await.unwrap().into_inner().name;
    let list =
        pb::ListDeliveriesRequest { parent: name.clone(), order_by: "create_time".to_owned(), ..Default::default() };
    let listed = service.deliveries().list_deliveries(keys::with(key, list)).await.unwrap().into_inner();
    let token = Known { user: name.clone(), ..known.clone() }.user_token();
    let send = keys::with(key, codes::asking(&token, &known.email("user")));
    service.redemptions().send_verification_code(send).await.unwrap();
    let code = codes::sent(service, &known.email("user")).await.unwrap();
    (name, code, listed.deliveries[0].clone())
}

async fn invited_guest(service: &Service, key: &str, known: &Known) -> String {
    let mut guest = keys::with(key, guests::creation(guests::guest(&known.email("guest"))));
    guests::add(&mut guest, HOST, HOST);
    service.guests().create_guest_invitation(guest).await.unwrap().into_inner().name
}

/// Makes a general invitation and an auto-join, and seats a person in their scope. Returns the name and the token of the first.
async fn invited_person(service: &Service, key: &str, known: &Known) -> (String, String) {
    let general = keys::with(key, new_general(known, &known.id));
    let general = service.invitations().create_invitation(general).await.unwrap().into_inner();
    service.scopes().sync_autojoin(keys::with(key, sync_autojoin(known))).await.unwrap();
    service.scopes().occupy_seats(keys::with(key, occupy_seats(known, &known.id))).await.unwrap();
    (general.name, general.invitation_token)
}

/// An attempt at an endpoint, whose id is that of the endpoint. Nothing is posted here, so its row is written past the
/// service.
async fn attempt(service: &Service, key: &str, endpoint: &str) -> String {
    let uid = endpoint.trim_start_matches("webhookEndpoints/");
    let name = format!("{endpoint}/attempts/{uid}");
    let get = keys::with(key, pb::GetWebhookAttemptRequest { name: name.clone() });
    if service.webhooks().get_webhook_attempt(get).await.is_ok() {
        return name;
    }
    let caller = service.access().get_caller(keys::with(key, pb::GetCallerRequest {})).await.unwrap().into_inner();
    let (database, id) = (service.connected().await, uid.parse::<Uuid>().unwrap());
    let sql =
        "INSERT INTO webhook_attempt (account_id, endpoint_id, id, webhook_id, invitation_id, sequence, attempted_at,
        duration_millis) VALUES ($1, $2, $2, $2, $2, 1, 1, 1) ON CONFLICT DO NOTHING";
    let values: [Value; 2] = [caller.account.into(), id.into()];
    let insert = Statement::from_sql_and_values(database.get_database_backend(), sql, values);
    database.execute_raw(insert).await.unwrap();
    name
}

/// One for all of a test, since an account has few of them, or another one where that was deleted.
async fn endpoint(service: &Service, key: &str, known: &Known) -> String {
    let mut endpoint = Err(Status::not_found(""));
    for request_id in ["known", &known.id] {
        if endpoint.is_err() {
            let create = keys::with(key, new_endpoint(request_id));
            endpoint = service.webhooks().create_webhook_endpoint(create).await;
        }
    }
    endpoint.unwrap().into_inner().name
}
