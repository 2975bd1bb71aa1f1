//! The fields of an invitation as flags, kind by kind. Their names are the columns of `import` too.

use clap::Args;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::object;
use crate::cli::client::flags::{ExpiryArgs, label, labels, put, scope, words};

type Json = Map<String, Value>;

/// The fields of one kind.
pub(in crate::cli::client) trait Fields: Args {
    /// The method that creates an invitation of the kind.
    const METHOD: &'static str;
    /// The field of the invitation in its request.
    const FIELD: &'static str;

    /// Writes the fields to the invitation and to its request.
    fn put(self, invitation: &mut Json, request: &mut Json);
}

/// An invitation to create.
#[derive(Clone, Debug, Args)]
pub(in crate::cli::client) struct NewInvitation<T: Fields> {
    #[command(flatten)]
    fields: T,
    #[command(flatten)]
    expiry: ExpiryArgs,
    #[command(flatten)]
    shared: SharedFields,
}

impl<T: Fields> NewInvitation<T> {
    /// Returns the request to create it, on top of the fields of a document.
    pub(in crate::cli::client) fn request(self, mut invitation: Json) -> Json {
        let Self { fields, expiry, shared } = self;
        let mut request = Map::new();
        fields.put(&mut invitation, &mut request);
        expiry.put(&mut invitation);
        shared.put(&mut invitation, &mut request);
        request.insert(T::FIELD.to_owned(), Value::Object(invitation));
        request
    }
}

/// The fields that every kind has.
#[derive(Clone, Debug, Args)]
struct SharedFields {
    /// Message to the invited person, in one line.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Language of the mail, such as de-AT.
    #[arg(long, value_name = "LOCALE")]
    locale: Option<String>,
    /// URL to which the person goes after the answer.
    #[arg(long, value_name = "URL")]
    redirect_uri: Option<String>,
    /// A label; can be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Id of the person in whose name the invitation is created.
    #[arg(long, value_name = "USER_ID")]
    inviter_id: Option<String>,
    /// Name of that person, which mail shows; an invitation of a user needs it.
    #[arg(long, value_name = "TEXT")]
    inviter_name: Option<String>,
    /// E-mail address of that person.
    #[arg(long, value_name = "ADDRESS")]
    inviter_email: Option<String>,
    /// Mail nobody.
    #[arg(long)]
    no_email: bool,
}

impl SharedFields {
    fn put(self, invitation: &mut Json, request: &mut Json) {
        let Self { message, locale, redirect_uri, labels: given, inviter_id, inviter_name, inviter_email, no_email } =
            self;
        put(invitation, "message", message);
        put(invitation, "locale", locale);
        put(invitation, "redirect_uri", redirect_uri);
        put(invitation, "labels", labels(given));
        let inviter = [("user_id", inviter_id), ("display_name", inviter_name), ("email", inviter_email)];
        put(invitation, "inviter", object(inviter));
        put(request, "send_email", no_email.then_some(false));
    }
}

/// The fields of an invitation to connect.
#[derive(Clone, Debug, Args)]
pub(in crate::cli::client) struct ConnectionFields {
    /// UUID of the company.
    #[arg(long, value_name = "UUID")]
    company: Option<Uuid>,
    /// Name of the company for people.
    #[arg(long, value_name = "TEXT")]
    company_name: Option<String>,
    /// E-mail address that may accept; can be given several times. Anyone with the link, if it is not given.
    #[arg(long = "email", value_name = "ADDRESS")]
    emails: Vec<String>,
    /// Number of people who may accept; without limit, if it is not given.
    #[arg(long, value_name = "NUMBER")]
    max_uses: Option<i32>,
}

impl Fields for ConnectionFields {
    const METHOD: &'static str = "ConnectionInvitationService.CreateConnectionInvitation";
    const FIELD: &'static str = "connection_invitation";

    fn put(self, invitation: &mut Json, _: &mut Json) {
        let Self { company, company_name, emails, max_uses } = self;
        put(invitation, "company_id", company.map(|id| id.to_string()));
        put(invitation, "scope_display_name", company_name);
        put(invitation, "allowed_emails", Some(emails));
        put(invitation, "max_uses", max_uses);
    }
}

