//! The ids by which a caller finds its call again in the log: its trace, and an id of its own. Both are taken from metadata, so only what is
//! well-formed is taken, and anything else counts as absent.

use std::fmt;

use http::HeaderMap;

/// The metadata of W3C Trace Context.
const TRACEPARENT: &str = "traceparent";
/// The metadata of the caller's own id.
const CORRELATION_ID: &str = "x-request-id";
/// The most characters of the caller's own id.
const MAX_CORRELATION_ID: usize = 128;

/// The length of `traceparent` in version 00. Later versions may add to it, behind a dash.
const LENGTH: usize = 55;

/// The position of a call in the trace of its caller (W3C Trace Context, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    /// The id of the trace, which is not zero.
    pub(crate) trace_id: TraceId,
    /// The id of the caller's span, which is not zero.
    pub(crate) parent_id: u64,
    /// Whether the caller records the trace.
    pub(crate) is_sampled: bool,
}

/// The id of a trace. It shows as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(pub(crate) u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TraceContext {
    /// Returns the context that a caller sent; `None` if it sent none, several, or a malformed one.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.as_bytes()),
            _ => None,
        }
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let (known, more) = value.split_at_checked(LENGTH)?;
        let [v0, v1, b'-', rest @ ..] = known else { return None };
        let version = hex(&[*v0, *v1])?;
        let is_complete = if version == 0 { more.is_empty() } else { more.first().is_none_or(|byte| *byte == b'-') };
        let (trace_id, rest) = rest.split_at_checked(32)?;
        let [b'-', rest @ ..] = rest else { return None };
        let (parent_id, rest) = rest.split_at_checked(16)?;
        let [b'-', flags @ ..] = rest else { return None };
        let (trace_id, parent_id) = (hex(trace_id)?, u64::try_from(hex(parent_id)?).ok()?);
        let is_sampled = hex(flags)? & 1 == 1;
        let is_valid = version != 0xff && is_complete && trace_id != 0 && parent_id != 0;
        is_valid.then_some(Self { trace_id: TraceId(trace_id), parent_id, is_sampled })
    }
}

/// Reads hexadecimal digits, of which the specification allows lower case alone.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Returns the caller's own id of a call; `None` if it sent none, several, or one that is too long or has other characters than ids have.
pub(crate) fn correlation_id(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(CORRELATION_ID).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let is_id = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    let id = value.to_str().ok()?;
    ((1..=MAX_CORRELATION_ID).contains(&id.len()) && id.as_bytes().iter().all(is_id)).then_some(id)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.parse().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect()
    }

    fn traced(values: &[&str]) -> Option<(String, u64, bool)> {
        let context = TraceContext::of(&headers(TRACEPARENT, values))?;
        Some((context.trace_id.to_string(), context.parent_id, context.is_sampled))
    }

    #[test]
    fn traceparent_of_this_and_later_versions_is_read() {
        let read =
            |is_sampled| Some(("0af7651916cd43dd8448eb211c80319c".to_owned(), 0xb7ad_6b71_6920_3331, is_sampled));
        assert_eq!(traced(&[GOOD]), read(true));
        assert_eq!(traced(&[&GOOD.replace("-01", "-02")]), read(false));
        assert_eq!(traced(&[&format!("cc{}", &GOOD[2..])]), read(true));
        assert_eq!(traced(&[&format!("cc{}-what-comes", &GOOD[2..])]), read(true));
    }

    #[test]
    fn malformed_traceparent_counts_as_absent() {
        let bad = [
            String::new(),
            "00".to_owned(),
            GOOD[..54].to_owned(),
            format!("{GOOD}0"),
            format!("{GOOD}-more"),
            format!("ff{}", &GOOD[2..]),
            format!("cc{}.more", &GOOD[2..]),
            GOOD.to_uppercase(),
            GOOD.replace('-', "_"),
            GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            GOOD.replace("0af7", "0ag7"),
            GOOD.replace("0af7", "ä7"),
            format!(" {GOOD}"),
        ];
        for bad in bad {
            assert_eq!(traced(&[&bad]), None, "{bad}");
        }
        assert_eq!(traced(&[]), None);
        assert_eq!(traced(&[GOOD, GOOD]), None, "nobody says which is meant");
    }

    #[test]
    fn correlation_id_has_few_characters_and_only_those_of_ids() {
        let of = |values: &[&str]| correlation_id(&headers(CORRELATION_ID, values)).map(str::to_owned);
        for good in ["a", "01J9Z-7.b_c:d/e+f=", &"x".repeat(128)] {
            assert_eq!(of(&[good]).as_deref(), Some(good));
        }
        for bad in ["", "a b", "jane@example.org", "a\"b", "ä", "a,b", &"x".repeat(129)] {
            assert_eq!(of(&[bad]), None, "{bad}");
        }
        assert_eq!((of(&[]), of(&["a", "b"])), (None, None));
    }
}
