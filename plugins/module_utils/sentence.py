# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sentences that reports say in the reader's language: English text that knows its id and its parameters.

The catalogue has the same English template beside those of other languages, under the same id.
"""

import re

from typing import Any

_PLACE = re.compile(r"\{([a-z_]+)\}")


class Sentence(str):
    """An English sentence, with the ``id`` of its template and the ``params`` that are in it.

    Whatever cuts or joins it makes plain text of it, which is shown as it is in every language.
    """

    id = ""
    params = {}  # type: Dict[str, Any]


def sentence(id: str, template: str, **params: Any) -> Sentence:
    """Return the sentence of the template, in which each ``{name}`` stands for a parameter.

    :param params: texts of the host and whole numbers, which stay as they are; sentences; lists of these.
    """
    made = Sentence(_PLACE.sub(lambda match: _words(params[match.group(1)]), template))
    made.id, made.params = id, params
    return made


def _words(value):
    if isinstance(value, (list, tuple)):
        return ("; " if any(isinstance(part, Sentence) for part in value) else ", ").join(_words(part) for part in value)
    return str(value)


def as_data(value: Any) -> Any:
    """Return a parameter as JSON carries it: a sentence as its id and parameters, the rest as it is."""
    if isinstance(value, Sentence):
        return {"id": value.id, "params": dict((name, as_data(part)) for name, part in value.params.items())}
    if isinstance(value, (list, tuple)):
        return [as_data(part) for part in value]
    return value
