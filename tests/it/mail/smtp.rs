//! Mail servers that say no, say nothing, or say it too slowly.

use std::time::{Duration, Instant};

use invitation_service::mail::transport::{SendError, SendFailure, Transport};
use tokio::net::TcpListener;

use super::build::{mail_config, mail_to};
use super::sink::{Act, Sink, Tls};

/// Short, since some of these servers are there to use it up.
const TIMEOUT: &str = "300ms";

fn transport(url: &str, more: &[(&str, &str)]) -> Transport {
    let settings = [&[("url", url), ("starttls", "none"), ("timeout", TIMEOUT)], more].concat();
    Transport::new(&mail_config(&settings)).unwrap()
}

/// The fate of a message at a server that behaves like this.
async fn send(acts: &[(&'static str, Act)]) -> (Result<(), SendError>, Sink) {
    let sink = Sink::that(acts).await;
    let sent = transport(&sink.url(), &[]).send(&mail_to("jane@example.org")).await;
    (sent, sink)
}

fn assert_fails(result: &Result<(), SendError>, kind: SendFailure, words: &str) {
    let error = result.as_ref().unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.text.contains(words), "{error}");
    for secret in ["jane", "example.org", "http", "inv_", "127.0.0.1"] {
        assert!(!error.text.contains(secret), "{secret} in {error}");
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn message_is_handed_over_with_its_envelope() {
    let (sent, sink) = send(&[]).await;
    sent.unwrap();
    let said = ["EHLO example.com", "MAIL FROM:<no-reply@example.com>", "RCPT TO:<jane@example.org>", "DATA"];
    assert_eq!(sink.said(), said);
    assert_eq!(sink.taken().0, [1]);
    assert!(sink.taken().1.contains("\r\nTo: \"Jane Doe\" <jane@example.org>\r\n"), "{}", sink.taken().1);
}

#[tokio::test(crate = "crate::support::limit")]
async fn nobody_there_means_later() {
    let port = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
    let sent = transport(&format!("smtp://127.0.0.1:{port}"), &[]).send(&mail_to("jane@example.org")).await;
    assert_fails(&sent, SendFailure::Retry, "connection refused");
    let sent = transport("smtp://mail.invalid", &[]).send(&mail_to("jane@example.org")).await;
    assert_eq!(sent.unwrap_err().kind, SendFailure::Retry);
}

#[tokio::test(crate = "crate::support::limit")]
async fn server_that_falls_silent_or_dribbles_is_given_up_in_time() {
    for step in ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "MESSAGE"] {
        for act in [Act::Silence, Act::Dribble] {
            let begun = Instant::now();
            let (sent, sink) = send(&[(step, act)]).await;
            assert_fails(&sent, SendFailure::Retry, "t");
            assert!(begun.elapsed() < Duration::from_secs(10), "{step}");
            assert!(sink.taken().0.is_empty(), "{step}");
        }
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn temporary_no_means_later_at_every_step() {
    for (step, answer) in [
        ("GREETING", "421 4.3.2 too busy"),
        ("EHLO", "421 4.3.2 too busy"),
        ("MAIL", "451 4.3.0 try later"),
        ("RCPT", "450 4.2.1 greylisted, jane@example.org"),
        ("RCPT", "452 4.2.2 mailbox of jane@example.org full"),
        ("DATA", "421 4.3.2 closing"),
        ("MESSAGE", "451 4.7.1 see https://example.org/why"),
    ] {
        let (sent, _) = send(&[(step, Act::Say(answer))]).await;
        assert_fails(&sent, SendFailure::Retry, &answer[..9]);
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn permanent_no_to_recipient_or_message_is_final() {
    for (step, answer, kind) in [
        ("RCPT", "550 5.1.1 no such user jane@example.org", SendFailure::BadAddress),
        ("RCPT", "550 5.7.1 not from you", SendFailure::Refused),
        ("DATA", "554 5.5.1 no", SendFailure::Refused),
        ("MESSAGE", "552 5.3.4 too big", SendFailure::Refused),
    ] {
        let (sent, _) = send(&[(step, Act::Say(answer))]).await;
        assert_fails(&sent, kind, &answer[..9]);
    }
    let (sent, _) = send(&[("RCPT", Act::Say("550-5.1.1 no such\r\n550 5.1.1 user"))]).await;
    assert_fails(&sent, SendFailure::BadAddress, "550 5.1.1 to RCPT");
    let (sent, _) = send(&[("RCPT", Act::Say("550 jane@example.org?"))]).await;
    assert_fails(&sent, SendFailure::Refused, "550 to RCPT");
}

#[tokio::test(crate = "crate::support::limit")]
async fn permanent_no_to_us_pauses_everything() {
    for (step, answer) in [
        ("GREETING", "554 5.7.1 your address is blocked"),
        ("MAIL", "550 5.7.1 not your sender"),
        ("MAIL", "530 5.7.0 authenticate first"),
    ] {
        let (sent, _) = send(&[(step, Act::Say(answer))]).await;
        assert_fails(&sent, SendFailure::Misconfigured, &answer[..9]);
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn refused_credentials_at_a_message_cost_it_one_attempt() {
    for step in ["RCPT", "DATA", "MESSAGE"] {
        let (sent, _) = send(&[(step, Act::Say("530 5.7.0 the next server wants more"))]).await;
        assert_fails(&sent, SendFailure::Retry, "530 5.7.0");
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn connection_closed_halfway_means_later() {
    for step in ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "MESSAGE"] {
        let (sent, _) = send(&[(step, Act::Close)]).await;
        assert_fails(&sent, SendFailure::Retry, "closed");
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn malformed_answer_is_not_taken_for_one() {
    for (step, answer) in [("MAIL", "hello"), ("DATA", "250 ok"), ("MESSAGE", "354 more"), ("RCPT", "251x")] {
        let (sent, sink) = send(&[(step, Act::Say(answer))]).await;
        assert_eq!(sent.unwrap_err().kind, SendFailure::Retry, "{step}: {answer}");
        assert!(step == "MESSAGE" || sink.taken().0.is_empty());
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn without_starttls_nothing_is_said_where_it_is_required() {
    let sink = Sink::start(&[], &["AUTH PLAIN"], Tls::Never).await;
    let url = format!("smtp://user:hunter2@127.0.0.1:{}", sink.port());
    let transport = Transport::new(&mail_config(&[("url", &url), ("timeout", TIMEOUT)])).unwrap();
    let sent = transport.send(&mail_to("jane@example.org")).await;
    assert_fails(&sent, SendFailure::Misconfigured, "STARTTLS");
    assert_eq!(sink.said(), ["EHLO example.com"]);
}

#[tokio::test(crate = "crate::support::limit")]
async fn connection_is_used_again_and_a_broken_one_is_not() {
    let sink = Sink::kind().await;
    let transport = transport(&sink.url(), &[("connections", "1"), ("helo", "client.example.net")]);
    for _ in 0..3 {
        transport.send(&mail_to("jane@example.org")).await.unwrap();
    }
    assert_eq!((sink.taken().0, sink.connections()), (vec![1, 1, 1], 1));
    assert_eq!(sink.said()[0], "EHLO client.example.net");

    let closing = Sink::that(&[("RSET", Act::Close)]).await;
    let transport = self::transport(&closing.url(), &[]);
    for _ in 0..2 {
        transport.send(&mail_to("jane@example.org")).await.unwrap();
    }
    assert_eq!(closing.taken().0, [1, 2], "the server had hung up in between");
}

#[tokio::test(crate = "crate::support::limit")]
async fn connection_is_reused_after_a_refusal_but_not_a_timeout() {
    let refusing = Sink::that(&[("RCPT", Act::Say("550 5.1.1 no"))]).await;
    let silent = Sink::that(&[("RCPT", Act::Silence)]).await;
    for (sink, connections) in [(refusing, 1), (silent, 2)] {
        let transport = transport(&sink.url(), &[]);
        for _ in 0..2 {
            transport.send(&mail_to("jane@example.org")).await.unwrap_err();
        }
        assert_eq!(sink.connections(), connections);
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn send_dropped_halfway_leaves_nothing_for_the_next() {
    let sink = Sink::that(&[("MAIL", Act::Silence)]).await;
    let transport = transport(&sink.url(), &[("timeout", "60s"), ("connections", "1")]);
    for connections in 1..=2 {
        let mail = mail_to("jane@example.org");
        let given_up = tokio::time::timeout(Duration::from_millis(200), transport.send(&mail)).await;
        assert!(given_up.is_err());
        assert_eq!(sink.connections(), connections, "a new connection, though only one may be open");
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn no_more_connections_are_open_than_allowed() {
    let sink = Sink::kind().await;
    let transport = transport(&sink.url(), &[("connections", "2"), ("timeout", "30s")]);
    let mail = mail_to("jane@example.org");
    let all = futures_util::future::join_all((0..20).map(|_| transport.send(&mail))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(sink.taken().0.len(), 20);
    assert!(sink.connections() <= 2, "{}", sink.connections());
}

#[tokio::test(crate = "crate::support::limit")]
async fn address_beyond_ascii_needs_a_server_that_takes_it() {
    let plain = Sink::kind().await;
    let sent = transport(&plain.url(), &[]).send(&mail_to("jürgen@example.org")).await;
    assert_eq!(sent.unwrap_err().kind, SendFailure::Refused);
    assert_eq!(plain.said(), ["EHLO example.com"], "the address was not said");

    let able = Sink::start(&[], &["8BITMIME", "SMTPUTF8"], Tls::Never).await;
    transport(&able.url(), &[]).send(&mail_to("jürgen@exämple.org")).await.unwrap();
    assert_eq!(able.said()[1], "MAIL FROM:<no-reply@example.com> SMTPUTF8 BODY=8BITMIME");
    assert_eq!(able.said()[2], "RCPT TO:<jürgen@xn--exmple-cua.org>");
    // Whatever is accepted can be mailed: letters with marks, and letters that are not composed.
    for (address, said) in [
        ("विक्रम@example.org", "विक्रम@example.org"),
        ("முருகன்@example.org", "முருகன்@example.org"),
        ("রবীন্দ্র@example.org", "রবীন্দ্র@example.org"),
        ("สมชาย@example.org", "สมชาย@example.org"),
        ("محمد@example.org", "محمد@example.org"),
        ("田中@example.org", "田中@example.org"),
        ("νίκος@example.org", "νίκος@example.org"),
        ("иван@пример.рф", "иван@xn--e1afmkfd.xn--p1ai"),
        ("ju\u{308}rgen@example.org", "jürgen@example.org"),
    ] {
        transport(&able.url(), &[]).send(&mail_to(address)).await.unwrap();
        assert!(able.said().contains(&format!("RCPT TO:<{said}>")), "{address}: {:?}", able.said());
    }

    transport(&plain.url(), &[]).send(&mail_to("jane@exämple.org")).await.unwrap();
    assert_eq!(plain.said().last().unwrap(), "DATA");
    assert!(plain.said().contains(&"RCPT TO:<jane@xn--exmple-cua.org>".to_owned()));
}
