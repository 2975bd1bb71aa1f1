//! Pages of lists (AIP-158): sizes, orders, and page tokens that are encrypted, authenticated, and bound to their query.

use prost::Message;
use tonic::Status;

use super::violations::Violations;
use crate::api::convert::count;
use crate::api::execute::{Api, Call};
use crate::api::requests::Paged;
use crate::domain::invitation::Invitation;
use crate::domain::reach::Reach;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::store::{AccountPage, AccountRows, Cursor, InvitationQuery, Listed, Read};

const DEFAULT_SIZE: i32 = 50;
const MAX_SIZE: i32 = 1_000;
/// The most rows that a page of invitations looks at, in search of those that its filters let through.
pub(crate) const SCAN: u64 = 5_000;

/// The most bytes of the messages of a page (AIP-158 lets a page be short): clients take no more than four mebibytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The most rows that are counted of a list.
const MAX_TOTAL: u64 = 10_000;

/// The page that a request asks for.
pub(crate) struct Asked {
    /// The most rows of the page.
    pub(crate) size: usize,
    /// Whether the least comes first.
    pub(crate) ascending: bool,
    /// The place behind which the page begins.
    pub(crate) after: Option<Cursor>,
}

impl Asked {
    /// Returns the number of rows to read: one beyond the page shows whether there is another page.
    pub(crate) fn limit(&self) -> u64 {
        self.size as u64 + 1
    }

    /// Returns the page of a list that ascends unless its request says otherwise.
    pub(crate) fn ascending_by_default<T: Paged>(self, request: &T) -> Self {
        let is_default = request.fields().1.trim().is_empty();
        Self { ascending: self.ascending || is_default, ..self }
    }

    /// Returns the query for this page of all invitations.
    pub(crate) fn query(self) -> InvitationQuery {
        self.of(InvitationQuery::default())
    }

    /// Returns this page of a list over all invitations of an account.
    pub(crate) fn account_page(self) -> AccountPage {
        AccountPage { ascending: self.ascending, limit: self.limit(), after: self.after }
    }

    /// Returns the query for this page of the invitations that another query finds.
    pub(crate) fn of(self, query: InvitationQuery) -> InvitationQuery {
        let limit = self.limit();
        InvitationQuery { ascending: self.ascending, limit, scan: Some(SCAN), after: self.after, ..query }
    }
}

/// Parses the requested page of a list with one order.
pub(crate) fn asked<T: Paged>(
    api: &Api,
    call: &Call,
    request: &T,
    field: &'static str,
    violations: &mut Violations,
) -> Asked {
    asked_in(api, call, request, &[(field, ())], violations).1
}

/// Parses the requested page of a list with several orders; the first order is the default.
pub(crate) fn asked_in<T: Paged, O: Copy>(
    api: &Api,
    call: &Call,
    request: &T,
    orders: &[(&str, O)],
    violations: &mut Violations,
) -> (O, Asked) {
    let (page_size, order_by, page_token) = request.fields();
    let size = size(violations, page_size);
    let (order, ascending) = order(violations, order_by, orders);
    let after = cursor(api, call, request, page_token, violations);
    (order, Asked { size, ascending, after })
}

/// Parses `page_size`: 0 is the default, larger values are reduced to the maximum, negative ones are refused.
fn size(violations: &mut Violations, page_size: i32) -> usize {
    let size = match page_size {
        ..0 => {
            violations.add("page_size", FieldRule::OutOfRange, "must not be negative");
            DEFAULT_SIZE
        }
        0 => DEFAULT_SIZE,
        size => size.min(MAX_SIZE),
    };
    usize::try_from(size).unwrap_or_default()
}

/// Parses `order_by`: one of some fields, optionally with ` asc` or ` desc`. Returns the order and whether it ascends; empty is the
/// first order, descending.
fn order<O: Copy>(violations: &mut Violations, order_by: &str, orders: &[(&str, O)]) -> (O, bool) {
    let default = orders[0].1;
    let mut words = order_by.split(' ').filter(|word| !word.is_empty());
    let (field, direction, more) = (words.next(), words.next(), words.next());
    let Some(field) = field else { return (default, false) };
    let order = orders.iter().find(|(name, _)| *name == field);
    match (order, direction, more) {
        (Some((_, order)), None | Some("asc"), None) => (*order, true),
        (Some((_, order)), Some("desc"), None) => (*order, false),
        _ => {
            let fields: Vec<_> = orders.iter().map(|(name, _)| format!("`{name}`")).collect();
            let description = format!("must be {}, or that with ` asc` or ` desc`", fields.join(", "));
            violations.add("order_by", FieldRule::UnknownValue, &description);
            (default, false)
        }
    }
}

/// Returns the data that a page token is bound to: the account, the method, the person or the organizations that determine the
/// rows, if the call has any, and the query. So a total that the token carries is told to nobody whose rows are others.
fn context<T: Paged>(call: &Call, request: &T) -> Vec<u8> {
    let account = call.caller.account.as_str();
    let organizations =
        call.requester_and_target().map(|(requester, target)| [requester.into_bytes(), target.into_bytes()]);
    let organizations = organizations.as_ref().map(|both| both.as_flattened()).unwrap_or_default();
    // No subject has a control character, so no two persons have the same beginning.
    let person = call.person().map(|person| person.name() + "\0").unwrap_or_default();
    [account.as_bytes(), b"\0", T::METHOD.as_bytes(), b"\0", person.as_bytes(), organizations, &request.query()]
        .concat()
}

