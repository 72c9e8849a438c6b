from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicepipe.errors import IntegrityError
from devicepipe.evidence.names import clash, is_name
from devicepipe.evidence.predicates import REPRODUCIBILITY, Release, Reproducibility, Subject, Tool
from devicepipe.evidence.statement import (
    Statement,
    canonical,
    canonical_text,
    make_statement,
    parse_canonical,
    parse_pretty,
    pretty_text,
    read_predicate,
    strict_json,
)

DIGEST = "5f" * 32
SAME = Reproducibility(board="alpha", builds=2, compared=["application.bin"], identical=True, differences=[])

names = st.lists(
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}[A-Za-z0-9_]", fullmatch=True), min_size=1, max_size=4
).map("/".join)
safe_integers = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
values = st.recursive(
    st.none() | st.booleans() | safe_integers | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
objects = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), values, max_size=5)


def statement() -> Statement:
    return make_statement(REPRODUCIBILITY, SAME, {"images/a.bin": DIGEST, "b.bin": DIGEST}, "x")


# --- round trips ---


@settings(max_examples=50)
@given(st.lists(names, min_size=1, max_size=5), objects)
def test_round_trip_in_both_forms(chosen: list[str], predicate: dict[str, Any]) -> None:
    if clash(set(chosen)):
        return
    made = make_statement("urn:x", predicate, dict.fromkeys(chosen, DIGEST), "x")
    assert parse_canonical(canonical_text(made), "x") == made
    assert parse_pretty(pretty_text(made), "x") == made


def test_the_framework_s_example_is_what_we_write() -> None:
    """in-toto attestation framework, spec/v1/statement.md: the schema's fields and no others."""
    data = json.loads(canonical_text(statement()))
    assert data["_type"] == "https://in-toto.io/Statement/v1"
    assert data["subject"] == [{"digest": {"sha256": DIGEST}, "name": name} for name in ("b.bin", "images/a.bin")]
    assert data["predicateType"] == REPRODUCIBILITY
    assert data["predicate"] == SAME.to_json()
    assert set(data) == {"_type", "subject", "predicateType", "predicate"}


def test_subjects_are_found_by_name() -> None:
    assert statement().digest_of("b.bin") == DIGEST
    assert statement().digest_of("c.bin") is None


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"b": 1, "a": 2}, b'{"a":2,"b":1}'),
        ([56, {"d": True, "10": None, "1": []}], b'[56,{"1":[],"10":null,"d":true}]'),
        ("\u20ac$\u000f\nA'B\"\\\\\"/", b'"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
        ([333333333.33333329, 1e30, 4.50, 2e-3, 1e-27], b"[333333333.3333333,1e+30,4.5,0.002,1e-27]"),
        ({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
         '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'.encode()),
    ],
    ids=["order", "RFC 8785 arrays", "RFC 8785 strings", "RFC 8785 numbers", "RFC 8785 sorting"],
)  # fmt: skip
def test_canonical_json_as_in_rfc_8785(given_: object, expected: bytes) -> None:
    assert canonical(given_) == expected


# --- one text only ---

CANONICAL_SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "white space": lambda text: text.replace(b":", b": ", 1),
    "newline": lambda text: text + b"\n",
    "pretty": lambda text: json.dumps(json.loads(text), indent=2).encode(),
    "number as float": lambda text: text.replace(b'"builds":2', b'"builds":2.0'),
    "number with exponent": lambda text: text.replace(b'"builds":2', b'"builds":2e0'),
    "minus zero": lambda text: text.replace(b'"builds":2', b'"builds":-0'),
    "number beyond 2^53": lambda text: text.replace(b'"builds":2', b'"builds":9007199254740993'),
    "duplicate key": lambda text: text.replace(b'"builds":2', b'"builds":2,"builds":2'),
    "escaped key": lambda text: text.replace(b'"builds"', b'"b\\u0075ilds"'),
    "lone surrogate": lambda text: text.replace(b'"alpha"', b'"\\ud800"'),
    "NaN": lambda text: text.replace(b'"builds":2', b'"builds":NaN'),
    "further key": lambda text: text.replace(b'"_type"', b'"_more":1,"_type"'),
    "no subject key": lambda text: text.replace(b'"subject"', b'"zubject"'),
    "predicate is a list": lambda text: (
        text[: text.index(b'"predicate"')] + b'"predicate":[],"predicateType":"x","subject":[]}'
    ),
}


