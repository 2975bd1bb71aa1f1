//! The connection kind: the form's prefill and the connections that acceptors make.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::general::RecipientMatch;
use super::shared::SharedDetails;
use super::{Kind, KindRules, RecipientLimits, Scope, company_scope, no_guest_organization};
use crate::domain::invitation::acceptance::{Acceptance, AcceptedBy};
use crate::domain::invitation::email_rule::Binding;
use crate::domain::invitation::recipient::Recipient;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::value::email::Email;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// A connection invitation's part of an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionDetails {
    /// The company that the connection belongs to.
    pub company_id: Uuid,
    /// The task of the contributor.
    pub purpose: ConnectionPurpose,
    /// The fields that every kind has.
    #[serde(flatten)]
    pub shared: SharedDetails,
}

impl KindRules for ConnectionDetails {
    fn kind(&self) -> Kind {
        Kind::Connection
    }

    fn shared(&self) -> &SharedDetails {
        &self.shared
    }

    fn shared_mut(&mut self) -> &mut SharedDetails {
        &mut self.shared
    }

    fn scope(&self, _account: &AccountId) -> Option<Scope> {
        Some(company_scope(self.company_id).named(self.shared.scope_display_name.as_ref()))
    }

    fn groups(&self) -> &[Scope] {
        &[]
    }

    fn resource_id(&self) -> Option<Uuid> {
        match self.purpose {
            ConnectionPurpose::CreateConnection { .. } => None,
            ConnectionPurpose::EditConnection { connection_id } => Some(connection_id),
        }
    }

    fn roles(&self) -> &[String] {
        &[]
    }

    fn host(&self) -> Option<Uuid> {
        None
    }

    fn organization_name(&self) -> &str {
        ""
    }

    fn slots(&self, _people: &[String]) -> Vec<SlotKey> {
        Vec::new()
    }

    fn recipient_limits(&self) -> &'static RecipientLimits {
        const LIMITS: RecipientLimits = RecipientLimits {
            least: 0,
            most: 1_000,
            rule: "must leave the invitation at most 1,000 allowed addresses",
        };
        &LIMITS
    }

    fn binding(&self, recipients: &[Recipient]) -> Binding<'_> {
        if recipients.is_empty() { Binding::Open } else { Binding::Recipients(RecipientMatch::Exact) }
    }

    fn admits_systems(&self) -> bool {
        false
    }

    fn accepted_by(&self, _by_system: bool) -> AcceptedBy {
        AcceptedBy::User
    }

    fn check_guest_organization(&self, organization: Option<Uuid>) -> Result<(), Refusal> {
        no_guest_organization(organization)
    }

    fn guest_organization(&self) -> Option<Uuid> {
        None
    }

    fn note_acceptance(&mut self, _acceptance: &Acceptance) {}

    fn forget_acceptance(&mut self) {}

    fn check_created_connection(&self) -> Result<(), Invalid> {
        match self.purpose {
            ConnectionPurpose::CreateConnection { .. } => Ok(()),
            ConnectionPurpose::EditConnection { .. } => {
                let description = "must not be set: this invitation is to repair an existing connection";
                Err(Invalid::new(FieldRule::NotAllowed, description))
            }
        }
    }

    fn mail_name(&self) -> &'static str {
        match self.purpose {
            ConnectionPurpose::CreateConnection { .. } => "connection",
            ConnectionPurpose::EditConnection { .. } => "reconnection",
        }
    }
}

/// The task of the contributor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionPurpose {
    /// The contributor creates a new connection.
    CreateConnection {
        /// The values that the form starts with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefill: Option<Prefill>,
    },
    /// The contributor repairs this connection.
    EditConnection {
        /// The connection.
        connection_id: Uuid,
    },
}

