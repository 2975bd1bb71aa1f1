//! The cost of the pure parts by themselves. Nothing is gated on it.

#![expect(clippy::expect_used, reason = "a benchmark has nobody to tell but its reader")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use invitation_service::domain::command::{AcceptInvitation, Access, Action, Command, CreateInvitation, OnConflict};
use invitation_service::domain::decide::Context;
use invitation_service::domain::delivery::notice::Notices;
use invitation_service::domain::delivery::reminder::Schedules;
use invitation_service::domain::group::Group;
use invitation_service::domain::group::loaded::Loaded;
use invitation_service::domain::invitation::acceptance::{Acceptor, Subject};
use invitation_service::domain::kind::Details;
use invitation_service::domain::kind::connection::{ConnectionDetails, ConnectionPurpose};
use invitation_service::domain::kind::shared::SharedDetails;
use invitation_service::domain::quota::Quotas;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::secret::token::{Claims, Token};
use invitation_service::domain::value::email::Email;
use invitation_service::domain::value::grantable_roles::GrantableRoles;
use invitation_service::domain::value::id::{IdSeed, InvitationId};
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::value::time::Timestamp;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const CONTEXT: Context =
    Context { signing_key: 1, reminders: Schedules::NONE, notices: Notices::NONE, quotas: Quotas::NONE };
/// As many as are decided together when that many calls are in flight.
const ACCEPTS: u8 = u8::MAX;

fn token(criterion: &mut Criterion) {
    let ring = KeyRing::parse(&KeyRing::format_key(1, [7; 32])).expect("a key ring");
    let (_, invitation) = snapshot();
    let claims = Claims { key_id: 1, invitation, generation: 0, recipient: 0 };
    let token = Token::sign(&claims, &ring).expect("a token");
    criterion.bench_function("token: sign", |bench| bench.iter(|| Token::sign(black_box(&claims), &ring)));
    criterion.bench_function("token: verify", |bench| bench.iter(|| Claims::verify(black_box(token.reveal()), &ring)));
}

fn email(criterion: &mut Criterion) {
    for address in ["jane.doe@example.org", "j\u{fc}rgen+news@m\u{fc}nchen.example"] {
        criterion.bench_function(&format!("e-mail: parse {address}"), |bench| {
            bench.iter(|| Email::parse(black_box(address)));
        });
    }
}

fn accepts(criterion: &mut Criterion) {
    let (loaded, invitation) = snapshot();
    let link = Claims { key_id: 1, invitation, generation: 0, recipient: 0 };
    let accept = |number: u8| {
        let acceptor = Acceptor {
            subject: Subject(format!("subject-{number}")),
            email: None,
            email_verified: false,
            phone: None,
            display_name: None,
            existing_user: None,
        };
        let accept = AcceptInvitation {
            access: Access::Link(link),
            acceptor,
            created_connection: None,
            guest_organization_id: None,
            by_system: false,
            proof: None,
        };
        command(number, Action::Accept(Box::new(accept)))
    };
    let commands: Vec<Command> = (0..=ACCEPTS).map(accept).collect();
    criterion.bench_function("decide: 256 accepts of one invitation in a group", |bench| {
        bench.iter(|| {
            let mut group = Group::new(loaded.clone());
            for command in &commands {
                group.run(black_box(command), &CONTEXT).expect("an accept that is not refused");
            }
            group
        });
    });
}

/// Returns a snapshot with one invitation that may be accepted without a limit.
fn snapshot() -> (Loaded, InvitationId) {
    let create = CreateInvitation {
        details: Details::Connection(ConnectionDetails {
            company_id: Uuid::from_u128(1),
            purpose: ConnectionPurpose::CreateConnection { prefill: None },
            shared: SharedDetails::default(),
        }),
        max_uses: None,
        expiry: None,
        recipients: Vec::new(),
        mails: false,
        labels: BTreeMap::new(),
        on_conflict: OnConflict::Allow,
    };
    let mut group = Group::new(Loaded::empty(NOW));
    let made = group.run(&command(0, Action::Create(Box::new(create))), &CONTEXT).expect("an invitation");
    let mut loaded = Loaded::empty(NOW);
    loaded.put_invitation((*made.invitation).clone());
    (loaded, made.invitation.id)
}

fn command(number: u8, action: Action) -> Command {
    Command {
        reach: Reach::of_account(AccountId::parse("acme").expect("an account")),
        actor: "bench".to_owned(),
        grantable_roles: GrantableRoles::default(),
        request: None,
        seed: IdSeed::new(NOW, [number; 16]),
        action,
    }
}

criterion_group!(benches, token, email, accepts);
criterion_main!(benches);
