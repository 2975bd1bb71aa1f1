//! `backup`: copies a SQLite database while the service runs.

use std::path::Path;

use super::console::Console;
use super::{Exit, Failure, Outcome};
use crate::cli::BackupArgs;
use crate::config::StoreUrl;
use crate::serve::generated_keys;
use crate::store::back_up;

/// Copies the database, and the keys that lie beside it.
pub(super) async fn run(args: BackupArgs, console: &Console) -> Outcome {
    let BackupArgs { config, file } = args;
    let config = config.load()?;
    let StoreUrl::Sqlite(database) = &config.store.url else {
        let text = "backup is for SQLite: back PostgreSQL up with pg_dump, as docs/operations.md shows";
        return Err(Failure::new(Exit::Usage, text));
    };
    // Keys that are configured lie elsewhere, and whoever put them there keeps them.
    let keys = generated_keys(database);
    let has_keys = config.token.keys.is_none() && keys.exists();
    let copied_keys = file.with_extension("keys");
    if has_keys && copied_keys == file {
        return Err(Failure::new(Exit::Usage, "FILE may not end in .keys, which is the name of the keys beside it"));
    }
    let pair: Option<(&Path, &Path)> = has_keys.then_some((keys.as_path(), copied_keys.as_path()));
    let bytes = back_up(database, &file, pair).await.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let keys = match (has_keys, &config.files.token_keys) {
        (true, _) => format!("its keys are in {}: keep the two together", copied_keys.display()),
        (false, Some(file)) => format!("its keys are those of {}: keep a copy of that file too", file.display()),
        (false, None) if config.token.keys.is_none() => "it has no keys yet, which the first start creates".to_owned(),
        (false, None) => "its keys are those of token.keys: keep a copy of them too".to_owned(),
    };
    console.say(&format!("copied {} to {} ({bytes} bytes, checked); {keys}", database.display(), file.display()))?;
    Ok(Exit::Success)
}
