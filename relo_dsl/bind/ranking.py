"""What stands behind a condition: `keep`, `sample` and `holdout`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relo_dsl.bind.conditions import ConditionBinder
from relo_dsl.bind.measures import QuantityBinder, Taken
from relo_dsl.diagnostics import Diagnostics
from relo_dsl.syntax import nodes
from relo_dsl.terms import ALL_TIME, Ranking, Shares, measures_of


@dataclass(frozen=True)
class RankingBinder:
    """Binds what is done with the devices that pass one definition."""

    definition: nodes.Definition
    conditions: ConditionBinder
    found: Diagnostics

    def keep(self) -> Ranking | None:
        """The ranking, if there is one; what is wrong is reported."""
        keep = self.definition.keep
        if keep is None or self.definition.kind != "audience":  # the parser has reported it
            return None
        by = QuantityBinder(self.conditions, ALL_TIME, Taken()).quantity(keep.by)
        if not measures_of(by):
            if not self.conditions.is_wrong(keep.by.span):
                self.found.report(
                    "expected-number",
                    keep.by.span,
                    "expected a measure to rank by: a number is the same for every device",
                    help="such as `sum(purchase.revenue)` or `count(pageview within 30d)`",
                )
            return None
        amount = keep.amount
        if amount.percent and not self._is_share(amount):
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

    def _share(self, word: str, written: nodes.Number | None) -> Decimal | None:
        if written is None or self.definition.kind != "audience":
            return None
        return written.value if self._is_share(written, below=word == "holdout") else None

    def _is_share(self, written: nodes.Number, *, below: bool = False) -> bool:
        """Whether it is a share above 0 %, and, if `below`, less than all; the parser has seen to
        100 %.
        """
        value = written.value
        if 0 < value < 100 or (not below and value >= 100):
            return True
        self.found.report(
            "number-out-of-range",
            written.span,
            "expected a share above 0%" + (" and below 100%" if below else ""),
        )
        return False
