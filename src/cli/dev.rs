//! `dev`: the service on this machine alone.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use clap::Args;

use crate::config::{Config, ConfigError};

/// The flags of `dev`. What is configured for production, in a file or by the environment, does not count.
#[derive(Clone, Debug, Args)]
pub struct DevArgs {
    /// Loopback address and port of the service.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Loopback address and port of the pages with the invitations and the mail.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8025")]
    pub dev_listen: SocketAddr,
    /// Loopback address and port of the pages behind the links.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub pages_listen: SocketAddr,
    /// The log filter, such as info or info,delivery=debug; docs/logs.md has the targets.
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub log_level: String,
    /// Form of the log: auto, text or json.
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub log_format: String,
}

impl DevArgs {
    /// Loads the configuration of a service whose files are in a folder of its own.
    ///
    /// # Errors
    /// An address that is not on loopback, or a problem of the configuration.
    pub fn load(&self, folder: &Path) -> Result<Config, ConfigError> {
        let Self { listen, dev_listen, pages_listen, log_level, log_format } = self;
        for (flag, address) in [("--listen", listen), ("--dev-listen", dev_listen), ("--pages-listen", pages_listen)] {
            if !address.ip().is_loopback() {
                return Err(ConfigError::one(
                    flag,
                    "must be a loopback address: everybody who reaches it may do everything",
                ));
            }
        }
        let links = ["links.connection", "links.user", "links.guest", "links.general"];
        let link = format!("http://{pages_listen}/i/{{token}}");
        let set = [
            ("grpc.listen", listen.to_string()),
            ("log.format", log_format.clone()),
            ("log.level", log_level.clone()),
            ("mail.url", format!("dir:{}", folder.join("mail").display())),
            ("pages.listen", pages_listen.to_string()),
            ("store.url", format!("sqlite://{}", folder.join("invitations.db").display())),
        ];
        let environment: [(OsString, OsString); 0] = [];
        Config::load(None, environment, set.into_iter().chain(links.map(|key| (key, link.clone()))))
    }
}
