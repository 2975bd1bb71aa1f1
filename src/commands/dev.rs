//! `dev`: runs the service on this machine alone, with nothing that stays and nothing that leaves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::console::Console;
use super::{Exit, Failure, Outcome, serve};
use crate::cli::dev::DevArgs;
use crate::dev::{self, DevPages};
use crate::entropy::Entropy;
use crate::private_file;

/// An invitation to try, in the JSON that both faces take.
const INVITATION: &str = r#"{"invitation": {"scope": {"type": "team", "id": "7", "displayName": "Team Seven"}, "roles": ["editor"], "targets": [{"type": "TARGET_TYPE_EMAIL", "value": "ann@example.org"}]}}"#;

/// Serves until a signal ends it, and leaves nothing behind.
pub(super) async fn run(args: &DevArgs, console: &mut Console) -> Outcome {
    let shutdown = serve::on_signals()?;
    let folder = Folder::new()?;
    let config = args.load(&folder.0)?;
    let mail = folder.0.join("mail");
    let listener = TcpListener::bind(args.dev_listen)
        .await
        .map_err(|error| Failure::new(Exit::Configuration, format!("--dev-listen {}: {error}", args.dev_listen)))?;
    let at = listener.local_addr().unwrap_or(args.dev_listen);
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let hint = move |address: SocketAddr| {
        match DevPages::new(address, mail) {
            Ok(pages) => drop(tokio::spawn(dev::serve(listener, pages, stop))),
            Err(error) => return Some(format!("the pages cannot be shown: {error}")),
        }
        Some(lines(address, at))
    };
    serve::serve(config, shutdown, console, hint).await
}

/// Returns the lines to try.
fn lines(address: SocketAddr, at: SocketAddr) -> String {
    let create = "invitation.v1.InvitationService/CreateInvitation";
    format!(
        "Try: curl -H 'content-type: application/json' -d '{INVITATION}' http://{address}/{create}\n\
         Try: grpcurl -plaintext -d '{INVITATION}' {address} {create}\n\
         See: http://{at}{} for the invitations, http://{at}{} for the mail; all is gone when this ends",
        dev::OVERVIEW,
        dev::MAILBOX,
    )
}

/// A folder that is deleted with everything in it once it is no longer needed.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let name = format!("invitation-service-dev-{}", Uuid::from_bytes(Entropy::system().bytes()).simple());
        let path = std::env::temp_dir().join(name);
        match private_file::make_folder(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(unusable(&path, &error)),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The system empties its folder of temporary files in any case.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {error}", path.display()))
}
