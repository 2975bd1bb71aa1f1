//! The reasons why a server of PostgreSQL cannot be connected to: each names the place, the server's own sentence and a remedy, and
//! never a secret.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::PathBuf;

use sea_orm::SqlxError;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::postgres::PgConnectOptions;

/// A database on a server, and the role that logs in to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    host: String,
    port: u16,
    socket: Option<PathBuf>,
    /// The name of the database.
    pub database: String,
    /// The name of the role.
    pub role: String,
}

impl Place {
    /// Returns the place that options lead to.
    pub(in crate::store) fn of(options: &PgConnectOptions) -> Self {
        let role = options.get_username().to_owned();
        Self {
            host: options.get_host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: options.get_port(),
            socket: options.get_socket().cloned(),
            database: options.get_database().unwrap_or(&role).to_owned(),
            role,
        }
    }
}

impl Place {
    /// Returns whether the server is on this machine.
    pub fn is_near(&self) -> bool {
        let Self { host, socket, .. } = self;
        let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        socket.is_some() || host.starts_with('/') || host == "localhost" || is_loopback
    }
}

/// Shows the server; database and role belong to the sentence around it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, socket, .. } = self;
        match socket {
            Some(socket) => write!(f, "PostgreSQL at the socket {}", socket.display()),
            None if host.starts_with('/') => write!(f, "PostgreSQL at the socket {host}, port {port}"),
            None if host.contains(':') => write!(f, "PostgreSQL at [{host}]:{port}"),
            None => write!(f, "PostgreSQL at {host}:{port}"),
        }
    }
}

/// The kind of a failure, by what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectProblem {
    /// The server cannot be reached, or takes no connection at present: it may do so later.
    Unreachable,
    /// The server answers and refuses this login, or this encryption: somebody has to change a setting.
    Refused,
}

/// The reason why a server cannot be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectFailure {
    /// The kind.
    pub problem: ConnectProblem,
    text: String,
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ConnectFailure {}

impl ConnectFailure {
    fn unreachable(text: String) -> Self {
        Self { problem: ConnectProblem::Unreachable, text }
    }

    fn refused(text: String) -> Self {
        Self { problem: ConnectProblem::Refused, text }
    }

    /// Returns the failure of a server that says nothing.
    pub(in crate::store) fn silent(place: &Place) -> Self {
        Self::unreachable(format!(
            "{place} does not answer in time: check host and port of the URL, and firewalls and network policies on the way"
        ))
    }

    /// Returns the failure of a login that was refused before, while nobody may try again.
    pub(in crate::store) fn refused_before(place: &Place) -> Self {
        Self::refused(format!("{place} refuses the login; it is tried again with growing pauses"))
    }

    /// Describes the error of an attempt to connect.
    pub(in crate::store) fn of(place: &Place, error: &SqlxError) -> Self {
        match error {
            SqlxError::Database(error) => of_server(place, error.as_ref()),
            SqlxError::Io(error) => of_network(place, error),
            SqlxError::Tls(error) => of_encryption(place, &error.to_string()),
            SqlxError::PoolTimedOut => Self::silent(place),
            other => Self::unreachable(format!("{place} cannot be connected to: {other}")),
        }
    }
}

/// Describes an answer of the server. Its sentence names roles, databases and addresses, and no password.
fn of_server(place: &Place, error: &dyn DatabaseError) -> ConnectFailure {
    let Place { database, role, .. } = place;
    let code = error.code().unwrap_or_default();
    let said = format!("{} (SQLSTATE {code})", error.message());
    let pooler = error.message().contains("startup parameter");
    match code.as_ref() {
        "28P01" => ConnectFailure::refused(format!(
            "{place} refuses the password of role {role} for database {database}: {said}: check the password in store.url_file, \
             store.url or store.password_file, and that the role exists"
        )),
        code if code.starts_with("28") => ConnectFailure::refused(format!(
            "{place} refuses the login of role {role} to database {database}: {said}: let role, database, address and encryption \
             (sslmode) in by a line of the server's pg_hba.conf, and check that the role exists and has LOGIN"
        )),
        "3D000" => ConnectFailure::refused(format!(
            "{place} has no database {database}: {said}: correct the URL, or create it: CREATE DATABASE {database} OWNER {role} \
             ENCODING 'UTF8' TEMPLATE template0"
        )),
        "42501" => ConnectFailure::refused(format!(
            "{place} does not let role {role} connect to database {database}: {said}: GRANT CONNECT ON DATABASE {database} TO {role}"
        )),
        "08P01" if pooler => {
            ConnectFailure::refused(format!("{place} is behind a pooler: {said}: set store.pooler = \"transaction\""))
        }
        "53300" => ConnectFailure::unreachable(format!(
            "{place} has no connection left for role {role} to database {database}: {said}: raise max_connections of the server or \
             the CONNECTION LIMIT of the role or database, or lower store.max_connections: a process opens that many and two more"
        )),
        "57P03" => ConnectFailure::unreachable(format!("{place} takes no connections yet: {said}")),
        _ => {
            ConnectFailure::unreachable(format!("{place} refuses the connection of role {role} to {database}: {said}"))
        }
    }
}

