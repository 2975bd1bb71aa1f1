//! The code itself: six digits, or eight characters where many addresses would do.

use std::fmt;

use crate::domain::invitation::Invitation;
use crate::domain::invitation::email_rule::{Binding, binding};
use crate::domain::kind::general::RecipientMatch;
use crate::domain::value::rule::Invalid;

/// The letters and digits of Crockford's base 32 (<https://www.crockford.com/base32.html>), which has none that look alike.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The number of codes of six digits.
const DIGIT_CODES: u64 = 1_000_000;
/// The number of codes of eight characters, of 5 bits each.
const CHARACTER_CODES: u64 = 1 << 40;

/// The form of a code.
///
/// Where a domain is bound, whoever guesses may choose among all of its addresses, each with codes of its own, and one link
/// serves many people, so that many wrong tries are honest. There a code has so many forms that tries need not be few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeForm {
    /// Six digits.
    Digits,
    /// Eight letters and digits.
    Characters,
}

impl CodeForm {
    /// Returns the form of the codes of an invitation, which is the same for every address.
    pub fn of(invitation: &Invitation) -> Self {
        match binding(invitation) {
            Binding::Open | Binding::Recipients(RecipientMatch::Exact) => Self::Digits,
            Binding::Domains(_) | Binding::Recipients(RecipientMatch::Domain | RecipientMatch::Any) => Self::Characters,
        }
    }

    /// Returns the form of codes of some length, which is how a form is stored.
    pub fn of_length(length: i32) -> Option<Self> {
        [Self::Digits, Self::Characters].into_iter().find(|form| form.length() == length)
    }

    /// Returns the number of characters of a code, without what groups them.
    pub fn length(self) -> i32 {
        match self {
            Self::Digits => 6,
            Self::Characters => 8,
        }
    }
}

/// A code. Never printed by `{:?}`.
///
/// Comparing two codes compares two numbers, which takes the same time whichever character differs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code {
    form: CodeForm,
    number: u64,
}

impl Code {
    /// Creates the code of some random bits.
    pub(super) fn of_bits(form: CodeForm, bits: u64) -> Self {
        // 2^64 is so much larger than the number of codes that all codes are practically equally likely.
        let number = match form {
            CodeForm::Digits => bits % DIGIT_CODES,
            CodeForm::Characters => bits % CHARACTER_CODES,
        };
        Self { form, number }
    }

    /// Parses a code of either form, as a person writes it: in capitals or not, with spaces and hyphens anywhere, and with
    /// letters that look like digits.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = Invalid::format("must be the six digits or the eight characters of the mail");
        // A person groups a code by a few characters.
        if text.len() > 64 {
            return Err(invalid);
        }
        let groups =
            |c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{2060}');
        let values: Option<Vec<u64>> = text.chars().filter(|c| !groups(*c)).map(value).collect();
        let values = values.ok_or(invalid)?;
        let number = |base: u64| values.iter().fold(0, |number, value| number * base + value);
        match values.len() {
            6 if values.iter().all(|value| *value < 10) => Ok(Self { form: CodeForm::Digits, number: number(10) }),
            8 => Ok(Self { form: CodeForm::Characters, number: number(32) }),
            _ => Err(invalid),
        }
    }

    /// Returns the code as it is written in a mail: six digits, or two groups of four characters.
    pub fn reveal(self) -> String {
        match self.form {
            CodeForm::Digits => format!("{:06}", self.number),
            CodeForm::Characters => {
                let character =
                    |place: u32| char::from(ALPHABET[(self.number >> (5 * place)) as usize % ALPHABET.len()]);
                let group = |places: [u32; 4]| places.map(character).iter().collect::<String>();
                format!("{}-{}", group([7, 6, 5, 4]), group([3, 2, 1, 0]))
            }
        }
    }
}

/// Returns the value of a character, also of one that only looks like a digit.
fn value(c: char) -> Option<u64> {
    let alike = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let byte = u8::try_from(alike).ok()?;
    ALPHABET.iter().position(|known| *known == byte).and_then(|value| u64::try_from(value).ok())
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code([redacted])")
    }
}

#[cfg(test)]
mod tests;
