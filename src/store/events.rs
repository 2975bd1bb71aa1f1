//! Events in their order: numbered once, read once for all watchers, and followed by cursors.

pub(super) mod cursor;
pub mod listener;
pub(super) mod notifications;
pub(super) mod resume;
pub mod sequencer;
