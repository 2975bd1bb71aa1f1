//! The sockets that the service listens on.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::config::Config;

/// The sockets of the service.
#[derive(Debug)]
pub struct Listeners {
    /// The socket for calls.
    pub grpc: TcpListener,
    /// The socket for probes, if the configuration has one.
    pub admin: Option<TcpListener>,
    /// The socket for the pages, if the configuration has one.
    pub pages: Option<TcpListener>,
}

impl Listeners {
    /// Opens the configured sockets.
    ///
    /// # Errors
    /// The key whose address cannot be listened on, and the reason.
    pub async fn bind(config: &Config) -> Result<Self, String> {
        let grpc = bind("grpc.listen", config.grpc.listen).await?;
        let admin = match config.admin.listen {
            Some(address) => Some(bind("admin.listen", address).await?),
            None => None,
        };
        let pages = match config.pages.listen {
            Some(address) => Some(bind("pages.listen", address).await?),
            None => None,
        };
        Ok(Self { grpc, admin, pages })
    }
}

async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("{key}: {address}: {error}"))
}
