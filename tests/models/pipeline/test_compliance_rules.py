"""Each rule finds what it is for and leaves alone what only looks like it; digits must pass their check."""

import pytest

from benchmarks.compliance_notes import CLINICAL
from models.pipeline.compliance.rules import load_rules, matchers
from models.pipeline.compliance.text import masked, plain, scan, words

REGIONS = ("US", "GB", "DE", "CH", "HU")

# rule: a text, and what of it is found
FOUND: dict[str, tuple[tuple[str, str], ...]] = {
    "name": (
        ("Mrs. O'Brien-Smith was told", "Mrs. O'Brien-Smith"),
        ("Name: Anna Müller, ward 3", "Name: Anna Müller"),
        ("Herr Dr. Weiß rief an", "Herr Dr. Weiß"),
    ),
    "email": (
        ("write to jo.doe+x@mail.example.org now", "jo.doe+x@mail.example.org"),
        ("a [at] b [dot] org", "a [at] b [dot] org"),
    ),
    "phone": (("on +41 44 668 18 00 today", "+41 44 668 18 00"), ("call 2125550123", "2125550123")),
    "national-number": (
        ("123-45-6788 in the form", "123-45-6788"),
        ("nhs 943 476 5919", "943 476 5919"),
        ("AHV 756.9217.0769.85", "756.9217.0769.85"),
    ),
    "passport": (("passport C01X00T47 seen", "C01X00T47"),),
    "url": (("see https://example.org/a?b=c there", "https://example.org/a?b=c"),),
    "ip-address": (
        ("from 198.51.100.7 at night", "198.51.100.7"),
        ("from 2001:db8::8a2e:370:7334", "2001:db8::8a2e:370:7334"),
    ),
    "address": (
        ("at 12 High Street, upstairs", "12 High Street"),
        ("SW1A 1AA is far", "SW1A 1AA"),
        ("Bahnhofstraße 3 in", "Bahnhofstraße 3"),
    ),
    "bank-account": (
        ("to DE89 3704 0044 0532 0130 00 for costs", "DE89 3704 0044 0532 0130 00"),
        ("GB82WEST12345698765432.", "GB82WEST12345698765432"),
    ),
    "account-number": (("account 00123456 is open", "00123456"),),
    "payment-card": (("4111 1111 1111 1111 declined", "4111 1111 1111 1111"),),
    "income": (("earns 4,200 EUR", "earns 4,200 EUR"),),
    "criminal-record": (("convicted of theft", "convicted of"),),
    "location": (("at 47.376887, 8.541694 then", "47.376887, 8.541694"),),
    "household-abuse": (("domestic violence at home", "domestic violence"),),
    "secret": (("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"), ("password: hunter22 ok", "password: hunter22")),
    "marking": (("STRICTLY CONFIDENTIAL", "CONFIDENTIAL"),),
    "commercial": (("the gross margin fell", "gross margin"),),
    "date": (
        ("on 2024-02-29 at", "2024-02-29"),
        ("on 12.03.2024 at", "12.03.2024"),
        ("born 3/4/61", "3/4/61"),
        ("March 12th, 2024", "March 12th, 2024"),
        ("3. März 2019", "3. März 2019"),
    ),
    "age-over-89": (("a 90-year-old", "90-year-old"), ("aged 101", "aged 101")),
    "record-number": (("MRN: 00482913 again", "00482913"),),
    "health-plan": (("1EG4-TE5-MK73", "1EG4-TE5-MK73"), ("member id ABC123456789", "ABC123456789")),
    "vehicle": (("1M8GDM9AXKP042788", "1M8GDM9AXKP042788"), ("plate ZH 482913", "ZH 482913")),
    "device": (("00:1B:44:11:3A:B7 paired", "00:1B:44:11:3A:B7"), ("serial PJN482913", "PJN482913")),
    "biometric": (("fingerprint template kept", "fingerprint template"),),
    "picture": (("see IMG_4711.jpg", "IMG_4711.jpg"),),
    "unique-code": (("event 123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),),
    "insult": (("what a bastard", "bastard"), ("f*cking late", "f*cking")),
    "slur": (("this retard again", "retard"),),
    "threat": (("I will kill him", "I will kill him"),),
    "ethnicity": (("of Turkish descent", "of Turkish descent"),),
    "politics": (("a registered Republican", "registered Republican"),),
    "religion": (("a devout Catholic", "devout Catholic"),),
    "trade-union": (("trade union official", "trade union"),),
    "genetic": (("BRCA1 positive", "BRCA1 positive"),),
    "sex-life": (("he is gay", "is gay"),),
    "other-health": (("HIV positive", "HIV positive"),),
}
WRONG_DIGITS = {
    "payment-card": "4111 1111 1111 1112 declined",
    "bank-account": "DE88 3704 0044 0532 0130 00",
    "national-number": "nhs 943 476 5918",
    "vehicle": "1M8GDM9A1KP042788",
    "ip-address": "from 198.51.100.777",
    "phone": "+41 00 000 00 00",
}


@pytest.mark.parametrize(
    ("rule", "text", "expected"), [(rule, text, expected) for rule, cases in FOUND.items() for text, expected in cases]
)
def test_a_rule_finds_what_it_is_for_and_no_more(rule: str, text: str, expected: str) -> None:
    spans = [span for span in scan(text, "", REGIONS) if span.rule.id == rule]
    assert [plain(text)[span.start : span.end] for span in spans] == [expected]


@pytest.mark.parametrize(("rule", "text"), WRONG_DIGITS.items())
def test_digits_that_fail_their_check_are_left_alone(rule: str, text: str) -> None:
    assert rule not in {span.rule.id for span in scan(text, "", REGIONS)}


def test_every_rule_that_reads_text_is_tried() -> None:
    assert set(FOUND) == {matcher.rule.id for matcher in matchers()}
    assert {rule.id for rule in load_rules().values() if rule.check} == set(WRONG_DIGITS)


@pytest.mark.parametrize("text", CLINICAL)
def test_a_clinical_note_is_left_as_it_is(text: str) -> None:
    assert scan(text, "note", REGIONS) == []


@pytest.mark.parametrize("text", ["jo\u200b@exam\u00adple.org", "\uff4a\uff4f\uff20example.org", "JO@EXAMPLE.ORG"])
def test_spelling_does_not_hide(text: str) -> None:
    assert masked(text, scan(text, "", ())) == "[removed: email]"


@pytest.mark.parametrize("text", [text for cases in FOUND.values() for text, _ in cases])
def test_nothing_is_found_in_what_was_masked(text: str) -> None:
    left = masked(text, scan(text, "", REGIONS))
    assert left is None or scan(left, "", REGIONS) == []


def test_a_word_in_the_heading_counts_like_one_before_the_number() -> None:
    assert scan("00482913", "", REGIONS) == []
    assert [span.rule.id for span in scan("00482913", words("MRN_old"), REGIONS)] == ["record-number"]


@pytest.mark.parametrize(
    "text", ["1" * 10_000, "a@" * 5_000, "A" * 10_000, "+1 " * 3_300, ":" * 10_000, "0" * 31 + "g" * 9_000]
)
def test_no_text_takes_more_than_its_length_in_time(text: str) -> None:
    """Nothing is timed: a pattern that backtracks without bound would not end."""
    scan(text, "mrn phone account serial plate passport", REGIONS)
