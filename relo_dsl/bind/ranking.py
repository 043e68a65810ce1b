"""What stands behind a condition: `keep`, `sample` and `holdout`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relo_dsl.bind.conditions import ConditionBinder
from relo_dsl.bind.measures import QuantityBinder, Taken
from relo_dsl.diagnostics import Diagnostics
from relo_dsl.source import Span
from relo_dsl.syntax import nodes
from relo_dsl.terms import ALL_TIME, Ranking, Shares, measures_of

_MAX_PLACES = 10**12


@dataclass(frozen=True)
class RankingBinder:
    """Binds what is done with the devices that pass one definition."""

    definition: nodes.Definition
    conditions: ConditionBinder
    found: Diagnostics

    def keep(self) -> Ranking | None:
        """The ranking, if there is one; what is wrong is reported."""
        keep = self.definition.keep
        if keep is None or not self._is_allowed("keep", keep.span):
            return None
        by = QuantityBinder(self.conditions, ALL_TIME, Taken()).quantity(keep.by)
        if not measures_of(by):
            if not self.found.has_errors:
                self.found.report(
                    "expected-number",
                    keep.by.span,
                    "expected a measure to rank by: a number is the same for every device",
                    help="such as `sum(purchase.revenue)` or `count(pageview within 30d)`",
                )
            return None
        amount = keep.amount
        if not self._is_amount(amount):
            return None
        return Ranking(keep.which, amount.value, amount.percent, by)

    def shares(self) -> Shares | None:
        """The sample and the holdout, if there are any."""
        sample = self._share("sample", self.definition.sample)
        holdout = self._share("holdout", self.definition.holdout)
        if sample is None and holdout is None:
            return None
        shares = Shares(self.definition.name.text, sample, holdout)
        below, held = shares.below, shares.held_from
        if below is not None and held is not None and below <= held:
            assert self.definition.holdout is not None, "it has just been read"
            self.found.report(
                "empty-holdout",
                self.definition.holdout.span,
                f"the holdout is always empty: the sample keeps the lowest {sample} % of the "
                f"devices' fixed numbers, the holdout is the highest {holdout} % of all",
                help="leave out one of the two; a holdout of all is drawn without a sample",
            )
        return shares

    def _is_amount(self, amount: nodes.Number) -> bool:
        value = amount.value
        if amount.percent:
            return self._is_share(amount, whole=True)
        if value == int(value) and 1 <= value <= _MAX_PLACES:
            return True
        self.found.report(
            "number-out-of-range",
            amount.span,
            "expected how many devices to keep: a whole number from 1",
            help="such as `keep top 1000 by …`, or a share: `keep top 10% by …`",
        )
        return False

    def _share(self, word: str, written: nodes.Number | None) -> Decimal | None:
        if written is None or not self._is_allowed(word, written.span):
            return None
        return written.value if self._is_share(written, whole=word == "sample") else None

    def _is_share(self, written: nodes.Number, *, whole: bool) -> bool:
        """Whether it is a share of something: above 0 %, and below 100 % unless it may be all."""
        value = written.value
        if 0 < value < 100 or (whole and value == 100):
            return True
        self.found.report(
            "number-out-of-range",
            written.span,
            "expected a share above 0% and " + ("up to 100%" if whole else "below 100%"),
        )
        return False

    def _is_allowed(self, word: str, span: Span) -> bool:
        if self.definition.kind == "audience":
            return True
        self.found.report(
            "header-not-allowed",
            span,
            f"`{word}` is for audiences: a segment is a condition and nothing more",
            help="put it into the audience that refers to this segment",
        )
        return False
