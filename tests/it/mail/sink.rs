//! A mail server that does as it is told, well or badly, and remembers what was said to it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// The reaction of the server at a step.
#[derive(Clone)]
pub(crate) enum Act {
    /// It answers in one or more lines.
    Say(&'static str),
    /// It says nothing, but stays.
    Silence,
    /// It says a byte every now and then and never ends.
    Dribble,
    /// It hangs up.
    Close,
    /// It gives its usual answer as soon as the semaphore is closed.
    Hold(Arc<Semaphore>),
}

/// The moment at which TLS begins.
#[derive(Clone)]
pub(crate) enum Tls {
    Never,
    Implicit(TlsAcceptor),
    AfterStarttls(TlsAcceptor),
}

/// A message that was taken, with the number of the connection it came by.
pub(crate) struct Taken {
    pub(crate) connection: usize,
    pub(crate) text: String,
}

#[derive(Default)]
struct Memory {
    said: Vec<String>,
    taken: Vec<Taken>,
    connections: usize,
}

pub(crate) struct Sink {
    address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Clone)]
struct Manner {
    acts: HashMap<&'static str, Act>,
    extensions: Vec<&'static str>,
    tls: Tls,
    memory: Arc<Mutex<Memory>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Sink {
    /// A server that takes everything.
    pub(crate) async fn kind() -> Self {
        Self::start(&[], &[], Tls::Never).await
    }

    /// A server that does something else at some steps: `GREETING`, a command, or `MESSAGE`.
    pub(crate) async fn that(acts: &[(&'static str, Act)]) -> Self {
        Self::start(acts, &[], Tls::Never).await
    }

    /// A server with extensions and TLS.
    pub(crate) async fn start(acts: &[(&'static str, Act)], extensions: &[&'static str], tls: Tls) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let memory = Arc::<Mutex<Memory>>::default();
        let acts = acts.iter().cloned().collect();
        let manner = Manner { acts, extensions: extensions.to_vec(), tls, memory: Arc::clone(&memory) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = {
                    let mut memory = manner.memory.lock().unwrap();
                    memory.connections += 1;
                    memory.connections
                };
                tokio::spawn(manner.clone().receive(Box::new(stream), connection));
            }
        });
        Self { address, memory }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// `smtp://` to it.
    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Every command it got, in order, over all connections.
    pub(crate) fn said(&self) -> Vec<String> {
        self.memory.lock().unwrap().said.clone()
    }

    /// The number of messages it took, their connections, and the last message.
    pub(crate) fn taken(&self) -> (Vec<usize>, String) {
        let memory = self.memory.lock().unwrap();
        let connections = memory.taken.iter().map(|taken| taken.connection).collect();
        (connections, memory.taken.last().map(|taken| taken.text.clone()).unwrap_or_default())
    }

    pub(crate) fn connections(&self) -> usize {
        self.memory.lock().unwrap().connections
    }
}

impl Manner {
    /// Serves a connection; an error is the client's hanging up.
    async fn receive(self, stream: Box<dyn Stream>, connection: usize) {
        let _ = self.serve(stream, connection).await;
    }

    async fn serve(self, stream: Box<dyn Stream>, connection: usize) -> std::io::Result<()> {
        let mut encrypted = false;
        let mut stream = match &self.tls {
            Tls::Implicit(acceptor) => {
                encrypted = true;
                BufReader::new(Box::new(acceptor.accept(stream).await?) as Box<dyn Stream>)
            }
            Tls::Never | Tls::AfterStarttls(_) => BufReader::new(stream),
        };
        self.act(&mut stream, "GREETING", "220 sink ESMTP\r\n").await?;
        loop {
            let line = read_line(&mut stream).await?;
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            self.memory.lock().unwrap().said.push(line.clone());
            match (verb.as_str(), &self.tls) {
                ("EHLO", _) => {
                    let answer = self.greet(encrypted);
                    self.act(&mut stream, "EHLO", &answer).await?;
                }
                ("STARTTLS", Tls::AfterStarttls(acceptor)) => {
                    self.act(&mut stream, "STARTTLS", "220 2.0.0 go ahead\r\n").await?;
                    let accepted = acceptor.accept(stream.into_inner()).await?;
                    stream = BufReader::new(Box::new(accepted) as Box<dyn Stream>);
                    encrypted = true;
                }
                ("AUTH", _) => {
                    let answer = self.authenticate(&mut stream, &line).await?;
                    self.act(&mut stream, "AUTH", answer).await?;
                }
                ("MAIL", _) => self.act(&mut stream, "MAIL", "250 2.1.0 ok\r\n").await?,
                ("RCPT", _) => self.act(&mut stream, "RCPT", "250 2.1.5 ok\r\n").await?,
                ("RSET", _) => self.act(&mut stream, "RSET", "250 2.0.0 ok\r\n").await?,
                ("DATA", _) => {
                    self.act(&mut stream, "DATA", "354 go on\r\n").await?;
                    let text = read_message(&mut stream).await?;
                    self.act(&mut stream, "MESSAGE", "250 2.0.0 taken\r\n").await?;
                    self.memory.lock().unwrap().taken.push(Taken { connection, text });
                }
                ("QUIT", _) => return stream.write_all(b"221 2.0.0 bye\r\n").await,
                _ => stream.write_all(b"502 5.5.1 what?\r\n").await?,
            }
        }
    }

    fn greet(&self, encrypted: bool) -> String {
        let mut lines = vec!["sink"];
        lines.extend(matches!(self.tls, Tls::AfterStarttls(_)).then_some("STARTTLS").filter(|_| !encrypted));
        lines.extend(&self.extensions);
        let last = lines.len() - 1;
        let lines = lines.iter().enumerate();
        lines.map(|(index, line)| format!("250{}{line}\r\n", if index == last { ' ' } else { '-' })).collect()
    }

    /// Lets `user` in with the password `hunter2`.
    async fn authenticate(&self, stream: &mut BufReader<Box<dyn Stream>>, line: &str) -> std::io::Result<&'static str> {
        let decode = |text: &str| String::from_utf8(BASE64.decode(text.trim().as_bytes()).unwrap()).unwrap();
        let right = match line.strip_prefix("AUTH PLAIN ") {
            Some(response) => decode(response) == "\0user\0hunter2",
            None => {
                let mut given = Vec::new();
                for prompt in ["334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n"] {
                    stream.write_all(prompt.as_bytes()).await?;
                    given.push(decode(&read_line(stream).await?));
                }
                given == ["user", "hunter2"]
            }
        };
        Ok(if right { "235 2.7.0 welcome\r\n" } else { "535 5.7.8 wrong credentials for user\r\n" })
    }

    /// Does what it was told to do at a step, or gives the usual answer; returns an error if that is the end.
    async fn act(&self, stream: &mut BufReader<Box<dyn Stream>>, step: &str, usual: &str) -> std::io::Result<()> {
        match self.acts.get(step) {
            None => stream.write_all(usual.as_bytes()).await?,
            Some(Act::Say(answer)) => {
                // At once, so that a client who reads ahead has all of it.
                stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
            }
            Some(Act::Hold(released)) => {
                // A closed semaphore answers with an error.
                drop(released.acquire().await);
                stream.write_all(usual.as_bytes()).await?;
            }
            Some(Act::Close) => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            Some(Act::Silence) => {
                read_line(stream).await?;
            }
            Some(Act::Dribble) => {
                let mut every = tokio::time::interval(Duration::from_millis(20));
                loop {
                    every.tick().await;
                    stream.write_all(b"2").await?;
                    stream.flush().await?;
                }
            }
        }
        stream.flush().await
    }
}

async fn read_line(stream: &mut BufReader<Box<dyn Stream>>) -> std::io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// Reads up to the dot, as strictly as the RFC: only CR LF ends a line.
async fn read_message(stream: &mut BufReader<Box<dyn Stream>>) -> std::io::Result<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" && (text.is_empty() || text.ends_with("\r\n")) {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
