//! Secrets in the URLs of other systems: in no line of the log, no error and no answer of `check-config`.

use tokio::net::TcpListener;

use crate::cli::server::{Server, refusal, run};
use crate::support::folder::folder;
use crate::support::service::KEYS;

const SECRET: &str = "hunter2";

#[tokio::test(crate = "crate::support::limit")]
async fn no_error_of_a_url_repeats_a_secret_in_it() {
    let folder = folder();
    let key = ("INVITATION__TOKEN__KEYS", KEYS);
    for (name, url, part) in [
        ("INVITATION__STORE__URL", "postgres://u:hunter2@localhost/d?sslpassword=hunter2", "\"sslpassword\""),
        ("INVITATION__STORE__URL", "postgres://u:hunter2@h.example/d?sslmod=hunter2", "\"sslmod\""),
        ("INVITATION__STORE__URL", "postgres://u:p@localhost/d?sslmode=hunter2", "sslmode"),
        ("INVITATION__STORE__URL", "postgres://u:p@localhost/d?port=hunter2", "port"),
        ("INVITATION__STORE__URL", "postgres://u:p@localhost/d?hunter2", "an unknown parameter"),
        ("INVITATION__STORE__URL", "postgres://u:p@localhost/d#hunter2", "`#`"),
        ("INVITATION__STORE__URL", "postgres://u:p#hunter2@localhost/d", "URL"),
        ("INVITATION__STORE__URL", "sqlite://data/a.db?key=hunter2", "\"key\""),
        ("INVITATION__STORE__READ_URL", "postgres://u:hunter2@localhost/d?a=hunter2", "\"a\""),
        ("INVITATION__STORE__LISTEN_URL", "postgres://u:hunter2@localhost/d?a=hunter2", "\"a\""),
        ("INVITATION__MAIL__URL", "smtps://u:hunter2@mail.example.org?tls=hunter2", "\"tls\""),
        ("INVITATION__MAIL__URL", "smtps://u:hunter2@mail.example.org#hunter2", "percent-encode"),
        ("INVITATION__EVENTS__NATS_URL", "tls://u:hunter2@nats.example.org?token=hunter2", "\"token\""),
        ("INVITATION__EVENTS__NATS_URL", "tls://u:hunter2@nats.example.org/hunter2", "must be nats://"),
    ] {
        let environment = [key, (name, url)];
        for arguments in [&["check-config"][..], &["serve", "--listen", "127.0.0.1:0", "--log-level", "trace"]] {
            let text = refusal(&run(folder.path(), arguments, &environment).await);
            // The log has it in JSON.
            let quoted = part.replace('"', "\\\"");
            assert!(text.contains(part) || text.contains(&quoted), "{url}: {text}");
            assert!(!text.contains(SECRET), "{url}: {text}");
        }
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn check_config_and_log_show_no_secret_of_a_good_url() {
    let folder = folder();
    // Nobody listens there.
    let url = "postgres://u:hunter2@127.0.0.1:9/d?sslmode=disable&password=hunter2&options=-c%20x.y%3Dhunter2";
    let environment = [
        ("INVITATION__TOKEN__KEYS", KEYS),
        ("INVITATION__STORE__URL", url),
        ("INVITATION__STORE__READ_URL", url),
        ("INVITATION__MAIL__URL", "smtps://u:hunter2@mail.example.org"),
        ("INVITATION__LINKS__ALLOW_LOCALHOST", "true"),
        ("INVITATION__EVENTS__NATS_URL", "tls://hunter2@127.0.0.1:9,tls://u:hunter2@localhost:9"),
    ];
    let shown = crate::cli::server::printed(&run(folder.path(), &["check-config"], &environment).await);
    assert!(shown.contains("[redacted]") && !shown.contains(SECRET), "{shown}");
    let server = Server::start(folder.path(), &["--log-level", "trace"], &environment).await;
    server.logged("not ready").await;
    assert!(!server.log().contains(SECRET), "{}", server.log());
    server.kill().await;
    // Commands that end by themselves say what is wrong without it, too. This server hangs up.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let url = url.replace("127.0.0.1:9", &address.to_string());
    let environment = [environment[0], ("INVITATION__STORE__URL", url.as_str())];
    let text = refusal(&run(folder.path(), &["migrate", "--wait", "0s"], &environment).await);
    assert!(!text.contains(SECRET), "{text}");
}
