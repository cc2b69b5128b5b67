"""Sentences on which the tasks are held against transformers: names, places, scripts, oddities."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

NAMES = [
    "Ada Lovelace",
    "Jean-Baptiste Poquelin",
    "María José García",
    "BJÖRK GUÐMUNDSDÓTTIR",
    "Nguyễn Văn An",
    "O'Connor",
    "李小龙",
    "Зоя Космодемьянская",
    "ada lovelace",
]
PLACES = [
    "London",
    "10 Downing Street, Westminster",
    "São Paulo",
    "NEW YORK, NY 10001",
    "Llanfairpwllgwyngyll",
    "東京",
    "221B Baker St.",
]
FRAMES = [
    "{name} lives in {place}.",
    "From: {name} <ada.lovelace@example.com>; to {place}, tel. +44 20 7946 0958!",
    "“{name}” — {place}… (really?)",
    "{place}'s own {name} 😂🎉 wrote to {name}",
    "\t{name}\n\n{place}   ",
]
ODD = [
    "",
    " ",
    "\n\t ",
    ".",
    "😂",
    "👩‍👩‍👧‍👦 family in Paris",
    "é",  # a letter and its accent apart
    "İstanbul'da Ali Işık",  # noqa: RUF001 - a letter that grows in lower case
    "ﬁne ligatures by Bob",
    "\u200bzero\u200bwidth Bob",
    "a\x00b Bob",
    "[SEP] Bob [MASK] [UNK] Smith [CLS]",
    "##lace love ##lace Bob",
    "don't can't Bob's isn't . , ! ?",
    "Bob Bob Bob Bob",
    "BobSmith@example.com,https://bob.example/~smith?q=1#x",
    "x" * 150 + " Bob",  # one word too long for the vocabulary
    "123-45-6789 4111 1111 1111 1111 DE89370400440532013000",
    "Ｆｕｌｌｗｉｄｔｈ Ｂｏｂ",  # noqa: RUF001 - letters that normalization replaces
    "عبد الله يعيش في دبي",
    "नरेंद्र मोदी दिल्ली में रहते हैं",
]
SENTENCES = [
    frame.format(name=name, place=place)
    for frame, name, place in itertools.product(FRAMES, NAMES, PLACES)
][::3] + ODD

_WNUT17_DEV = Path(__file__).parents[3] / "shared" / "data" / "wnut17" / "dev.conll"
"""Beside the checkout, where a machine has it."""


def tweets() -> list[str]:
    """Real text with real noise: WNUT 2017's development set; skips where it is missing."""
    if not _WNUT17_DEV.is_file():
        pytest.skip(f"the development set of WNUT 2017 is not at {_WNUT17_DEV}")
    sentences = _WNUT17_DEV.read_text(encoding="utf-8").strip().split("\n\n")
    return [
        " ".join(line.split("\t")[0] for line in sentence.splitlines()) for sentence in sentences
    ]