/// Parses a page token of the same query.
fn cursor<T: Paged>(
    api: &Api,
    call: &Call,
    request: &T,
    page_token: &str,
    violations: &mut Violations,
) -> Option<Cursor> {
    const INVALID: Invalid = Invalid::new(FieldRule::UnknownValue, "must be the next_page_token of the same query");
    let opened = |token: &str| {
        let cursor = api.ring.open(&context(call, request), token).ok_or(INVALID)?;
        serde_json::from_slice(&cursor).map_err(|_| INVALID)
    };
    violations.optional("page_token", page_token, opened)
}

/// A page of a list of invitations.
pub(crate) struct InvitationPage<M> {
    pub(crate) shown: Vec<M>,
    pub(crate) next_page_token: String,
    /// The number of rows of the whole list, 0 if it was not asked for.
    pub(crate) total_size: i32,
    /// Whether there are more than `total_size`.
    pub(crate) total_size_is_lower_bound: bool,
}

/// Reads a page of invitations, shows them and, if it is asked for, counts the rows of the whole list.
pub(crate) async fn invitations<T: Paged, M: Message>(
    (api, call, request): (&Api, &Call, &T),
    violations: Violations,
    query: InvitationQuery,
    show_total: bool,
    show: impl Fn(&Read<Invitation>) -> Result<M, Status>,
) -> Result<InvitationPage<M>, Status> {
    let reach = api.reach(call).await?;
    let mut query = violations.finish(Some(query))?;
    let total = if show_total { Some(total(api, &reach, &mut query).await?) } else { None };
    let size = usize::try_from(query.limit.saturating_sub(1)).unwrap_or(usize::MAX);
    let Listed { rows, goes_on } = api.read_lagging(|reads| reads.list_invitations(&reach, &query)).await?;
    let goes_on = goes_on.map(|cursor| Cursor { total, ..cursor });
    let cursor_of = |read: &Read<_>| Cursor { total, ..Cursor::of_invitation_by(query.order, read) };
    let (shown, next_page_token) = self::show((api, call, request), (&rows, goes_on), size, cursor_of, show)?;
    let counted = total.unwrap_or_default();
    let (total_size, total_size_is_lower_bound) = (count(counted.min(MAX_TOTAL)), counted > MAX_TOTAL);
    Ok(InvitationPage { shown, next_page_token, total_size, total_size_is_lower_bound })
}

/// Returns the number of invitations in a list, up to one beyond [`MAX_TOTAL`]: counted for its first page, at the moment at
/// which that page is judged, and carried along.
async fn total(api: &Api, reach: &Reach, query: &mut InvitationQuery) -> Result<u64, Status> {
    if let Some(total) = query.after.as_ref().and_then(|cursor| cursor.total) {
        return Ok(total);
    }
    let counted = api.read_lagging(|reads| reads.count_invitations(reach, query, MAX_TOTAL + 1)).await?;
    query.at = Some(counted.now);
    Ok(counted.found)
}

/// Shows rows up to the size of the page, in rows and in bytes, and returns the token of the next page if there is one. The rows
/// have one beyond the page if there are more; `goes_on` is the place at which a list that ended early continues.
pub(crate) fn show<T: Paged, R, M: Message>(
    (api, call, request): (&Api, &Call, &T),
    (rows, goes_on): (&[R], Option<Cursor>),
    size: usize,
    cursor_of: impl Fn(&R) -> Cursor,
    mut show: impl FnMut(&R) -> Result<M, Status>,
) -> Result<(Vec<M>, String), Status> {
    let (mut shown, mut bytes) = (Vec::with_capacity(rows.len().min(size)), 0);
    for row in rows.iter().take(size) {
        let message = show(row)?;
        bytes += message.encoded_len();
        // One row is shown however large it is.
        if bytes > MAX_BYTES && !shown.is_empty() {
            break;
        }
        shown.push(message);
    }
    let is_cut = shown.len() < rows.len();
    let last = shown.len().checked_sub(1).and_then(|last| rows.get(last)).filter(|_| is_cut).map(cursor_of);
    let next = last.or(goes_on).map(|cursor| seal(api, call, request, &cursor)).transpose()?;
    Ok((shown, next.unwrap_or_default()))
}

/// Shows the rows of a list over all invitations of an account.
pub(crate) fn show_account<T: Paged, R, M: Message>(
    context: (&Api, &Call, &T),
    found: &AccountRows<R>,
    size: usize,
    mut show: impl FnMut(&R) -> Result<M, Status>,
) -> Result<(Vec<M>, String), Status> {
    let listed = (found.rows.as_slice(), found.goes_on.clone());
    self::show(context, listed, size, |(cursor, _)| cursor.clone(), |(_, row)| show(row))
}

fn seal<T: Paged>(api: &Api, call: &Call, request: &T, cursor: &Cursor) -> Result<String, Status> {
    let cursor = serde_json::to_vec(cursor).map_err(|error| api.defect(&error))?;
    let sealed = api.ring.seal(&context(call, request), &cursor, api.entropy.bytes());
    sealed.ok_or_else(|| api.defect(&"a page token cannot be sealed"))
}
