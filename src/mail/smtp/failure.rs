//! The meaning of a mail server's refusal, or of its silence.

use std::error::Error as _;
use std::io;

use lettre::transport::smtp::Error;

use crate::domain::delivery::bounce::{is_bad_address, is_enhanced};
use crate::mail::transport::{SendError, SendFailure};
use crate::telemetry::cause;

/// A step of the dialogue, in the words of RFC 5321.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Up to the answer to EHLO, implicit TLS included.
    Connect,
    /// The change to TLS.
    Starttls,
    /// The credentials.
    Auth,
    /// The check whether an idle connection is still good.
    Rset,
    /// The sender.
    Mail,
    /// The recipient.
    Rcpt,
    /// The question whether the message may come.
    Data,
    /// The message.
    Message,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Connect => "the connection",
            Self::Starttls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Rset => "RSET",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Message => "the message",
        }
    }

    /// Returns whether a permanent refusal at this step concerns the one message, and not everything that we send.
    fn is_about_the_message(self) -> bool {
        match self {
            // The sender is the same for all messages.
            Self::Connect | Self::Starttls | Self::Auth | Self::Rset | Self::Mail => false,
            Self::Rcpt | Self::Data | Self::Message => true,
        }
    }
}

/// Answers that ask for credentials, or for others, wherever they come: RFC 4954, RFC 3207 and a bad order of commands,
/// which servers send that want AUTH first.
const CREDENTIALS: [u16; 5] = [503, 530, 534, 535, 538];

/// Returns the meaning of a failed step.
pub(crate) fn of(step: Step, error: &Error) -> SendError {
    if let Some(code) = error.status() {
        return of_answer(step, code.into(), enhanced(error));
    }
    if let Some(rustls) = cause::find::<rustls::Error>(error) {
        let why = match rustls {
            rustls::Error::InvalidCertificate(_) => "the mail server's certificate is not valid for us",
            _ => "TLS with the mail server failed",
        };
        return SendError::new(SendFailure::Misconfigured, why);
    }
    let place = step.name();
    // An answer that ends in the middle is one that never came: the connection was closed.
    let kind = cause::find::<io::Error>(error).map(io::Error::kind).filter(|kind| *kind != io::ErrorKind::Other);
    let why = match kind {
        Some(kind) => format!("no answer to {place}: {kind}"),
        None if error.is_response() => {
            format!("the mail server closed the connection or broke the protocol at {place}")
        }
        None => format!("no answer to {place}"),
    };
    SendError::new(SendFailure::Retry, why)
}

/// Returns the meaning of an unexpected answer.
pub(crate) fn of_answer(step: Step, code: u16, enhanced: Option<String>) -> SendError {
    let kind = match code {
        // Some servers pass on the answer of the next one, so at these steps it may concern this one message: it costs an attempt.
        code if CREDENTIALS.contains(&code) && step.is_about_the_message() => SendFailure::Retry,
        code if CREDENTIALS.contains(&code) => SendFailure::Misconfigured,
        500..=599 if step.is_about_the_message() => match &enhanced {
            Some(code) if is_bad_address(code) => SendFailure::BadAddress,
            _ => SendFailure::Refused,
        },
        500..=599 => SendFailure::Misconfigured,
        _ => SendFailure::Retry,
    };
    let enhanced = enhanced.map(|code| format!(" {code}")).unwrap_or_default();
    SendError::new(kind, format!("the mail server answered {code}{enhanced} to {}", step.name()))
}

/// Returns the error of a failed connection.
pub(crate) fn cut(error: &io::Error) -> SendError {
    SendError::new(SendFailure::Retry, format!("no answer to {}: {}", Step::Connect.name(), error.kind()))
}

/// Returns the error of a step that took too long.
pub(crate) fn late(step: Step) -> SendError {
    SendError::new(SendFailure::Retry, format!("no answer to {} in time", step.name()))
}

/// Returns the enhanced status code (RFC 3463) that an answer begins with.
fn enhanced(error: &Error) -> Option<String> {
    let words = error.source()?.to_string();
    let code = words.split_whitespace().next()?;
    is_enhanced(code).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_what_its_code_and_its_step_say() {
        use SendFailure::{BadAddress, Misconfigured, Refused, Retry};
        for (step, code, kind) in [
            (Step::Connect, 421, Retry),
            (Step::Connect, 554, Misconfigured),
            (Step::Starttls, 454, Retry),
            (Step::Auth, 454, Retry),
            (Step::Auth, 535, Misconfigured),
            (Step::Mail, 451, Retry),
            (Step::Mail, 530, Misconfigured),
            (Step::Mail, 550, Misconfigured),
            (Step::Rcpt, 450, Retry),
            (Step::Rcpt, 452, Retry),
            (Step::Rcpt, 550, BadAddress),
            (Step::Rcpt, 530, Retry),
            (Step::Data, 554, BadAddress),
            (Step::Message, 421, Retry),
            (Step::Message, 552, BadAddress),
        ] {
            let error = of_answer(step, code, Some("5.1.1".to_owned()));
            assert_eq!(error.kind, kind, "{step:?} {code}");
            assert!(error.text.contains(&format!("{code} 5.1.1")), "{error}");
        }
        for (enhanced, kind) in [
            (None, Refused),
            (Some("5.1.8"), Refused),
            (Some("5.2.2"), Refused),
            (Some("5.7.1"), Refused),
            (Some("4.1.1"), Refused),
            (Some("5.1.10"), BadAddress),
        ] {
            assert_eq!(of_answer(Step::Rcpt, 550, enhanced.map(str::to_owned)).kind, kind, "{enhanced:?}");
        }
    }
}
