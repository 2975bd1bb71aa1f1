//! The id by which a caller finds its call again in the log. It comes in metadata, so only what looks like an id is taken.

use http::HeaderMap;

use crate::domain::secret::has_secret;

/// The metadata of the caller's own id.
const CORRELATION_ID: &str = "x-request-id";
/// The most characters of the caller's own id.
const MAX_CORRELATION_ID: usize = 128;

/// Returns the caller's own id of a call; `None` if it sent none, several, or one that is too long, has other
/// characters than ids have, or may be a secret of this service.
pub(crate) fn correlation_id(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(CORRELATION_ID).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let is_id = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    let id = value.to_str().ok()?;
    let is_id = (1..=MAX_CORRELATION_ID).contains(&id.len()) && id.as_bytes().iter().all(is_id);
    (is_id && !has_secret(id)).then_some(id)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |value: &&str| HeaderValue::from_bytes(value.as_bytes()).unwrap();
        values.iter().map(|text| (CORRELATION_ID.parse().unwrap(), value(text))).collect()
    }

    #[test]
    fn correlation_id_has_few_characters_and_only_those_of_ids() {
        let of = |values: &[&str]| correlation_id(&headers(values)).map(str::to_owned);
        for good in ["a", "01J9Z-7.b_c:d/e+f=", &"x".repeat(128)] {
            assert_eq!(of(&[good]).as_deref(), Some(good));
        }
        for bad in
            ["", "a b", "jane@example.org", "a\"b", "ä", "a,b", &"x".repeat(129), &format!("a:ivk_{}", "x".repeat(43))]
        {
            assert_eq!(of(&[bad]), None, "{bad}");
        }
        assert_eq!((of(&[]), of(&["a", "b"])), (None, None));
    }
}
