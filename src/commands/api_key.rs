//! `api-key create`: makes an API key in the database.

use super::console::Console;
use super::{Exit, Failure, Outcome};
use crate::auth::audit::{KeyEvent, audit};
use crate::cli::CreateApiKeyArgs;
use crate::cli::api_key::{self, NewApiKey};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::serve::open;
use crate::store::{ApiKeyCreated, WriteOnce};

/// Creates an API key in the database, whose schema is brought up to date first where a start would do so too.
pub(super) async fn create(args: CreateApiKeyArgs, console: &mut Console) -> Outcome {
    let config = args.config.load()?;
    let made = api_key::record(args.key, &Entropy::system(), Clock::system().now());
    let NewApiKey { secret, account, record } = made.map_err(Failure::of_arguments)?;
    console.start_log(&config.log)?;
    let database = open(&config.store, Clock::system()).await?;
    let maintenance = database.maintenance();
    if config.store.migrate_on_start {
        maintenance.migrate().await?;
    }
    // The limit is on those who make keys with a key. The operator makes one also where all are used up.
    let created = match database.create_api_key(&account, &record, &WriteOnce::default(), None).await {
        Ok(created) => Ok(created),
        Err(error) => Err(maintenance.explain(error).await),
    };
    database.close().await;
    if created? != ApiKeyCreated::Created {
        let text = format!("the account has, or had, an API key {}: choose another name", record.key_id);
        return Err(Failure::new(Exit::Failed, text));
    }
    let span = tracing::info_span!("cli", account = account.as_str(), caller = record.creator);
    span.in_scope(|| audit(KeyEvent::Created, &record));
    let otherwise = format!("the key {} was created and nobody has it: revoke it", record.key_id);
    console.say_once(secret.expose(), &otherwise)?;
    Ok(Exit::Success)
}
