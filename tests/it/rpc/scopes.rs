//! ScopeService.

pub(crate) mod sync_autojoin;
