//! Parses the arguments and runs the command. Exit codes are documented in docs/operations.md.

use std::process::ExitCode;

use invitation_service::{cli, commands};

/// The service makes and drops many small values on several threads, where the system's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run(cli::parse())
}
