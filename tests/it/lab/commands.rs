//! Random commands on a universe so small that they meet: few accounts, people, addresses, scopes and request_ids.

use std::sync::Arc;
use std::time::Duration;

use invitation_service::domain::command::{
    AcceptInvitation, AcceptanceTarget, Access, Action, Command, CreateInvitation, DeclineInvitation, DeleteInvitation,
    Expiry, ExpiryTime, MapUpdate, OnConflict, ReassignInvitation, RecordCreatedConnection, ReleaseAcceptance,
    ReportDelivery, Request, SettleDelivery, Target, UpdateAcceptance, UpdateInvitation, UpdatedFields, VerifyEmail,
};
use invitation_service::domain::delivery::{DeliveryEnd, DeliveryReport};
use invitation_service::domain::invitation::acceptance::{Acceptor, ReleaseMode};
use invitation_service::domain::invitation::{EngagementType, Invitation};
use invitation_service::domain::kind::Kind;
use invitation_service::domain::kind::connection::NewConnection;
use invitation_service::domain::kind::guest::system_subject;
use invitation_service::domain::kind::shared::Inviter;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::secret::key_ring::BodyDigest;
use invitation_service::domain::secret::verification::EmailProof;
use invitation_service::domain::value::grantable_roles::GrantableRoles;
use invitation_service::domain::value::id::{IdSeed, InvitationId};
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::value::time::Timestamp;
use uuid::Uuid;

use super::model::Model;
use super::random::Random;
use crate::support::build::commands::{
    accept_by, acceptor, after, email, link, record, resend, revoke, seconds, target,
};
use crate::support::build::kinds::{general, guest, internal, mail, recipient, sync, team, updating, user};

const ACCOUNTS: [&str; 2] = ["acme", "bert"];
const PEOPLE: [&str; 4] = ["ann", "bob", "cid", "dan"];
const REQUESTS: [&str; 6] = ["r1", "r2", "r3", "r4", "r5", "r6"];
const SPANS: [u64; 3] = [60, 300, 3_600];

/// A lease that was had of a message, and may be lost by now.
pub(super) type Lease = (AccountId, Uuid, Uuid);

/// Chooses what is done next.
pub(super) struct Chooser<'a> {
    pub(super) random: &'a mut Random,
    pub(super) model: &'a Model,
    pub(super) leases: &'a [Lease],
    pub(super) now: Timestamp,
}

pub(super) fn accounts() -> [AccountId; 2] {
    ACCOUNTS.map(|account| AccountId::parse(account).unwrap())
}