fn of_network(place: &Place, error: &io::Error) -> ConnectFailure {
    let text = match error.kind() {
        ErrorKind::ConnectionRefused => format!(
            "{place} refuses the connection ({error}): nothing listens there; check host and port of the URL, and that the server runs"
        ),
        ErrorKind::TimedOut => return ConnectFailure::silent(place),
        // The library of the system has no kind for it.
        _ if error.to_string().contains("lookup address") => {
            format!(
                "{place} has an unknown host ({error}): check the host of the URL, and the resolver of this machine"
            )
        }
        ErrorKind::NotFound => {
            format!("{place} is not there ({error}): check the host of the URL, and that the server runs")
        }
        _ => format!("{place} cannot be reached ({error}): check host and port of the URL, and that the server runs"),
    };
    ConnectFailure::unreachable(text)
}

fn of_encryption(place: &Place, error: &str) -> ConnectFailure {
    let remedy = if error.contains("does not support TLS") {
        "set ssl = on at the server, or sslmode=disable if nobody can listen on the network in between"
    } else if error.contains("UnknownIssuer") || error.contains("CaUsedAsEndEntity") {
        "set store.ca_file to the certificate of the authority that signed the server's"
    } else if error.contains("NotValidForName") {
        "the certificate is for another name: use that name as the host of the URL"
    } else if error.contains("Expired") || error.contains("NotValidYet") {
        "renew the server's certificate, and check the clock of this machine"
    } else {
        "check sslmode, store.ca_file and the certificate of the server"
    };
    ConnectFailure::refused(format!("{place} cannot be connected to with TLS: {error}: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Place {
        Place::of(&url.parse().unwrap())
    }

    #[test]
    fn place_names_the_server_and_no_secret() {
        for (url, shown) in [
            ("postgres://u:hunter2@h/d", "PostgreSQL at h:5432"),
            ("postgres://u:hunter2@[::1]:7/d", "PostgreSQL at [::1]:7"),
            ("postgres://u:hunter2@h/d?host=/run/pg", "PostgreSQL at the socket /run/pg"),
        ] {
            let place = place(url);
            assert!(place.to_string().starts_with(shown) && !format!("{place:?}").contains("hunter2"), "{place:?}");
            assert_eq!((place.database.as_str(), place.role.as_str()), ("d", "u"));
        }
    }

    #[test]
    fn network_and_encryption_failures_have_a_remedy_each() {
        let place = place("postgres://u:hunter2@db.example/d");
        let network = |kind, text: &str| SqlxError::Io(io::Error::new(kind, text.to_owned()));
        let tls = |text: &str| SqlxError::Tls(text.to_owned().into());
        let (unreachable, refused) = (ConnectProblem::Unreachable, ConnectProblem::Refused);
        for (error, problem, part) in [
            (network(ErrorKind::ConnectionRefused, "refused"), unreachable, "nothing listens there"),
            (network(ErrorKind::TimedOut, "late"), unreachable, "does not answer in time"),
            (network(ErrorKind::Other, "failed to lookup address information"), unreachable, "an unknown host"),
            (network(ErrorKind::NotFound, "no such file"), unreachable, "is not there"),
            (network(ErrorKind::ConnectionReset, "reset"), unreachable, "cannot be reached (reset)"),
            (SqlxError::PoolTimedOut, unreachable, "does not answer in time"),
            (tls("server does not support TLS"), refused, "ssl = on"),
            (tls("invalid peer certificate: UnknownIssuer"), refused, "store.ca_file"),
            (tls("invalid peer certificate: NotValidForName"), refused, "another name"),
            (tls("invalid peer certificate: Expired"), refused, "renew"),
            (tls("no common cipher"), refused, "check sslmode"),
        ] {
            let failure = ConnectFailure::of(&place, &error);
            assert_eq!(failure.problem, problem, "{failure}");
            let text = failure.to_string();
            assert!(text.starts_with("PostgreSQL at db.example:5432 ") && text.contains(part), "{text}");
            assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
        }
    }
}
