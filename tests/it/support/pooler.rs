//! A pooler before the throw-away cluster, and what makes the databases behind it strict.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use sea_orm::{ConnectionTrait, Database};

use super::postgres::is_set;

/// The default isolation of the pooler's connections: any statement may be refused because of others.
const STRICT: &str = "SET default_transaction_isolation = serializable";

/// The configuration of the pooler, which gives a connection away after each transaction and has too few for all.
const POOLER: &str = "
auth_type = plain
pool_mode = transaction
default_pool_size = 6
max_client_conn = 3000
server_idle_timeout = 5
unix_socket_dir =
listen_addr = 127.0.0.1
";

/// Returns whether the tests go through a pooler.
pub(crate) fn is_pooled() -> bool {
    is_set("TEST_POOLER")
}

/// Writes the files of the pooler beside the cluster, and returns the program that reads them.
pub(super) fn prepare(program: &Path, folder: &Path, server: u16, port: u16, password: &str) -> PathBuf {
    let dir = folder.display();
    let configuration = format!(
        "[databases]\n* = host=127.0.0.1 port={server} connect_query='{STRICT}'\n[pgbouncer]{POOLER}listen_port = {port}
        auth_file = {dir}/users\nlogfile = {dir}/pgbouncer.log\npidfile = {dir}/pgbouncer.pid\n"
    );
    fs::write(folder.join("users"), format!("\"postgres\" \"{password}\"\n")).expect("write the pooler's users");
    fs::write(folder.join("pgbouncer.ini"), configuration).expect("write the pooler's configuration");
    // The server's user may not be let into the folder of the program.
    let copy = folder.join("pgbouncer");
    fs::copy(program, &copy).expect("copy the pooler");
    copy
}

/// The program of PgBouncer: the one in PATH, or where Debian has it.
pub(super) fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file())
}

/// Makes a database refuse the service one write in twenty or so, as if it met other transactions: a save writes a dozen tables. The
/// refusals come at equal distances, so that the next attempt succeeds.
pub(super) async fn refuse_now_and_then(url: &str) {
    let admin = Database::connect(url).await.expect("connect to the template");
    for sql in [
        "CREATE SEQUENCE written",
        "CREATE FUNCTION refuse_now_and_then() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF current_setting('application_name') = 'invitation-service' AND nextval('written') % 211 = 0 THEN
                RAISE EXCEPTION 'now and then' USING ERRCODE = '40001';
            END IF;
            RETURN NULL; END $$",
        "DO $$ DECLARE r record; BEGIN
            FOR r IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
                AND relname <> 'seaql_migrations' LOOP
                EXECUTE format('CREATE TRIGGER refuse AFTER INSERT OR UPDATE OR DELETE ON %I
                    FOR EACH STATEMENT EXECUTE FUNCTION refuse_now_and_then()', r.relname);
            END LOOP; END $$",
    ] {
        admin.execute_unprepared(sql).await.expect("have the template refuse");
    }
    admin.close().await.expect("close the connection to the template");
}
