//! From the certificate of a connection's client to the caller, by a table of names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::authenticator::{AuthenticatorError, permissions_of};
use super::caller::{Caller, Credential};
use super::refused_caller::{RefusalReason, RefusedCaller};
use crate::clock::Clock;
use crate::config::ClientCertificateEntry;
use crate::domain::value::text::AccountId;
use crate::tls::client::{ClientAuthorities, ClientCertificate, SubjectName};

/// The table of clients that prove who they are by a certificate. Clones share it.
#[derive(Clone)]
pub struct ClientCertificates(Arc<Shared>);

struct Shared {
    table: RwLock<Table>,
    clock: Clock,
}

/// The callers by the name in their certificate, and the authorities that vouch for the names.
struct Table {
    /// A number that another table does not have.
    generation: u64,
    callers: HashMap<SubjectName, Caller>,
    authorities: ClientAuthorities,
}

impl ClientCertificates {
    /// Creates the table of the configured entries. Certificates end by a clock.
    pub(crate) fn new(
        entries: &[ClientCertificateEntry],
        authorities: ClientAuthorities,
        clock: Clock,
    ) -> Result<Self, AuthenticatorError> {
        let table = Table { generation: 0, callers: callers_of(entries)?, authorities };
        Ok(Self(Arc::new(Shared { table: RwLock::new(table), clock })))
    }

    /// Replaces all entries. Connections that are open have the caller that they now say.
    pub(crate) fn replace(&self, entries: &[ClientCertificateEntry]) -> Result<(), AuthenticatorError> {
        let callers = callers_of(entries)?;
        let mut table = self.0.table.write().unwrap_or_else(PoisonError::into_inner);
        table.callers = callers;
        table.generation += 1;
        Ok(())
    }

    /// Replaces the authorities. A connection whose certificate is none of theirs has no caller any more.
    pub(crate) fn trust(&self, authorities: ClientAuthorities) {
        let mut table = self.0.table.write().unwrap_or_else(PoisonError::into_inner);
        table.authorities = authorities;
        table.generation += 1;
    }

    /// Returns the client of a connection by the certificate that it has shown.
    pub(crate) fn client(&self, certificate: ClientCertificate) -> Client {
        Client(Arc::new(Known { of: self.clone(), certificate, caller: Mutex::default() }))
    }
}

/// A client with a certificate, on one connection.
#[derive(Clone)]
pub(crate) struct Client(Arc<Known>);

struct Known {
    of: ClientCertificates,
    certificate: ClientCertificate,
    /// The caller, and the generation of the table that says so.
    caller: Mutex<Option<(u64, Option<Caller>)>>,
}

impl Client {
    /// Returns the caller, which is looked up once for each state of the table.
    pub(crate) fn caller(&self) -> Result<Caller, RefusedCaller> {
        let Known { of, certificate, caller } = &*self.0;
        let now = of.0.clock.now();
        if certificate.not_after < now {
            return Err(RefusalReason::ExpiredCertificate.into());
        }
        let table = of.0.table.read().unwrap_or_else(PoisonError::into_inner);
        let mut known = caller.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, caller) = match known.take() {
            Some(known) if known.0 == table.generation => known,
            _ => {
                let is_signed = table.authorities.have_signed(certificate, now);
                let found = is_signed.then(|| find(&table.callers, &certificate.names)).flatten();
                (table.generation, found.cloned())
            }
        };
        known.insert((table.generation, caller)).1.clone().ok_or_else(|| RefusalReason::UnknownCertificate.into())
    }
}

/// Finds the one caller that the names of a certificate stand for. Names of two callers stand for none: which of them calls cannot
/// be known. A SPIFFE identity has one URI, and a certificate with several is none (X509-SVID, section 2).
fn find<'a>(callers: &'a HashMap<SubjectName, Caller>, names: &[SubjectName]) -> Option<&'a Caller> {
    let uris = names.iter().filter(|name| matches!(name, SubjectName::Uri(_))).count();
    let mut found = names.iter().filter_map(|name| callers.get(name));
    let first = found.next()?;
    (uris <= 1 && found.all(|other| other == first)).then_some(first)
}

fn callers_of(entries: &[ClientCertificateEntry]) -> Result<HashMap<SubjectName, Caller>, AuthenticatorError> {
    let caller = |entry: &ClientCertificateEntry| {
        let ClientCertificateEntry { name, san, account, permissions, organization_id } = entry;
        let caller = Caller {
            account: AccountId::parse(account).map_err(|_| AuthenticatorError::Account(name.clone()))?,
            name: format!("clientCertificates/{name}"),
            permissions: permissions_of(name, permissions)?,
            organization_id: *organization_id,
            credential: Credential::ClientCertificate,
            expires_at: None,
            grantable_roles: None,
        };
        Ok((san.clone(), caller))
    };
    entries.iter().map(caller).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::permission::Permission;

    fn caller(name: &str) -> Caller {
        Caller {
            account: AccountId::parse("acme").unwrap(),
            name: name.to_owned(),
            permissions: vec![Permission::EventsRead],
            organization_id: None,
            credential: Credential::ClientCertificate,
            expires_at: None,
            grantable_roles: None,
        }
    }

    #[test]
    fn names_of_two_entries_stand_for_no_caller() {
        let name = |text: &str| SubjectName::parse(text).unwrap();
        let (dns, uri) = (name("a.example"), name("spiffe://example/a"));
        let callers = HashMap::from([
            (dns.clone(), caller("dns")),
            (uri.clone(), caller("uri")),
            (name("b.example"), caller("other")),
        ]);
        let unknown = name("spiffe://example/unknown");
        for (names, found) in [
            (vec![], None),
            (vec![name("x.example")], None),
            (vec![dns.clone()], Some("dns")),
            (vec![name("x.example"), dns.clone()], Some("dns")),
            (vec![dns.clone(), dns.clone()], Some("dns")),
            (vec![dns.clone(), name("b.example")], None),
            (vec![dns.clone(), uri.clone()], None),
            (vec![uri.clone()], Some("uri")),
            (vec![uri.clone(), unknown.clone()], None),
            (vec![dns, unknown], Some("dns")),
        ] {
            assert_eq!(find(&callers, &names).map(|caller| caller.name.as_str()), found, "{names:?}");
        }
    }
}
