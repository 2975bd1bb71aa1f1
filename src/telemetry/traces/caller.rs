//! The trace of a caller, by its metadata `traceparent`. Only what is well-formed is taken, and anything else counts as absent: the parser
//! of the library takes more.

use std::fmt;

use http::HeaderMap;

/// The metadata of W3C Trace Context.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The length of `traceparent` in version 00. Later versions may add to it, behind a dash.
const LENGTH: usize = 55;

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

impl TraceId {
    /// Returns the trace of a caller (W3C Trace Context, section 3.2); `None` if it sent no `traceparent`, several, or a malformed one.
    pub(crate) fn of_caller(headers: &HeaderMap) -> Option<Self> {
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
        let (trace_id, parent_id, _) = (hex(trace_id)?, hex(parent_id)?, hex(flags)?);
        let is_valid = version != 0xff && is_complete && trace_id != 0 && parent_id != 0;
        is_valid.then_some(Self(trace_id))
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |value: &&str| HeaderValue::from_bytes(value.as_bytes()).unwrap();
        values.iter().map(|text| (TRACEPARENT.parse().unwrap(), value(text))).collect()
    }

    fn traced(values: &[&str]) -> Option<String> {
        TraceId::of_caller(&headers(values)).map(|id| id.to_string())
    }

    #[test]
    fn traceparent_of_this_and_later_versions_is_read() {
        let id = Some("0af7651916cd43dd8448eb211c80319c".to_owned());
        for good in [GOOD, &GOOD.replace("-01", "-02"), &format!("cc{}", &GOOD[2..])] {
            assert_eq!(traced(&[good]), id, "{good}");
        }
        assert_eq!(traced(&[&format!("cc{}-what-comes", &GOOD[2..])]), id);
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
}