/// The fields of an invitation to join the account.
#[derive(Clone, Debug, Args)]
pub(in crate::cli::client) struct UserFields {
    /// E-mail address of the person.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// A role that the person gets; can be given several times.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Name of the account for people.
    #[arg(long, value_name = "TEXT")]
    account_name: Option<String>,
    #[command(flatten)]
    conflict: ConflictArgs,
}

impl Fields for UserFields {
    const METHOD: &'static str = "UserInvitationService.CreateUserInvitation";
    const FIELD: &'static str = "user_invitation";

    fn put(self, invitation: &mut Json, request: &mut Json) {
        let Self { email, roles, account_name, conflict } = self;
        put(invitation, "invited_email", email);
        put(invitation, "roles", Some(roles));
        put(invitation, "scope_display_name", account_name);
        put(request, "on_conflict", conflict.on_conflict);
    }
}

/// The fields of an invitation of a guest organization.
#[derive(Clone, Debug, Args)]
pub(in crate::cli::client) struct GuestFields {
    /// E-mail address of the guest.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// UUID of the organization that invites.
    #[arg(long, value_name = "UUID")]
    organization: Option<Uuid>,
    /// Name of that organization for people.
    #[arg(long, value_name = "TEXT")]
    organization_name: Option<String>,
    /// UUID of the organization in whose name the call is made, if it is another one.
    #[arg(long, value_name = "UUID")]
    requester: Option<Uuid>,
    #[command(flatten)]
    conflict: ConflictArgs,
}

impl Fields for GuestFields {
    const METHOD: &'static str = "GuestInvitationService.CreateGuestInvitation";
    const FIELD: &'static str = "guest_invitation";

    fn put(self, invitation: &mut Json, request: &mut Json) {
        let Self { email, organization, organization_name, requester, conflict } = self;
        put(invitation, "email", email);
        put(invitation, "scope_display_name", organization_name);
        put(request, "target_organization_id", organization.map(|id| id.to_string()));
        put(request, "requester_organization_id", requester.or(organization).map(|id| id.to_string()));
        put(request, "on_conflict", conflict.on_conflict);
    }
}

/// The fields of a general invitation.
#[derive(Clone, Debug, Args)]
pub(in crate::cli::client) struct GeneralFields {
    /// E-mail address of the invited person; can be given several times.
    #[arg(long = "email", value_name = "ADDRESS")]
    emails: Vec<String>,
    /// Phone number of the invited person, such as +4930123456; can be given several times.
    #[arg(long = "phone", value_name = "NUMBER")]
    phones: Vec<String>,
    /// Your own id of the invited person; can be given several times.
    #[arg(long = "internal-id", value_name = "ID")]
    internal_ids: Vec<String>,
    /// Scope that the person gets into.
    #[arg(long, value_name = "TYPE:ID", value_parser = scope)]
    scope: Option<Value>,
    /// Name of the scope for people.
    #[arg(long, value_name = "TEXT", requires = "scope")]
    scope_name: Option<String>,
    /// A group that the person gets into beside the scope; can be given several times.
    #[arg(long = "group", value_name = "TYPE:ID", value_parser = scope)]
    groups: Vec<Value>,
    /// A role that the person gets; can be given several times.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Type of the invitation: for one use, or for many.
    #[arg(long = "type", value_name = "TYPE", value_parser = ["single_use", "multi_use"])]
    invitation_type: Option<String>,
    /// Number of people who may accept one for many.
    #[arg(long, value_name = "NUMBER")]
    max_uses: Option<i32>,
    /// Your own name for this type of invitation.
    #[arg(long, value_name = "TEXT")]
    subtype: Option<String>,
    #[command(flatten)]
    conflict: ConflictArgs,
}

impl Fields for GeneralFields {
    const METHOD: &'static str = "InvitationService.CreateInvitation";
    const FIELD: &'static str = "invitation";

