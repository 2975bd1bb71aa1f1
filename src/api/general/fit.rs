//! The size of an answer about several invitations.

use prost::Message as _;

use crate::pb;

/// The bytes of an answer up to which invitations are shown as wholes: clients take no more than four mebibytes.
const MOST: usize = 3 * 1024 * 1024;

/// Shows the invitations of one answer as wholes as long as they are small together, and the others by their names.
pub(in crate::api) struct Fit {
    left: usize,
}

impl Default for Fit {
    fn default() -> Self {
        Self { left: MOST }
    }
}

impl Fit {
    /// Returns the room that is left beside texts that the answer repeats from the request.
    pub(in crate::api) fn beside<'a>(texts: impl Iterator<Item = &'a String>) -> Self {
        Self { left: texts.fold(MOST, |left, text| left.saturating_sub(text.len())) }
    }

    /// Returns the invitation, or the names and the outcome of one that is too large for what is left.
    pub(in crate::api) fn show(&mut self, whole: pb::Invitation) -> pb::Invitation {
        if let Some(left) = self.left.checked_sub(whole.encoded_len()) {
            self.left = left;
            return whole;
        }
        pb::Invitation {
            name: whole.name,
            uid: whole.uid,
            typed_name: whole.typed_name,
            kind: whole.kind,
            state: whole.state,
            etag: whole.etag,
            create_outcome: whole.create_outcome,
            ..pb::Invitation::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invitations_are_shown_as_wholes_until_the_answer_is_large() {
        let mut fit = Fit::default();
        let large = |name: &str| pb::Invitation {
            name: name.to_owned(),
            pass_through: "x".repeat(MOST / 2),
            ..pb::Invitation::default()
        };
        let shown: Vec<_> = ["a", "b", "c"].map(|name| fit.show(large(name))).to_vec();
        assert_eq!(shown.iter().map(|shown| shown.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(shown.iter().map(|shown| shown.pass_through.is_empty()).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(fit.show(pb::Invitation { message: "small".to_owned(), ..Default::default() }).message, "small");
    }
}