impl Chooser<'_> {
    /// A command, now and then one that was sent before.
    pub(super) fn command(&mut self, sent: &[Command]) -> Command {
        let seed = IdSeed::new(self.now, self.random.bytes());
        if self.random.chance(12)
            && let Some(again) = self.random.pick_late(sent)
        {
            return Command { seed, ..again };
        }
        let account = self.random.pick(&accounts());
        let existing = self.model.invitations.values();
        let existing: Vec<_> =
            existing.filter(|invitation| invitation.account == account || self.random.chance(3)).cloned().collect();
        let about = self.random.pick_late(&existing);
        let (method, action) = match about {
            Some(about) if self.random.chance(72) => self.change(&about),
            _ => ("Create", Action::Create(Box::new(self.create()))),
        };
        let account = match &action {
            Action::SettleDelivery(settle) => self.owner(settle.delivery).unwrap_or(account),
            _ => account,
        };
        let request = self.random.chance(35).then(|| self.request(method));
        Command {
            reach: Reach::of_account(account),
            actor: "caller".to_owned(),
            grantable_roles: GrantableRoles::default(),
            request,
            seed,
            action,
        }
    }

    /// A command about an invitation.
    pub(super) fn command_about(&mut self, about: &Arc<Invitation>) -> Command {
        let seed = IdSeed::new(self.now, self.random.bytes());
        let (_, action) = self.change(about);
        Command {
            reach: Reach::of_account(about.account.clone()),
            actor: "rival".to_owned(),
            grantable_roles: GrantableRoles::default(),
            request: None,
            seed,
            action,
        }
    }

    fn owner(&self, delivery: Uuid) -> Option<AccountId> {
        self.leases.iter().find(|lease| lease.1 == delivery).map(|lease| lease.0.clone())
    }

    fn request(&mut self, method: &'static str) -> Request {
        let body = u8::from(self.random.chance(30));
        let digests = vec![BodyDigest { key_id: 7, mac: [body; 32] }];
        Request::new(method, self.random.pick(&REQUESTS), digests)
    }

    fn address(&mut self) -> String {
        format!("{}@example.org", self.random.pick(&PEOPLE))
    }

    fn create(&mut self) -> CreateInvitation {
        let address = self.address();
        let mut create = match self.random.below(10) {
            0..4 => {
                let max_uses = self.random.pick(&[None, Some(1), Some(2), Some(3)]);
                let recipients = if self.random.chance(40) { vec![email(&address).into()] } else { Vec::new() };
                CreateInvitation { max_uses, mails: !recipients.is_empty(), recipients, ..link() }
            }
            4..6 => user(&address),
            6..8 => guest(&address),
            _ => {
                let conflict = [OnConflict::Allow, OnConflict::Reject, OnConflict::ReturnExisting, OnConflict::Replace];
                let scope = self.random.pick(&[None, team("t1"), team("t2")]);
                let person = internal(self.random.pick(&PEOPLE));
                general(scope, self.random.pick(&conflict), &[mail(&address), person])
            }
        };
        if create.expiry.is_some() || self.random.chance(30) {
            create.expiry = after(self.random.pick(&SPANS));
        }
        if self.random.chance(30) {
            let user_id = self.random.pick(&PEOPLE).to_owned();
            let email = self.random.chance(70).then(|| email(&format!("{user_id}@example.org")));
            create.details.shared_mut().inviter = Some(Inviter { user_id, email, ..Inviter::default() });
        }
        if self.random.chance(30) {
            create.details.shared_mut().grant_ttl = Some(seconds(self.random.pick(&SPANS)));
        }
        if self.random.chance(20) {
            create.labels.insert("team".to_owned(), self.random.pick(&PEOPLE).to_owned());
        }
        create
    }

    fn acceptor(&mut self) -> Acceptor {
        let person = self.random.pick(&PEOPLE);
        let mut acceptor = acceptor(person);
        if self.random.chance(70) {
            acceptor.email = Some(email(&format!("{person}@example.org")).into());
            acceptor.email_verified = self.random.chance(80);
        }
        acceptor
    }

    fn connection(&mut self) -> NewConnection {
        let id = Uuid::from_u128(self.random.below(5) as u128 + 1);
        let status = self.random.pick(&["LIVE", "DOWN"]).to_owned();
        NewConnection { id, datasource_name: "Works".to_owned(), status }
    }

    fn change(&mut self, about: &Arc<Invitation>) -> (&'static str, Action) {
        match self.random.below(100) {
            0..28 => ("Accept", self.accept(about)),
            28..36 => ("Decline", self.decline(about)),
            36..43 => ("Revoke", revoke(about)),
            43..52 => {
                let span = self.random.chance(60).then(|| seconds(self.random.pick(&SPANS)));
                ("Resend", resend(about, self.random.chance(30), span))
            }
            52..62 => {
                let kinds = [EngagementType::View, EngagementType::Click, EngagementType::Unfurl];
                ("Record", record(about, self.random.pick(&kinds)))
            }
            62..66 => ("Update", self.update(about)),
            66 => ("Reassign", self.reassign(about)),
            67..70 => ("Delete", Action::Delete(DeleteInvitation { target: self.target(about) })),
            70..75 => {
                let domains = ["example.org", "example.com", "example.net"];
                let domains: Vec<_> = domains.into_iter().filter(|_| self.random.chance(50)).collect();
                ("Sync", sync(self.random.pick(&["t1", "t2"]), &domains))
            }
            75..77 => ("Connect", self.connect(about)),
            77..80 => ("Release", self.release(about).unwrap_or_else(|| revoke(about))),
            80..81 => ("Extend", self.extend(about).unwrap_or_else(|| revoke(about))),
            81..83 => {
                let verify = VerifyEmail { access: Access::Link(about.claims(0)), email: email(&self.address()) };
                ("Verify", Action::VerifyEmail(verify))
            }
            83..87 => ("Report", self.report().unwrap_or_else(|| revoke(about))),
            _ => ("Settle", self.settle().unwrap_or_else(|| record(about, EngagementType::View))),
        }
    }

    /// Sets some fields, adds and removes recipients.
    fn update(&mut self, about: &Invitation) -> Action {
        let time = ExpiryTime::After(seconds(self.random.pick(&SPANS)));
        let expiry = self.random.chance(25).then_some(Expiry { time, field: "expire_time" });
        let max_uses = self.random.pick(&[None, Some(1), Some(2), Some(4)]);
        let is_label_kept = self.random.chance(50);
        let label = is_label_kept.then(|| self.random.pick(&PEOPLE).to_owned());
        let labels = MapUpdate::Entries([("team".to_owned(), label)].into());
        let fields = UpdatedFields {
            archived: self.random.chance(30).then(|| self.random.chance(60)),
            expiry,
            max_uses: self.random.chance(30).then_some(max_uses),
            labels: self.random.chance(30).then_some(labels),
            roles: self.random.chance(20).then(|| vec![self.random.pick(&PEOPLE).to_owned()]),
            ..UpdatedFields::default()
        };
        let address = mail(&self.address());
        let added: Vec<_> = self.random.chance(40).then(|| recipient(address)).into_iter().collect();
        let ordinal = u16::try_from(self.random.below(about.recipients.len() + 1)).unwrap();
        let removed = Some(ordinal).filter(|ordinal| *ordinal > 0 && self.random.chance(60)).into_iter().collect();
        let mails_added = self.random.chance(60);
        let target = self.target(about);
        Action::Update(Box::new(UpdateInvitation { target, fields, added, removed, mails_added, ..updating(about) }))
    }

    /// Gives the invitation to another inviter, if it still has the one that it has in the model.
    fn reassign(&mut self, about: &Invitation) -> Action {
        let inviter = about.details.shared().inviter.as_ref();
        let from = inviter.map(|inviter| inviter.user_id.clone()).filter(|_| self.random.chance(80));
        let from = from.unwrap_or_else(|| self.random.pick(&PEOPLE).to_owned());
        let to = Inviter { user_id: self.random.pick(&PEOPLE).to_owned(), ..Inviter::default() };
        let target = self.target(about);
        Action::Reassign(Box::new(ReassignInvitation { target, from, to }))
    }

    fn target(&mut self, about: &Invitation) -> Target {
        let etag = self.random.chance(30).then(|| about.etag());
        Target { kind: Some(about.details.kind()), hides_deleted: true, etag, ..target(about) }
    }

    fn accept(&mut self, about: &Invitation) -> Action {
        let mut accept = accept_by(about, self.acceptor());
        let recipients = about.recipients.len();
        let recipient = u16::try_from(self.random.below(recipients + 1)).unwrap();
        let mut claims = about.claims(recipient);
        if self.random.chance(5) {
            claims.generation = claims.generation.wrapping_sub(1);
        }
        accept.access = if self.random.chance(25) { Access::Name(self.target(about)) } else { Access::Link(claims) };
        match about.details.kind() {
            Kind::Connection if self.random.chance(40) => accept.created_connection = Some(self.connection()),
            Kind::Guest if self.random.chance(40) => return self.accept_by_system(about, accept),
            Kind::Connection | Kind::User | Kind::Guest | Kind::General => {}
        }
        accept.proof = self.random.chance(25).then(|| self.proof(about));
        Action::Accept(Box::new(accept))
    }

    /// One of two proofs, which several people bring.
    fn proof(&mut self, about: &Invitation) -> EmailProof {
        let number = self.random.below(2);
        let (id, email) = (about.id.0.as_u128() ^ number as u128, email(&format!("{}@example.org", PEOPLE[number])));
        EmailProof { id: Uuid::from_u128(id), email, expire_at: self.now.later(Duration::from_secs(1_800)) }
    }

    fn accept_by_system(&mut self, about: &Invitation, accept: AcceptInvitation) -> Action {
        let organization = Uuid::from_u128(self.random.below(2) as u128 + 1);
        Action::Accept(Box::new(AcceptInvitation {
            access: Access::Name(target(about)),
            acceptor: acceptor(&system_subject(organization)),
            guest_organization_id: Some(organization),
            by_system: true,
            ..accept
        }))
    }

    fn decline(&mut self, about: &Invitation) -> Action {
        let recipient = u16::try_from(self.random.below(about.recipients.len() + 1)).unwrap();
        let access = Access::Link(about.claims(recipient));
        Action::Decline(DeclineInvitation { access, addresses: Vec::new(), reason: Some("no time".to_owned()) })
    }

    fn connect(&mut self, about: &Invitation) -> Action {
        let made = self.model.acceptances.values().map(|(_, acceptance)| acceptance);
        let made: Vec<_> = made.filter(|made| made.invitation == about.id).map(|made| made.id).collect();
        let acceptance = self.random.pick_late(&made).filter(|_| self.random.chance(50));
        let connection = self.connection();
        // Half of the time the text is kept that is there, if there is one.
        let status = Some(connection.status).filter(|_| self.random.chance(50));
        Action::RecordCreatedConnection(RecordCreatedConnection {
            target: target(about),
            connection_id: connection.id,
            datasource_name: Some(connection.datasource_name),
            status,
            acceptance,
        })
    }

    /// Undoes an acceptance, or ends it.
    fn release(&mut self, about: &Invitation) -> Option<Action> {
        let target = self.made(about)?;
        let mode = if self.random.chance(70) { ReleaseMode::Undo } else { ReleaseMode::End };
        Some(Action::ReleaseAcceptance(ReleaseAcceptance { target, mode, reason: None }))
    }

    /// Changes for how long an acceptance counts.
    fn extend(&mut self, about: &Invitation) -> Option<Action> {
        let target = self.made(about)?;
        let expire_at = self.now.plus(seconds(self.random.pick(&SPANS)));
        let grant_expire_at = Some(Some(expire_at).filter(|_| self.random.chance(80)));
        Some(Action::UpdateAcceptance(UpdateAcceptance { target, grant_expire_at }))
    }

    /// One of the acceptances of an invitation, now and then of this version alone.
    fn made(&mut self, about: &Invitation) -> Option<AcceptanceTarget> {
        let made = self.model.acceptances.values().map(|(_, acceptance)| acceptance);
        let made: Vec<_> = made.filter(|made| made.invitation == about.id).cloned().collect();
        let made = self.random.pick_late(&made)?;
        let etag = self.random.chance(20).then(|| made.etag());
        Some(AcceptanceTarget { invitation: about.id, id: made.id, etag })
    }

    fn report(&mut self) -> Option<Action> {
        let messages: Vec<_> = self.model.outbox.keys().cloned().collect();
        let (_, delivery) = self.random.pick_late(&messages)?;
        use DeliveryReport::{Bounced, Complained, Delivered, Opened};
        let report = self.random.pick(&[Delivered, Bounced, Opened, Complained]);
        Some(Action::ReportDelivery(ReportDelivery { delivery, report, detail: None }))
    }

    fn settle(&mut self) -> Option<Action> {
        let (_, delivery, lease) = self.random.pick_late(self.leases)?;
        let end = match self.random.below(100) {
            0..60 => DeliveryEnd::Sent,
            60..80 => DeliveryEnd::Failed("it broke".to_owned()),
            80..90 => DeliveryEnd::BadAddress("no such mailbox".to_owned()),
            _ => DeliveryEnd::Suppressed,
        };
        Some(Action::SettleDelivery(SettleDelivery { delivery, lease, end }))
    }
}

/// A command in few words.
pub(super) fn brief(command: &Command) -> String {
    let request = command.request.as_ref();
    let request =
        request.map(|request| format!("{} {} body {}", request.method, request.id, request.digests[0].mac[0]));
    format!("{} ({}) {:?}", command.account().as_str(), request.unwrap_or_default(), command.action)
}

/// A command that is refused whatever there is: its answer means that what was sent before is over.
pub(super) fn probe(account: &AccountId, now: Timestamp) -> Command {
    let nobody = Target { id: InvitationId(Uuid::nil()), kind: None, hides_deleted: false, etag: None };
    let action = Action::Delete(DeleteInvitation { target: nobody });
    Command {
        reach: Reach::of_account(account.clone()),
        actor: "probe".to_owned(),
        grantable_roles: GrantableRoles::default(),
        request: None,
        seed: IdSeed::new(now, [0; 16]),
        action,
    }
}
