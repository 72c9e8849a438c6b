from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.errors import UsageError
from devicepipe.signing.pkcs11_uri import MODULE_VARIABLE, Pkcs11Uri

MODULE = "?module-path=/m.so"


def parse(text: str) -> Pkcs11Uri:
    return Pkcs11Uri.parse(text, Path("/base"))


def test_all_that_it_can_name() -> None:
    uri = parse(
        "pkcs11:token=The%20Software%20PKCS%2311;serial=0a1b;manufacturer=Snake%20Oil%2C%20Inc.;model=1.0;object=my-key;"
        "type=private;id=%01%ffA?module-path=/m.so&pin-source=file:/etc/token_pin"
    )
    assert uri == Pkcs11Uri(
        token="The Software PKCS#11",
        serial="0a1b",
        manufacturer="Snake Oil, Inc.",
        model="1.0",
        object="my-key",
        id=b"\x01\xffA",
        module="/m.so",
        pin_source="file:/etc/token_pin",
    )
    assert uri.shown == "pkcs11:token=The%20Software%20PKCS%2311;serial=0a1b;object=my-key;id=%01%FFA"


def test_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODULE_VARIABLE, "/env.so")
    assert parse("pkcs11:token=t;object=k").module == "/env.so"
    assert parse("pkcs11:token=t;object=k?module-path=/m.so").module == "/m.so"
    assert parse("pkcs11:token=t;object=k?module-path=lib/m.so").module == "/base/lib/m.so"
    assert parse("pkcs11:token=t;object=k?module-name=p11-kit-proxy").module == "libp11-kit-proxy.so"
    monkeypatch.delenv(MODULE_VARIABLE)
    with pytest.raises(UsageError, match="names no module"):
        parse("pkcs11:token=t;object=k")


REFUSED = {
    "another scheme": "pkcs12:token=t;object=k",
    "empty": "pkcs11:",
    "no token": f"pkcs11:object=k{MODULE}",
    "no key": f"pkcs11:token=t{MODULE}",
    "a public key": f"pkcs11:token=t;object=k;type=public{MODULE}",
    "twice": f"pkcs11:token=t;token=u;object=k{MODULE}",
    "no value": f"pkcs11:token=t;object={MODULE}",
    "no equals sign": f"pkcs11:token=t;object{MODULE}",
    "an unknown attribute": f"pkcs11:token=t;object=k;slot-id=1{MODULE}",
    "a query's attribute in the path": "pkcs11:token=t;object=k;module-path=/m.so",
    "a broken escape": f"pkcs11:token=t;object=%4{MODULE}",
    "a space": f"pkcs11:token=t;object=a b{MODULE}",
    "not UTF-8": f"pkcs11:token=t;object=%ff{MODULE}",
    "two modules": "pkcs11:token=t;object=k?module-path=/m.so&module-name=m",
    "a name that is a path": "pkcs11:token=t;object=k?module-name=../m",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "where", [";pin-value=1234secret?module-path=/m.so", "?module-path=/m.so&pin-value=1234secret"]
)
def test_a_pin_in_a_uri_is_refused_and_not_repeated(where: str) -> None:
    with pytest.raises(UsageError, match="with the PIN in it") as caught:
        parse(f"pkcs11:token=t;object=k{where}")
    assert "1234secret" not in f"{caught.value} {caught.value.to_json()}"


@given(st.text(max_size=100))
def test_any_text_is_a_uri_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse(f"pkcs11:{text}")