@pytest.mark.parametrize("spoil", CANONICAL_SPOILED.values(), ids=CANONICAL_SPOILED.keys())
def test_spoiled_statements(spoil: Callable[[bytes], bytes]) -> None:
    text = canonical_text(statement())
    assert spoil(text) != text
    with pytest.raises(IntegrityError) as caught:
        parse_canonical(spoil(text), "the/link")
    assert caught.value.link == "the/link"


def test_the_two_forms_are_not_mixed() -> None:
    with pytest.raises(IntegrityError):
        parse_pretty(canonical_text(statement()), "x")
    with pytest.raises(IntegrityError):
        parse_canonical(pretty_text(statement()), "x")


@given(st.binary(max_size=200) | objects.map(lambda data: json.dumps(data).encode()))
def test_any_other_bytes_are_an_integrity_error(data: bytes) -> None:
    for parse in (parse_canonical, parse_pretty):
        with pytest.raises(IntegrityError):
            parse(data, "x")


@settings(max_examples=200)
@given(st.data())
def test_any_flipped_bit_changes_the_meaning_or_is_refused(data: st.DataObject) -> None:
    made = statement()
    for text, parse in ((canonical_text(made), parse_canonical), (pretty_text(made), parse_pretty)):
        place = data.draw(st.integers(0, len(text) - 1))
        flipped = bytearray(text)
        flipped[place] ^= 1 << data.draw(st.integers(0, 7))
        try:
            read = parse(bytes(flipped), "x")
        except IntegrityError:
            continue
        assert read != made


def test_strict_json_bounds() -> None:
    assert strict_json(b'{"a":[1]}', "x") == {"a": [1]}
    strict_json(b"[" * 60 + b"]" * 60, "x")
    for text in (b"[" * 70 + b"]" * 70, b"[" * 500_000, b" " * (64 * 1024 * 1024 + 1), b'"\\ud800"', b"1" * 10_000):
        with pytest.raises(IntegrityError):
            strict_json(text, "x")


def test_no_subject() -> None:
    with pytest.raises(IntegrityError, match="no subject"):
        make_statement("urn:x", {}, {}, "x")


# --- predicates ---


def test_a_predicate_is_read_in_its_one_form() -> None:
    assert read_predicate(SAME.to_json(), Reproducibility, "x") == SAME


@pytest.mark.parametrize(
    "change",
    [
        {"identical": 1},
        {"identical": "yes"},
        {"builds": "2"},
        {"builds": 2.5},
        {"builds": True},
        {"board": 1},
        {"compared": "abc"},
        {"differences": None},
        {"extra": 1},
        {"differences": [{"artifact": "a", "offset": 1, "section": None}]},
    ],
    ids=str,
)
def test_predicates_in_another_form(change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        read_predicate(SAME.to_json() | change, Reproducibility, "x")


def test_python_names_of_fields_are_refused() -> None:
    release = Release(
        product="p",
        version="1.0.0",
        commit="0" * 40,
        releasable=True,
        reasons=[],
        development_keys=False,
        sealed_on="2026-01-01T00:00:00Z",
        generator=Tool(name="d", version="1"),
    )
    data = release.to_json()
    assert read_predicate(data, Release, "x") == release
    data["development_keys"] = data.pop("developmentKeys")
    with pytest.raises(IntegrityError):
        read_predicate(data, Release, "x")


# --- names ---


@given(names)
def test_good_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/..", "../a", "a/../b", "./a", "/a", "a/", "a//b", "a\\b", "a\nb", "a\0", "a b", "a\tb", "~a/b:c", ".a",
     "a/.b", "-a", "a.", "caf\u00e9", "cafe\u0301", "\uff0e\uff0e/a", "a\u2215b", "C:a", "a" * 256, "/".join("a" * 17), "a*", "a?",
     "$a", "a;b", "\u212a"],
)  # fmt: skip
def test_bad_names(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (["a", "b", "c/a", "c/b"], None),
        (["a", "a"], "a"),
        (["a", "A"], "A"),
        (["x/a", "X/b"], "X/b"),
        (["a", "a/b"], "a/b"),
        (["a/b", "a"], "a"),
        (["a/b", "A"], "A"),
        (["x/y/a", "x/Y/b"], "x/Y/b"),
    ],
)
def test_clashes(chosen: list[str], expected: str | None) -> None:
    assert clash(chosen) == expected


def test_a_subject_is_a_value() -> None:
    subject = Subject.from_json({"name": "a", "digest": {"sha256": DIGEST}})
    assert subject == Subject.from_json(subject.to_json())
