from __future__ import annotations

import pytest

from portside.errors import BuildError, hinting


def test_an_error_without_a_way_on_gets_one() -> None:
    with pytest.raises(BuildError) as caught, hinting("take another base"):
        raise BuildError("the base is broken")

    assert caught.value.hint == "take another base"


def test_an_error_keeps_its_own_way_on() -> None:
    with pytest.raises(BuildError) as caught, hinting("take another base"):
        raise BuildError("there is no such base", hint="spell it right")

    assert caught.value.hint == "spell it right"
