"""Definitions spoilt at random: words dropped, doubled, swapped, taken from elsewhere."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|\w+|\s+|.', re.DOTALL)
#: What random definitions do not write, or not there.
_LINES = (
    "first last median days then for user user.user rfm score is keep top sample 5% holdout any",
    'event not no or missing ( ) [ ] . .. - = * / 1e9 " ` # in segment list within next calendar',
    "of place zone affine to \0 é test given expect at ago client label ttl cron minimum export",
    "let 11111111111111111111111111 location periods has all exists anniversary null true matches",
    '2026-13-01 2026-06-00 9999-12-31 100000w 0d 5m 1d2h 99999 "(" "\\q" audience match main s1',
)
_WORDS = tuple(word for line in _LINES for word in line.split(" "))


def spoilt(texts: Sequence[str], number: int, seed: int) -> Iterator[str]:
    """So many texts, each one of `texts` with one to six changes."""
    chance = random.Random(seed)
    tokens = [_TOKEN.findall(text) for text in texts]
    for _ in range(number):
        words = list(chance.choice(tokens))
        for _ in range(chance.choice((1, 1, 2, 3, 6))):
            _spoil(words, tokens, chance)
        yield "".join(words)


def _spoil(words: list[str], tokens: Sequence[list[str]], chance: random.Random) -> None:
    at = chance.randrange(len(words) + 1)
    match chance.randrange(5):
        case 0:
            del words[at : at + chance.choice((1, 1, 2, 5))]
        case 1:
            words.insert(at, chance.choice(_WORDS) + " ")
        case 2:
            words[at : at + 1] = [chance.choice(chance.choice(tokens))]
        case 3:
            words[at : at + 2] = words[at : at + 2][::-1]
        case _:
            other = chance.choice(tokens)
            start = chance.randrange(len(other))
            words[at:at] = other[start : start + chance.randrange(1, 15)]
