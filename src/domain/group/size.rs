//! The memory that a waiting command occupies.

use std::io;

use crate::domain::command::{Action, Command, CreateInvitation, SyncAutojoin};
use crate::domain::invitation::recipient::NewRecipient;
use crate::domain::kind::Details;

/// The bytes of a command without lists and JSON: its fields are bounded to some hundred characters each.
const COMMAND: usize = 1_024;
/// The bytes of an entry of a list beside its text.
const ENTRY: usize = 128;

impl Command {
    /// Returns about how many bytes of memory the command occupies, by which queues are kept to a size.
    pub fn bytes(&self) -> usize {
        let own = match &self.action {
            Action::Create(create) => created(create),
            Action::SyncAutojoin(sync) => synced(sync),
            _ => 0,
        };
        COMMAND + own
    }
}

fn created(create: &CreateInvitation) -> usize {
    let labels: usize = create.labels.iter().map(|(key, value)| ENTRY + key.len() + value.len()).sum();
    let recipients: usize = create.recipients.iter().map(recipient).sum();
    details(&create.details) + labels + recipients
}

fn recipient(recipient: &NewRecipient) -> usize {
    let texts = [&recipient.display_name, &recipient.avatar_uri];
    // An e-mail address is kept as it was written and as it is compared.
    ENTRY + 2 * recipient.address.original().len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
}

fn synced(sync: &SyncAutojoin) -> usize {
    let domains: usize = sync.domains.iter().map(|domain| ENTRY + domain.len()).sum();
    domains + sync.metadata.as_ref().map_or(0, String::len)
}

/// Returns the length of the details as JSON.
fn details(details: &Details) -> usize {
    let mut counted = Count(0);
    let written = match details {
        Details::Connection(details) => serde_json::to_writer(&mut counted, details),
        Details::User(details) => serde_json::to_writer(&mut counted, details),
        Details::Guest(details) => serde_json::to_writer(&mut counted, details),
        Details::General(details) => serde_json::to_writer(&mut counted, details),
    };
    // Details that cannot be written are refused by the save; what was counted until then is their size.
    drop(written);
    counted.0
}

/// Counts the bytes that are written to it.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixtures::{creation, details, email, general};
    use crate::domain::kind::Kind;
    use crate::domain::kind::general::Usage;

    fn growth(change: impl FnOnce(&mut CreateInvitation)) -> usize {
        let plain = creation(details(Kind::Connection), &[]);
        let mut changed = plain.clone();
        change(&mut changed);
        created(&changed) - created(&plain)
    }

    #[test]
    fn size_grows_with_recipients_and_labels() {
        let address = "ann@example.org";
        let recipient = NewRecipient { display_name: Some("Ann".to_owned()), ..email(address).into() };
        assert_eq!(growth(|create| create.recipients.push(recipient)), ENTRY + 2 * address.len() + 3);
        assert_eq!(growth(|create| drop(create.labels.insert("key".to_owned(), "value".to_owned()))), ENTRY + 8);
    }

    #[test]
    fn size_grows_with_the_json_of_every_kind() {
        for kind in Kind::ALL {
            let size = super::details(&details(kind));
            assert!((10..1_000).contains(&size), "{kind:?}: {size}");
        }
        let mut large = general(Usage::MultiUse);
        let plain = super::details(&Details::General(Box::new(large.clone())));
        large.kept.metadata = Some("x".repeat(10_000));
        assert!(super::details(&Details::General(Box::new(large))) > plain + 9_000);
    }
}
