import pytest

from tests.support import sentences


@pytest.fixture(autouse=True)
def _reasons_are_sentences(monkeypatch):
    sentences.hold_reasons(monkeypatch)
