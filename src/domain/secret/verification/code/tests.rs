//! Codes as people read and write them.

use super::*;
use crate::domain::fixtures::{general, invitation, invited};
use crate::domain::kind::Details;
use crate::domain::kind::general::{GeneralDetails, Usage};

#[test]
fn codes_are_long_where_more_than_the_invited_may_accept() {
    let of = |usage, recipient_match, addresses: &[&str]| {
        let domains = vec!["example.org".to_owned()];
        let details = GeneralDetails { recipient_match, domains, ..general(usage) };
        CodeForm::of(&invited(1, Details::General(Box::new(details)), addresses))
    };
    let ann: &[&str] = &["ann@example.org"];
    for (usage, recipient_match, addresses, form) in [
        (Usage::SingleUse, RecipientMatch::Exact, ann, CodeForm::Digits),
        (Usage::SingleUse, RecipientMatch::Domain, ann, CodeForm::Characters),
        (Usage::SingleUse, RecipientMatch::Any, ann, CodeForm::Characters),
        (Usage::SingleUse, RecipientMatch::Domain, &[], CodeForm::Digits),
        (Usage::MultiUse, RecipientMatch::Domain, ann, CodeForm::Digits),
        (Usage::Autojoin, RecipientMatch::Exact, &[], CodeForm::Characters),
    ] {
        assert_eq!(of(usage, recipient_match, addresses), form, "{usage:?} {recipient_match:?} {addresses:?}");
    }
    assert_eq!(CodeForm::of(&invitation(2, None)), CodeForm::Digits);
    assert_eq!([6, 8, 7].map(CodeForm::of_length), [Some(CodeForm::Digits), Some(CodeForm::Characters), None]);
}

#[test]
fn code_is_written_as_its_form_demands() {
    for (form, bits, text) in [
        (CodeForm::Digits, 12_345, "012345"),
        (CodeForm::Digits, u64::MAX, "551615"),
        (CodeForm::Characters, 0, "0000-0000"),
        (CodeForm::Characters, 31, "0000-000Z"),
        (CodeForm::Characters, 1 << 35, "1000-0000"),
        (CodeForm::Characters, 0x599_EF42_685D, "K7QM-4T2X"),
        (CodeForm::Characters, u64::MAX, "ZZZZ-ZZZZ"),
    ] {
        let code = Code::of_bits(form, bits);
        assert_eq!(code.reveal(), text);
        assert_eq!(Code::parse(text), Ok(code));
        assert_eq!(format!("{code:?}"), "Code([redacted])");
    }
}

#[test]
fn code_is_read_however_a_person_writes_it() {
    for (written, meant) in [
        ("012345", "012345"),
        (" 012 345\n", "012345"),
        ("01-23-45", "012345"),
        ("O1234S", ""),
        ("Ol2345", "012345"),
        ("k7qm-4t2x", "K7QM-4T2X"),
        ("K7QM4T2X", "K7QM-4T2X"),
        ("K 7 Q M\u{a0}4 T 2 X", "K7QM-4T2X"),
        ("K7QM\u{2011}4T2X", "K7QM-4T2X"),
        ("K7QM\u{2013}4T2X", "K7QM-4T2X"),
        ("koil-ooo1", "K011-0001"),
        ("12345678", "1234-5678"),
    ] {
        assert_eq!(Code::parse(written).map(Code::reveal).unwrap_or_default(), meant, "{written:?}");
    }
}

#[test]
fn text_of_another_length_or_alphabet_is_no_code() {
    let long = " ".repeat(60) + "012345";
    for text in [
        "",
        "12345",
        "1234567",
        "123456789",
        "12345a",
        "+12345",
        "１２３４５６",
        " 12345",
        "12345\n",
        "K7QM-4T2U",
        "K7QM_4T2X",
        "K7QM-4T2",
        "K7QM-4T2XX",
        "ſ7QM-4T2X",
        "0123.45",
        &long,
    ] {
        assert!(Code::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn six_digits_and_eight_characters_are_never_the_same_code() {
    assert_ne!(Code::of_bits(CodeForm::Digits, 7), Code::of_bits(CodeForm::Characters, 7));
}
