"""512 English sentences to serve, the same ones in every run.

Invented here: clauses are drawn from small word lists with a fixed seed and
cut to a drawn number of words, 5 to 60, about 17 on average. Names are marked
in `NAMES` by the label that the benchmark's model is taught to give them.
"""

from __future__ import annotations

import random
from typing import Final

COUNT: Final = 512
SEED: Final = 17
FEWEST_WORDS: Final = 5
MOST_WORDS: Final = 60

NAMES: Final[dict[str, tuple[str, ...]]] = {
    "B-person": ("Anna", "Leon", "Maria", "Omar", "Claire", "Victor", "Nadia", "Henrik", "Yusuf"),
    "I-person": ("Keller", "Kennedy", "Moreau", "Redfield", "Lindqvist", "Okafor", "Ferreira"),
    "B-location": ("Lisbon", "Nairobi", "Raccoon", "Oslo", "Kyoto", "Denver", "Valparaiso"),
    "I-location": ("Harbor", "City", "Valley", "Bay"),
    "B-group": ("Umbrella", "Northwind", "Acme", "Vodafone", "Lufthansa", "Meridian"),
    "I-group": ("Corporation", "Airlines", "Orchestra", "Institute"),
    "B-product": ("Falcon", "Nimbus", "Polaris", "Walkman", "Thinkpad"),
    "I-product": ("Turbo", "Mini", "Deluxe"),
}

_PLAIN: Final = {
    "VERB": ("met", "called", "recommended", "interviewed", "photographed", "forgot", "thanked"),
    "NOUN": ("conference", "railway", "contract", "thunderstorm", "marketplace", "rehearsal"),
    "ADJECTIVE": ("quiet", "unforgettable", "overcrowded", "early", "bittersweet", "notorious"),
    "ADVERB": ("yesterday", "reluctantly", "again", "unexpectedly", "twice", "before breakfast"),
    "JOIN": ("and", "while", "because", "although", "after", "until"),
}

_CLAUSES: Final = (
    "B-person I-person VERB B-person at the ADJECTIVE NOUN in B-location",
    "the ADJECTIVE NOUN between B-group I-group and B-group ended ADVERB",
    "nobody in B-location I-location had seen a B-product I-product ADVERB",
    "B-group I-group VERB the ADJECTIVE crowd outside the NOUN",
    "B-person bought the B-product from B-group in B-location ADVERB",
    "a ADJECTIVE NOUN kept B-person I-person awake ADVERB",
    "we walked to the NOUN and talked about the ADJECTIVE NOUN ADVERB",
)


def sentences() -> list[str]:
    """The texts, in the order in which they are sent."""
    draw = random.Random(SEED)  # noqa: S311 - reproducible inputs, not secrets
    return [_sentence(draw) for _ in range(COUNT)]


def _sentence(draw: random.Random) -> str:
    # Most sentences are short, a few are long: 5 and an exponential tail of mean 12.
    wanted = min(FEWEST_WORDS + int(draw.expovariate(1 / 12.5)), MOST_WORDS)
    words: list[str] = []
    while len(words) < wanted:
        if words:
            words.append(draw.choice(_PLAIN["JOIN"]))
        for slot in draw.choice(_CLAUSES).split():
            words.extend(draw.choice(NAMES.get(slot) or _PLAIN.get(slot) or (slot,)).split())
    text = " ".join(words[:wanted])
    return f"{text[0].upper()}{text[1:]}."
