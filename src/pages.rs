//! The pages behind the links of invitations: a preview for programs, and for people what they are invited to, the code that proves
//! their address, and their answer.
//!
//! A page is a caller like any other: it calls the services through the boundary with a credential of its own, so permissions, limits,
//! deadlines and the log are theirs. Nothing of an invitation is read or changed here in another way.

mod answer;
mod calls;
mod client;
mod form;
mod guard;
pub(crate) mod listener;
mod show;
mod steps;
mod templates;
mod view;
mod visit;
mod visitor;

use std::fmt;

use secrecy::ExposeSecret;

use crate::auth::accounts::Accounts;
use crate::clock::Clock;
use crate::config::{Config, LinksConfig, PagesConfig};
use crate::domain::kind::shared::RedirectUri;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::value::text::AccountId;
use crate::entropy::Entropy;
use crate::server::admission::keyed_rate::KeyedRate;
use crate::server::boundary::Boundary;
use crate::server::in_flight::InFlight;
use calls::Calls;
use templates::Templates;
pub use templates::{PagesError, check_templates};

/// The name of the rate of requests in a refusal.
const PER_CLIENT: &str = "requests_per_client";

/// The pages of one account: that of their credential.
pub(crate) struct Pages {
    calls: Calls,
    config: PagesConfig,
    links: LinksConfig,
    accounts: Accounts,
    templates: Templates,
    ring: KeyRing,
    clock: Clock,
    entropy: Entropy,
    rate: Option<KeyedRate>,
    in_flight: InFlight,
    /// The name by which the texts call whoever runs the pages: that of the sender of mail.
    sender: String,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

impl Pages {
    /// Creates the pages of a configuration, which call through a boundary.
    ///
    /// # Errors
    /// The first template that cannot be used.
    pub(crate) fn new(
        config: &Config,
        (ring, clock, accounts): (KeyRing, Clock, Accounts),
        boundary: Boundary,
        in_flight: InFlight,
    ) -> Result<Self, PagesError> {
        let pages = &config.pages;
        let key = pages.api_key.as_ref().map(|key| key.expose_secret().to_owned());
        let from = &config.mail.from;
        Ok(Self {
            calls: Calls::new(boundary, key.as_deref()),
            templates: Templates::load(pages.templates.as_deref(), &pages.locale)?,
            rate: pages.requests_per_client.and_then(|rate| KeyedRate::new(PER_CLIENT, rate, &clock)),
            config: pages.clone(),
            links: config.links.clone(),
            accounts,
            ring,
            clock,
            entropy: Entropy::system(),
            in_flight,
            sender: from.name.clone().unwrap_or_else(|| from.domain.clone()),
        })
    }

    /// Returns whether people may be sent to an address now: it was checked when the invitation was created, by the rules of then.
    fn may_redirect(&self, account: &AccountId, uri: &str) -> bool {
        let Ok(redirect) = RedirectUri::parse(uri) else { return false };
        let own = self.accounts.policy(account).redirects;
        self.links.redirects.permits(&redirect) && own.is_none_or(|own| own.permits(&redirect))
    }
}
