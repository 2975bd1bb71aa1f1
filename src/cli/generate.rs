//! `completions` and `man`: what shells and readers of manuals need, made of the definition of the commands.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Cli;

/// The flags of `completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Shell that runs the script.
    #[arg(value_enum)]
    shell: Shell,
}

/// The flags of `man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Folder to write a page for each command to; without it, the page of the program alone is printed.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Prints the completions of a shell.
///
/// # Errors
/// An output that cannot be written.
pub fn completions(args: &CompletionsArgs) -> io::Result<()> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, &name, &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if let Shell::Bash = args.shell {
        // The library spells a program with a hyphen in two ways, so that no subcommand would be found.
        script = script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"));
    }
    io::stdout().write_all(script.as_bytes())
}

/// Prints the man page, or writes all of them to a folder.
///
/// # Errors
/// An output that cannot be written.
pub fn man(args: &ManArgs) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    match &args.folder {
        Some(folder) => write_pages(&command, command.get_name(), folder),
        None => Man::new(command).render(&mut io::stdout()),
    }
}

/// Writes the page of a command and those of its subcommands, such as `invitation-service-keys-create.1`.
fn write_pages(command: &Command, name: &str, folder: &Path) -> io::Result<()> {
    let mut page = Vec::new();
    // A page is found by the name of its file, so its title has to be the same.
    Man::new(command.clone()).title(name).render(&mut page)?;
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, page)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let mut inner = command.get_subcommands().filter(|inner| inner.get_name() != "help");
    inner.try_for_each(|inner| write_pages(inner, &format!("{name}-{}", inner.get_name()), folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        man(&ManArgs { folder: Some(folder.path().to_owned()) }).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("invitation-service.1").contains("invitation\\-service\\-list(1)"));
        assert!(read("invitation-service-keys-create.1").contains("\\-\\-permission"));
        assert!(read("invitation-service-create-user.1").contains("\\-\\-role"));
    }
}
