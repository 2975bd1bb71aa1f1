//! ScopeService.

mod seats;
pub(crate) mod sync_autojoin;
