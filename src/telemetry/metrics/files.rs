//! The files that are read again, by the keys of the configuration that name them: the values of the label `file`.

pub(crate) const TLS: &str = "grpc.tls";
pub(crate) const API_KEYS: &str = "auth.api_keys_file";
pub(crate) const CLIENT_CERTIFICATES: &str = "auth.client_certificates_file";
pub(crate) const ACCOUNTS: &str = "auth.accounts_file";
pub(crate) const JWT_ISSUERS: &str = "auth.jwt_issuers_file";
pub(crate) const JWKS: &str = "jwks_file";
pub(crate) const TOKEN_KEYS: &str = "token.keys_file";
pub(crate) const STORE: &str = "store";
pub(crate) const MAIL: &str = "mail";
pub(crate) const NATS_URL: &str = "events.nats_url_file";

/// Every value of the label, with the files that it stands for. `docs/metrics.md` shows the table.
pub const FILES: [(&str, &str); 10] = [
    (TLS, "`grpc.tls.cert_file`, `key_file` and `client_ca_file`, which are read together"),
    (API_KEYS, "the file of API keys"),
    (CLIENT_CERTIFICATES, "the file of client certificates"),
    (ACCOUNTS, "the file of accounts"),
    (JWT_ISSUERS, "the file of JWT issuers"),
    (JWKS, "the `jwks_file` of each JWT issuer: usable if those of all are"),
    (TOKEN_KEYS, "the token keys, on SQLite also those beside the database"),
    (STORE, "`store.url_file`, `password_file`, `listen_url_file` and `read_url_file`, which are read together"),
    (MAIL, "`mail.url_file` and `ca_file`, which are read together"),
    (NATS_URL, "the file of the URLs of NATS"),
];
