"""Fingerprints are those of the gateway, so that all sides agree on what another payload is."""

from __future__ import annotations

import pytest

from hooklatch_receiver import fingerprint


def test_c5_fingerprints_are_those_of_the_gateway() -> None:
    json = fingerprint(b' { "b": 1.0, "a": "x" } ', "order.paid")
    assert json.hex() == "33379209680053ecadd6ecaf5ca1d0373631f83f2de4faf2201c47d329d5e7dd"
    raw = fingerprint(b"not json")
    assert raw.hex() == "133c846ee7c0590e142440c6975b48015a7917582dba9047230cd4df969d9a13"


@pytest.mark.parametrize(
    "spellings",
    [
        [b"1", b"1.0", b"1e0", b"10e-1", b"0.1e1"],
        [b"0", b"-0", b"0.00", b"0e5"],
        [b"100", b"1e2"],
        [b"-1.5", b"-15e-1"],
    ],
)
def test_k9_a_number_has_one_spelling(spellings: list[bytes]) -> None:
    assert len({fingerprint(text) for text in spellings}) == 1


def test_k9_different_payloads_differ() -> None:
    others = [b"9007199254740993", b"9007199254740992", b"1", b'"1"', b"1e999999999999", b"true"]
    others += [b"null", b"[]", b"{}", b"NaN", b""]
    assert len({fingerprint(text) for text in others}) == len(others)
    one, other = b'{"b":"\\u0041","a":[1,{"c":2}]}', b' {"a":[1.0,{"c":2}],"b":"A"} '
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(b'{"a":1,"a":2}') != fingerprint(b'{"a":2}')


def test_k11_what_is_excluded_does_not_count() -> None:
    def of(text: bytes) -> bytes:
        return fingerprint(text, None, ["$.pending", "$.a[0].n"])

    assert of(b'{"id":1,"pending":3,"a":[{"n":1}]}') == of(b'{"id":1,"a":[{"n":2}]}')
    assert of(b'{"id":1,"pending":3}') != of(b'{"id":2,"pending":3}')
