//! The size of an answer about several invitations.

use prost::Message;

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
    pub(in crate::api) fn show<T: Named>(&mut self, whole: T) -> T {
        let Some(left) = self.left.checked_sub(whole.encoded_len()) else { return whole.names_alone() };
        self.left = left;
        whole
    }
}

/// An invitation that can be shown by its names alone.
pub(in crate::api) trait Named: Message {
    /// Leaves the names, the state and the outcome.
    fn names_alone(self) -> Self;
}

impl Named for pb::Invitation {
    fn names_alone(self) -> Self {
        Self {
            name: self.name,
            uid: self.uid,
            typed_name: self.typed_name,
            kind: self.kind,
            state: self.state,
            etag: self.etag,
            create_outcome: self.create_outcome,
            ..Self::default()
        }
    }
}

impl Named for pb::UserInvitation {
    fn names_alone(self) -> Self {
        Self {
            name: self.name,
            uid: self.uid,
            state: self.state,
            etag: self.etag,
            create_outcome: self.create_outcome,
            ..Self::default()
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