    fn put(self, invitation: &mut Json, request: &mut Json) {
        let Self { emails, phones, internal_ids, scope, scope_name, groups, roles, invitation_type, .. } = self;
        let of_type = |word: &'static str, values: Vec<String>| {
            values.into_iter().map(move |value| json!({"type": word, "value": value}))
        };
        let targets = of_type("email", emails).chain(of_type("phone", phones)).chain(of_type("internal", internal_ids));
        put(invitation, "targets", Some(targets.collect::<Vec<_>>()));
        let scope = scope.map(|mut scope| {
            scope["display_name"] = json!(scope_name);
            scope
        });
        put(invitation, "scope", scope);
        put(invitation, "groups", Some(groups));
        put(invitation, "roles", Some(roles));
        put(invitation, "invitation_type", invitation_type);
        put(invitation, "max_uses", self.max_uses);
        put(invitation, "subtype", self.subtype);
        put(request, "on_conflict", self.conflict.on_conflict);
    }
}

#[derive(Clone, Debug, Args)]
struct ConflictArgs {
    /// Reaction if the person is invited like this already.
    #[arg(long, value_name = "REACTION", value_parser = words("OnConflict"))]
    on_conflict: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;
    use crate::cli::client::schema;

    /// Parses flags, and makes the message of them, which has to fit the schema.
    fn request<T: Fields>(flags: &[&str]) -> Value {
        let command = NewInvitation::<T>::augment_args(Command::new("create").no_binary_name(true));
        let matches = command.try_get_matches_from(flags).unwrap();
        let request = NewInvitation::<T>::from_arg_matches(&matches).unwrap().request(Map::new());
        let method = schema::method(T::METHOD).unwrap();
        schema::message(method.input(), Value::Object(request.clone())).unwrap();
        Value::Object(request)
    }

    #[test]
    fn flags_of_every_kind_fit_its_request() {
        let id = "01920000-0000-7000-8000-000000000001";
        let shared = ["--message=m", "--locale=de", "--redirect-uri=https://a", "--label=a=b=c", "--inviter-id=u-1"];
        let more = ["--inviter-name=Ann", "--inviter-email=a@b", "--no-email", "--ttl=7d"];
        let with = |own: &[&'static str]| [own, &shared, &more].concat();
        let company =
            ["--company=01920000-0000-7000-8000-000000000001", "--company-name=A", "--email=a@b", "--max-uses=2"];
        let connection = request::<ConnectionFields>(&with(&company));
        assert_eq!(connection["connection_invitation"]["company_id"], id);
        assert_eq!(connection["connection_invitation"]["labels"], json!({"a": "b=c"}));
        assert_eq!(connection["send_email"], false);

        let user = ["--email=a@b", "--role=x", "--role=y", "--account-name=A", "--on-conflict=replace"];
        let user = request::<UserFields>(&with(&user));
        assert_eq!(user["user_invitation"]["roles"], json!(["x", "y"]));

        let guest = ["--email=a@b", "--organization=01920000-0000-7000-8000-000000000001", "--organization-name=A"];
        let guest = request::<GuestFields>(&with(&guest));
        assert_eq!((&guest["target_organization_id"], &guest["requester_organization_id"]), (&json!(id), &json!(id)));

        let general = [
            "--email=a@b",
            "--phone=+49",
            "--internal-id=u",
            "--scope=team:7",
            "--scope-name=Seven",
            "--group=club:a:b",
            "--role=x",
            "--type=multi_use",
            "--max-uses=3",
            "--subtype=s",
            "--on-conflict=return_existing",
        ];
        let general = request::<GeneralFields>(&with(&general));
        let invitation = &general["invitation"];
        assert_eq!(invitation["targets"].as_array().unwrap().len(), 3);
        assert_eq!(invitation["scope"], json!({"type": "team", "id": "7", "display_name": "Seven"}));
        assert_eq!(invitation["groups"], json!([{"type": "club", "id": "a:b"}]));
        assert_eq!(request::<GeneralFields>(&[]), json!({"invitation": {}}));
    }
}
