//! A real browser, driven by the WebDriver protocol.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use rcgen::CertificateParams;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::support::certificates::Authority;

/// The name of an element in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Chromium in a session of its own.
pub(crate) struct Browser {
    client: Client,
    session: String,
    /// Ends with this.
    _driver: Child,
}

/// Whether there is a browser. With REQUIRE_E2E there has to be.
pub(crate) fn has_browser() -> bool {
    let found = ["chromedriver", "chromium"].iter().all(|program| {
        env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
    });
    let required = env::var("REQUIRE_E2E").is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
    assert!(found || !required, "REQUIRE_E2E is set, and no chromium was found; `make test` installs it");
    found
}

impl Browser {
    /// Starts a browser for which a host of the Internet is a port of this machine.
    pub(crate) async fn start(host: &str, port: u16) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver says its port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
            }
        };
        let rules = format!("--host-resolver-rules=MAP {host}:443 127.0.0.1:{port}");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--ignore-certificate-errors",
            &rules,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let client = Client::new();
        let made = call(&client, Method::POST, &format!("{address}/session"), &wanted).await;
        let session = format!("{address}/session/{}", made["sessionId"].as_str().unwrap());
        Self { client, session, _driver: driver }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        call(&self.client, Method::POST, &format!("{}/{path}", self.session), &body).await
    }

    pub(crate) async fn open(&self, url: &str) {
        self.post("url", json!({"url": url})).await;
    }

    pub(crate) async fn url(&self) -> String {
        let url = call(&self.client, Method::GET, &format!("{}/url", self.session), &Value::Null).await;
        url.as_str().unwrap().to_owned()
    }

    /// Runs a function of a page's script, past the policy of the page.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.post("execute/sync", json!({"script": script, "args": []})).await
    }

    pub(crate) async fn text(&self) -> String {
        self.script("return document.body.innerText").await.as_str().unwrap().to_owned()
    }

    async fn element(&self, css: &str) -> String {
        let found = self.post("element", json!({"using": "css selector", "value": css})).await;
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("no {css}: {found}")).to_owned()
    }

    pub(crate) async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.post(&format!("element/{element}/click"), json!({})).await;
    }

    pub(crate) async fn enter(&self, css: &str, text: &str) {
        let element = self.element(css).await;
        self.post(&format!("element/{element}/value"), json!({"text": text})).await;
    }

    /// Presses keys where the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let presses = keys.chars().flat_map(|key| ["keyDown", "keyUp"].map(|act| json!({"type": act, "value": key})));
        let presses: Vec<_> = presses.collect();
        self.post("actions", json!({"actions": [{"type": "key", "id": "keys", "actions": presses}]})).await;
    }

    /// Sends a command of the DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    /// Shows pages in a width, light or dark.
    pub(crate) async fn look(&self, width: u32, scheme: &str) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Asks for pages in a language.
    pub(crate) async fn speak(&self, language: &str) {
        let agent = self.script("return navigator.userAgent").await;
        self.devtools("Network.setUserAgentOverride", json!({"userAgent": agent, "acceptLanguage": language})).await;
    }

    /// Takes a picture of the page, into the folder PAGES_SHOTS if it is set.
    pub(crate) async fn shoot(&self, name: &str) {
        let shot = self.devtools("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await;
        let picture = BASE64.decode(shot["data"].as_str().unwrap().as_bytes()).unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
        if let Some(folder) = env::var_os("PAGES_SHOTS") {
            std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), picture).unwrap();
        }
    }

    /// Returns what the browser has complained of.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", json!({"type": "browser"})).await;
        let entries = log.as_array().unwrap().iter();
        entries.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the roles and names of a page, as a screen reader has them.
    pub(crate) async fn spoken(&self) -> Vec<(String, String)> {
        let tree = self.devtools("Accessibility.getFullAXTree", json!({})).await;
        let part = |node: &Value, part: &str| node[part]["value"].as_str().unwrap_or_default().to_owned();
        let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false);
        nodes.map(|node| (part(node, "role"), part(node, "name"))).collect()
    }

    /// Ends the session, and the browser with it.
    pub(crate) async fn end(self) {
        call(&self.client, Method::DELETE, &self.session, &Value::Null).await;
    }
}

async fn call(client: &Client, method: Method, url: &str, body: &Value) -> Value {
    let mut request = client.request(method, url).header("content-type", "application/json");
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    assert!(status.is_success(), "{url} {body}: {text}");
    answer["value"].take()
}

/// The service that people are sent to: it answers over TLS, and keeps the heads of the requests.
pub(crate) struct NextService {
    pub(crate) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl NextService {
    pub(crate) async fn start(host: &str) -> Self {
        let pair = Authority::new().sign(CertificateParams::new(vec![host.to_owned()]).unwrap());
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let tls = ServerConfig::builder().with_no_client_auth();
        let tls = Arc::new(tls.with_single_cert(vec![pair.der.into()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, heads) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
        let (acceptor, kept) = (TlsAcceptor::from(tls), Arc::clone(&heads));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let (mut head, mut buffer) = (Vec::new(), [0; 4_096]);
                    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                        match stream.read(&mut buffer).await {
                            Ok(read) if read > 0 => head.extend(&buffer[..read]),
                            _ => return,
                        }
                    }
                    kept.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                    let page = "<!DOCTYPE html><title>Welcome</title><h1>Welcome</h1>";
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
                        page.len()
                    );
                    drop(stream.write_all(answer.as_bytes()).await);
                    drop(stream.shutdown().await);
                });
            }
        });
        Self { port, heads }
    }

    /// Returns the heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}
