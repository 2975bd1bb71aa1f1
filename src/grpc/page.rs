//! Pages of lists (AIP-158): sizes, orders, and page tokens that are encrypted, authenticated, and bound to their query.

use prost::Message;
use tonic::Status;

use super::api::Api;
use super::call::Call;
use super::violations::Violations;
use crate::domain::text::Invalid;
use crate::pb;
use crate::store::Cursor;

const DEFAULT_SIZE: i32 = 50;
const MAX_SIZE: i32 = 1_000;

/// A request for a page of a list.
pub(super) trait Paged: Message + Clone {
    /// The method it is for.
    const METHOD: &'static str;

    /// Empties `page_size` and `page_token`, which may differ from page to page.
    fn strip(&mut self);
}

macro_rules! paged {
    ($($message:ident: $method:literal;)+) => {$(
        impl Paged for pb::$message {
            const METHOD: &'static str = $method;

            fn strip(&mut self) {
                self.page_size = 0;
                self.page_token.clear();
            }
        }
    )+};
}

paged! {
    ListConnectionInvitationsRequest: "ListConnectionInvitations";
    ListInvitationsRequest: "ListInvitations";
    ListEventsRequest: "ListEvents";
}

/// Parses `page_size`: 0 is the default, too many is the most, negative is refused.
pub(super) fn size(violations: &mut Violations, page_size: i32) -> usize {
    let size = match page_size {
        ..0 => {
            violations.add("page_size", "must not be negative");
            DEFAULT_SIZE
        }
        0 => DEFAULT_SIZE,
        size => size.min(MAX_SIZE),
    };
    usize::try_from(size).unwrap_or_default()
}

/// Parses `order_by`: the one field there is to order by, optionally with ` desc`. Returns whether it ascends.
pub(super) fn ascending(violations: &mut Violations, order_by: &str, field: &str) -> bool {
    let mut words = order_by.split(' ').filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (None, ..) => false,
        (Some(name), None, _) if name == field => true,
        (Some(name), Some("desc"), None) if name == field => false,
        _ => {
            violations.add("order_by", &format!("must be `{field}` or `{field} desc`"));
            false
        }
    }
}

/// What a page token is bound to: the account, the method and the query.
fn context<T: Paged>(call: &Call, request: &T) -> Vec<u8> {
    let mut query = request.clone();
    query.strip();
    let account = call.caller.account.as_str();
    [account.as_bytes(), b"\0", T::METHOD.as_bytes(), b"\0", &query.encode_to_vec()].concat()
}

/// Parses a page token of this very query.
pub(super) fn cursor<T: Paged>(
    api: &Api,
    call: &Call,
    request: &T,
    page_token: &str,
    violations: &mut Violations,
) -> Option<Cursor> {
    const INVALID: Invalid = Invalid("must be the next_page_token of the same query");
    let opened = |token: &str| {
        let cursor = api.ring.open(&context(call, request), token).ok_or(INVALID)?;
        serde_json::from_slice(&cursor).map_err(|_| INVALID)
    };
    violations.optional("page_token", page_token, opened)
}

/// Cuts off the row that was read beyond the page, and returns the token for going on if there was one.
pub(super) fn next<T: Paged, R>(
    api: &Api,
    call: &Call,
    request: &T,
    rows: &mut Vec<R>,
    size: usize,
    cursor_of: impl Fn(&R) -> Cursor,
) -> Result<String, Status> {
    let more = rows.len() > size;
    rows.truncate(size);
    let Some(last) = rows.last().filter(|_| more) else { return Ok(String::new()) };
    let cursor = serde_json::to_vec(&cursor_of(last)).map_err(|error| api.defect(&error))?;
    let sealed = api.ring.seal(&context(call, request), &cursor, api.entropy.bytes());
    sealed.ok_or_else(|| api.defect(&"a page token cannot be sealed"))
}
