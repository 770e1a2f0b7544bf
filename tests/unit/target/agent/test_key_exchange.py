"""How a host's key is told: whoever reads all that was said has nothing of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.agent import key_exchange as exchange

KEY = "0123456789abcdef" * 4


def test_the_key_comes_over_and_nothing_that_is_said_holds_it() -> None:
    own, asked = exchange.draw()
    told = exchange.seal(KEY, asked)
    assert exchange.unseal(own, asked, json.loads(json.dumps(told))) == KEY
    said = asked + json.dumps(told)
    assert not any(KEY[place : place + 8] in said for place in range(len(KEY) - 8))
    # Another answer has other words, and none for whoever asked something else.
    assert exchange.seal(KEY, asked)["sealed"] != told["sealed"]
    with pytest.raises(ValueError, match="somebody else"):
        exchange.unseal(exchange.draw()[0], asked, told)


def test_the_numbers_are_those_of_ffdhe2048() -> None:
    assert exchange.PRIME.bit_length() == 2048
    for number in (exchange.PRIME, (exchange.PRIME - 1) // 2):
        assert all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7))
    own, _asked = exchange.draw()
    assert own.bit_length() == exchange.SECRET_BITS


@pytest.mark.parametrize(
    "number", [None, 5, "", "0", "1", "xyz", "%x" % (exchange.PRIME - 1), "%x" % exchange.PRIME, "f" * 513, "2\n", ["2"]]
)
def test_numbers_that_give_the_secret_away_are_refused(number: Any) -> None:
    own, asked = exchange.draw()
    with pytest.raises(ValueError, match="no number"):
        exchange.seal(KEY, number)
    with pytest.raises(ValueError, match="no number"):
        exchange.unseal(own, asked, {**exchange.seal(KEY, asked), "public": number})


@pytest.mark.parametrize(
    "change", [{"sealed": "00" * 32}, {"proof": "00" * 32}, {"sealed": KEY[:-1]}, {"proof": 5}, {"sealed": None}, None]
)
def test_an_answer_that_was_changed_or_is_none_is_refused(change: Any) -> None:
    own, asked = exchange.draw()
    with pytest.raises(ValueError, match=r"it (is no key|was sealed)"):
        exchange.unseal(own, asked, change and {**exchange.seal(KEY, asked), **change})
