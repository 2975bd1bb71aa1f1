//! The form in which an event reaches webhooks and NATS.

use strum::{EnumString, IntoStaticStr, VariantArray};

/// The form in which an event is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum EventFormat {
    /// The event in the protobuf JSON mapping, by itself.
    #[default]
    ProtoJson,
    /// A CloudEvent in one JSON object, whose `data` is that mapping.
    CloudEventsStructured,
    /// That mapping as the body, and the attributes of the CloudEvent as headers.
    CloudEventsBinary,
}

impl EventFormat {
    /// Every format.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Returns the word for it in the database and in the configuration.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Reverses [`EventFormat::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        code.parse().ok()
    }
}
