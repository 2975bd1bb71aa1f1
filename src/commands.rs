//! The commands of the binary: each runs, prints, and ends with an exit code that says of what class its failure is.
//!
//! The commands' arguments are in [`cli`].

mod api_key;
mod backup;
mod client;
mod console;
mod dev;
mod doctor;
mod erasures;
mod failure;
mod health;
mod migrate;
mod retire_key;
mod runtime;
mod serve;

use std::process::ExitCode;

pub use crate::cli::exit::Exit;
use crate::cli::{self, ApiKeyCommand, Command};
use crate::entropy::Entropy;
use console::Console;
pub use failure::Failure;

type Outcome = Result<Exit, Failure>;

/// Runs a command, and says on the console or in the log why it failed.
pub fn run(command: Command) -> ExitCode {
    let mut console = Console::of(&command);
    let exit = match runtime::start() {
        Ok(runtime) => runtime.run(run_until_signal(command, &mut console)),
        Err(failure) => console.fail(&failure),
    };
    ExitCode::from(exit.code())
}

/// Runs a command. The service ends by itself when a signal says so, and every other command is ended.
async fn run_until_signal(command: Command, console: &mut Console) -> Exit {
    let handles_signals = matches!(command, Command::Serve(_) | Command::Dev(_));
    let ended = tokio::select! {
        // Boxed, since the compiler gives up on the layout of futures that are nested this deep.
        outcome = Box::pin(execute(command, console)) => Ok(outcome),
        exit = runtime::ended(), if !handles_signals => Err(exit),
    };
    match ended {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => console.fail(&failure),
        Err(exit) => {
            if console.is_logged() {
                console.fail(&Failure::new(exit, "a signal ended the command"));
            }
            exit
        }
    }
}

async fn execute(command: Command, console: &mut Console) -> Outcome {
    match command {
        Command::Serve(args) => Box::pin(serve::run(args, console)).await,
        Command::Dev(args) => Box::pin(dev::run(&args, console)).await,
        Command::Migrate(args) => migrate::run(args, console).await,
        Command::Doctor(args) => Box::pin(doctor::run(args, console)).await,
        Command::Backup(args) => backup::run(args, console).await,
        Command::Erasures(args) => erasures::list(args, console).await,
        Command::EraseAgain(args) => Box::pin(erasures::again(args, console)).await,
        Command::RetireKey(args) => retire_key::run(args, console).await,
        Command::CheckConfig(args) => {
            let config = args.load()?;
            crate::serve::check::check(&config)?;
            console.say(&config.redacted())?;
            Ok(Exit::Success)
        }
        Command::Health(args) => health::run(args, console).await,
        Command::ApiKey(ApiKeyCommand::Entry(args)) => {
            console.say(&cli::api_key::entry(args, &Entropy::system()).map_err(Failure::of_arguments)?)?;
            Ok(Exit::Success)
        }
        Command::ApiKey(ApiKeyCommand::Create(args)) => api_key::create(args, console).await,
        Command::Client(command) => client::run(*command).await,
        Command::Completions(args) => client::generated(cli::generate::completions(&args)),
        Command::Man(args) => client::generated(cli::generate::man(&args)),
        Command::TokenKey(args) => {
            console.say(&cli::token_key::run(&args, &Entropy::system()))?;
            Ok(Exit::Success)
        }
    }
}