/// The values that the form of a new connection starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prefill {
    /// The source of the data.
    pub datasource: Option<Datasource>,
    /// The sites the connection is for.
    pub initial_sites: Vec<Uuid>,
    /// The metered utilities.
    pub utility_types: Vec<UtilityType>,
    /// The country.
    pub country: Option<Country>,
    /// The address of the account's owner.
    pub connection_owner_email: Option<Email>,
    /// The day data is wanted from.
    pub data_collection_start_date: Option<StartDate>,
}

/// The source of data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Datasource {
    /// A data source the caller knows.
    Id(Uuid),
    /// A provider's address.
    Url(HttpUrl),
}

/// A metered utility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the words of the field")]
pub enum UtilityType {
    Electricity,
    NaturalGas,
    Water,
    Heating,
    Cooling,
    Steam,
    Waste,
    Solar,
    Other,
}

/// An ISO 3166-1 alpha-2 code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Country(String);

/// The officially assigned codes of ISO 3166-1.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ \
    FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT \
    JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP \
    MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE \
    RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV \
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

impl Country {
    /// Parses a code in capitals.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        let known = value.len() == 2 && COUNTRIES.split_whitespace().any(|code| code == value);
        if known {
            Ok(Self(value.to_owned()))
        } else {
            Err(Invalid::new(FieldRule::UnknownValue, "must be an ISO 3166-1 alpha-2 code in capitals"))
        }
    }

    /// Returns the code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An absolute http or https URL of at most 300 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// Parses a URL, which is kept as it was written.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        const DESCRIPTION: &str = "must be an absolute http or https URL of at most 300 characters";
        const INVALID: Invalid = Invalid::format(DESCRIPTION);
        let text = crate::domain::value::text::free_text(value);
        let text = text.map_err(|Invalid { rule, .. }| Invalid::new(rule, DESCRIPTION))?;
        let url = url::Url::parse(&text).map_err(|_| INVALID)?;
        if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(Self(text)) } else { Err(INVALID) }
    }

    /// Returns the URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A calendar day, written `YYYY-MM-DD`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StartDate(String);

impl StartDate {
    /// Parses a day that exists.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        // The parser by itself also takes signs and one-digit months.
        let digits = value.len() == 10 && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let exists = digits && NaiveDate::parse_from_str(value, "%Y-%m-%d").is_ok_and(|date| date.to_string() == value);
        if exists { Ok(Self(value.to_owned())) } else { Err(Invalid::format("must be a date written YYYY-MM-DD")) }
    }

    /// Returns the day.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A connection that an acceptor reports to have created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewConnection {
    /// Its id, unique within the invitation.
    pub id: Uuid,
    /// The data source's name for people; may be empty.
    pub datasource_name: String,
    /// The connection's status, as the system that runs connections names it; may be empty.
    pub status: String,
}

impl NewConnection {
    /// Adds the moment at which this service learnt of the connection.
    pub fn created_at(self, now: Timestamp) -> CreatedConnection {
        CreatedConnection { connection: self, created_at: now }
    }
}

/// A connection that was created by accepting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedConnection {
    /// The connection.
    pub connection: NewConnection,
    /// The moment at which this service learnt of it.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefill_values_are_parsed() {
        for (value, fits) in [("DE", true), ("de", false), ("XX", false), ("D", false), ("DE FR", false), ("", false)] {
            assert_eq!(Country::parse(value).is_ok(), fits, "{value}");
        }
        for (value, fits) in [
            ("2024-02-29", true),
            ("2023-02-29", false),
            ("2024-2-29", false),
            ("24-02-2900", false),
            ("+2024-02-2", false),
        ] {
            assert_eq!(StartDate::parse(value).is_ok(), fits, "{value}");
        }
        for (value, fits) in [
            ("https://provider.example/login", true),
            ("http://x", true),
            ("javascript:alert(1)", false),
            ("/login", false),
            ("https://", false),
            ("https://x/\n", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(HttpUrl::parse(value).is_ok(), fits, "{value}");
        }
    }
}
