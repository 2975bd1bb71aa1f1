//! `retire-key`: gives up a key, so that the key ring may lack it.

use super::console::Console;
use super::{Exit, Failure, Outcome};
use crate::cli::RetireKeyArgs;
use crate::clock::Clock;
use crate::serve::open;

/// Gives up a key. On SQLite the service has to be stopped, since the file has one process at a time.
pub(super) async fn run(args: RetireKeyArgs, console: &mut Console) -> Outcome {
    let RetireKeyArgs { config, id } = args;
    let config = config.load()?;
    console.start_log(&config.log)?;
    let database = open(&config.store, Clock::system()).await?;
    let maintenance = database.maintenance();
    let retired = match maintenance.retire_key(id).await {
        Ok(retired) => Ok(retired),
        Err(error) => Err(maintenance.explain(error).await),
    };
    database.close().await;
    if !retired? {
        return Err(Failure::new(Exit::Failed, format!("the database knows no key {id}")));
    }
    console.say(&format!("key {id} is retired: take it out of token.keys"))?;
    Ok(Exit::Success)
}
