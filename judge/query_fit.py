"""How well a product answers a query, by the catalogue's words alone: what the judge `attributes` says of a search.

A query is read from its left: the longest run of words that is some product's category, colour, pattern or brand asks
for that value; of what is left, each word that the catalogue knows asks for itself. Words that it does not know say
nothing. A singular finds a plural and the other way round, as English makes them. The fit is

    share = Σ u_a m_a / Σ u_a

over what is asked for, with the weights u of `WEIGHTS` (a word has the pattern's); m_a is 1 where the product has it,
else 0. An attribute that the product is not told to have or not to have is left out.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from retrieval.tables import Columns as C

PATTERN, WORDS = "pattern", "words"
WEIGHTS: Mapping[str, float] = {C.CATEGORY: 0.5, C.COLOR: 0.3, PATTERN: 0.2, C.BRAND: 0.1}
# From which share on a product is of a level: all of it; all but one lesser thing; the kind; a colour or pattern.
LEVELS: Sequence[tuple[float, str]] = (
    (0.95, "excellent_match"), (0.75, "good_match"), (0.45, "partial_match"), (0.1, "poor_match"), (0.0, "no_match"),
)  # fmt: skip

Values = Mapping[str, frozenset[str]]
"""What a product is: by attribute its values, and of its title the words."""


@dataclass(frozen=True)
class Asked:
    """One thing that a query asks for: a *value* of an *attribute*, or a word (`WORDS`)."""

    attribute: str
    value: str

    @property
    def weight(self) -> float:
        return WEIGHTS.get(self.attribute, WEIGHTS[PATTERN])

    def is_met(self, product: Values) -> bool | None:
        """Whether the product has it; None where nothing is told of it."""
        values = all_words(product) if self.attribute == WORDS else product.get(self.attribute)
        return None if not values else any(form in values for form in forms(self.value))


@dataclass(frozen=True)
class QueryFit:
    """How much of a query a product answers, and what of it it has and has not."""

    share: float
    met: tuple[Asked, ...]
    missed: tuple[Asked, ...]

    @property
    def label(self) -> str:
        """The level of the share.

        >>> QueryFit(0.8, (), ()).label, QueryFit(0.375, (), ()).label
        ('good_match', 'poor_match')
        """
        return next(label for least, label in LEVELS if self.share >= least - 1e-9)

    @property
    def reason(self) -> str:
        """What the product has of the query, and what not."""
        has, lacks = (", ".join(one.value for one in some) for some in (self.met, self.missed))
        if not has:
            return f"Nothing of the query matches: {lacks}."
        return f"Matches {has} of the query{f', not {lacks}' if lacks else ''}."


class Vocabulary:
    """The words by which a catalogue tells its products apart."""

    def __init__(self, products: Iterable[Values]) -> None:
        self._values: dict[str, str] = {}
        self._words: set[str] = set()
        for product in products:
            for attribute in WEIGHTS:
                for value in product.get(attribute, ()):
                    self._values.setdefault(value, attribute)
            self._words |= all_words(product)
        self._longest = max((value.count(" ") + 1 for value in self._values), default=1)

    def asked(self, query: str) -> tuple[Asked, ...]:
        """What a query asks for, each thing once.

        >>> shop = Vocabulary([{C.CATEGORY: frozenset({"t-shirt"}), C.COLOR: frozenset({"dark red"})}])
        >>> [(one.attribute, one.value) for one in shop.asked("cheap dark red T-shirts")]
        [('color', 'dark red'), ('category', 't-shirt')]
        """
        tokens = [token for part in query.lower().split() if (token := part.strip(".,;:!?\"'()"))]
        found: list[Asked] = []
        at = 0
        while at < len(tokens):
            size, things = self._at(tokens, at)
            found += things
            at += size
        return tuple(dict.fromkeys(found))

    def _at(self, tokens: Sequence[str], at: int) -> tuple[int, list[Asked]]:
        """How many tokens are read from the place *at*, and what they ask for."""
        for size in range(min(self._longest, len(tokens) - at), 0, -1):
            for form in forms(" ".join(tokens[at : at + size])):
                if form in self._values:
                    return size, [Asked(self._values[form], form)]
        known = [form for word in words(tokens[at]) for form in forms(word) if form in self._words]
        return 1, [Asked(WORDS, form) for form in known[:1]]


def query_fit(asked: Sequence[Asked], product: Values) -> QueryFit | None:
    """How much of what is asked for a product has; None where nothing is told of any of it."""
    answers = [(one, one.is_met(product)) for one in asked]
    met = tuple(one for one, is_met in answers if is_met)
    missed = tuple(one for one, is_met in answers if is_met is False)
    possible = sum(one.weight for one in (*met, *missed))
    return QueryFit(sum(one.weight for one in met) / possible, met, missed) if possible else None


def forms(text: str) -> tuple[str, ...]:
    """A word or phrase as it is, then its possible singulars and plurals.

    >>> forms("bags")
    ('bags', 'bag', 'bagss', 'bagses')
    """
    found = [text]
    if len(text) > 3:
        found += [text.removesuffix(end) for end in ("s", "es") if text.endswith(end)]
    return (*found, f"{text}s", f"{text}es")


def all_words(product: Values) -> frozenset[str]:
    """The words of all that is told of a product."""
    told = (word for name, values in product.items() if name != WORDS for value in values for word in words(value))
    return frozenset(told) | product.get(WORDS, frozenset())


def words(text: str) -> list[str]:
    """The words of a text in small letters, without the shortest, which mean nothing alone.

    >>> words("Red t-shirt of linen, 2 pieces")
    ['red', 'shirt', 'linen', 'pieces']
    """
    return [word for word in re.findall(r"[^\W\d_]+", text.lower()) if len(word) > 2]
