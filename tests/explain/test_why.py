"""Why a device is in: what decided each clause, and the verdict the evaluator gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from relo_dsl.catalog import Catalog, PropertyType
from relo_dsl.consent import scope
from relo_dsl.engine import Engine, device_key
from relo_dsl.engine.device import lists_with, stored_device
from relo_dsl.engine.others import companions, place
from relo_dsl.explain import narrator
from relo_dsl.explain.evidence import evidence, shown
from relo_dsl.explain.why import Answer, Others, Share, Standing, why
from relo_dsl.flip import next_flip
from relo_dsl.interpret import Context, Event, History, members, read, view
from relo_dsl.plan import Plan, affinities
from relo_dsl.records import Record
from relo_dsl.source import SourceFile
from relo_dsl.terms import Affine, Property, Selection
from relo_dsl.workspace import Workspace
from tests.differential import runner
from tests.differential.cases import Case
from tests.differential.collect import collect
from tests.differential.world import CATALOG
from tests.oracle.build import CLIENT, DAY, HOUR, NOW, consent, event, identify

SHOP = Catalog.model_validate(
    {
        "events": {
            "purchase": {"properties": {"revenue": "number", "line": "string"}},
            "view": {},
            "cart": {},
        },
        "traits": {"plan": "string"},
        "lists": {"vip": {}},
    }
)


def ask(
    text: str,
    records: list[Record],
    device: str = "ana",
    lists: dict[str, frozenset[str]] | None = None,
    header: str = "",
) -> Answer:
    workspace = Workspace(SHOP, CLIENT, lists=frozenset(SHOP.lists), retention=None)
    workspace.add(SourceFile("case.seg", f"audience main {header} match {text}"))
    workspace.check()
    assert not workspace.has_errors, workspace.check()
    bound, scoped = workspace.bound("main"), scope(workspace.plan("main"))
    history = History.of(records, client=CLIENT)
    says = narrator(SHOP, "UTC")
    return why(bound, scoped, history, device, NOW, lists or {"vip": frozenset()}, says)


class TestVerdicts:
    def test_a_member(self) -> None:
        answer = ask("purchase within 30d", [event(ago=DAY)])
        assert (answer.verdict, answer.is_member) == ("member", True)
        assert answer.next_flip == NOW + 29 * DAY

    def test_the_condition_does_not_hold(self) -> None:
        answer = ask("purchase within 30d", [event(ago=40 * DAY)])
        assert (answer.verdict, answer.next_flip) == ("condition", None)

    def test_it_does_not_exist(self) -> None:
        answer = ask("no purchase", [event(flags=0)])
        assert (answer.verdict, answer.visible, answer.hidden) == ("universe", 0, 1)

    def test_it_does_not_consent(self) -> None:
        answer = ask("purchase", [event(ago=DAY), consent(251, HOUR)], header="export meta")
        assert answer.verdict == "consent"
        assert (answer.consent.needed, answer.consent.flags) == (4, 251)
        assert (answer.consent.lacking, answer.consent.since) == (4, NOW - HOUR)

    def test_nothing_is_known_of_it(self) -> None:
        with pytest.raises(KeyError):
            ask("purchase", [event()], "beto")


class TestAfterTheCondition:
    def of(self, device: str, after: str) -> Answer:
        records = [event(revenue=number, device=f"d{number}") for number in range(1, 6)]
        return ask(f"purchase {after}", [*records, event("view", device="none")], device)

    def test_places_in_a_ranking(self) -> None:
        after = "keep top 2 by sum(purchase.revenue)"
        first, third = self.of("d5", after), self.of("d3", after)
        by = "the sum of `revenue` over `purchase`"
        assert (first.verdict, first.ranking) == ("member", Standing(by, "5", 1, 5, 2))
        assert (third.verdict, third.ranking) == ("ranking", Standing(by, "3", 3, 5, 2))
        assert third.holds_now
        assert third.taken == ("ranking",)
        assert third.to_json()["ranking"] == {"value": "3", "place": 3, "of": 5, "kept": 2}
        assert self.of("none", after).ranking is None
        last = self.of("d5", "keep bottom 30% by sum(purchase.revenue)")
        assert (last.verdict, last.ranking) == ("ranking", Standing(by, "5", 5, 5, 2))

    def test_a_missing_value_has_no_place(self) -> None:
        answer = ask("view keep top 2 by max(purchase.revenue)", [event("view")])
        assert answer.verdict == "ranking"
        assert answer.ranking == Standing("the largest `revenue` of `purchase`", None)

    def test_samples_and_holdouts(self) -> None:
        for after, left_out in (("sample 40%", "sample"), ("holdout 60%", "holdout")):
            found = {self.of(f"d{number}", after).verdict for number in range(1, 6)}
            assert found == {"member", left_out}

    def test_what_was_drawn(self) -> None:
        plain = [self.of(f"d{number}", "sample 40% holdout 70%").share for number in range(1, 6)]
        both = [share for share in plain if share is not None]
        assert len(both) == 5
        for share in both:
            assert share.sample == (share.drawn < Decimal("0.4"))
            assert share.holdout == (Decimal("0.3") <= share.drawn < Decimal("0.4"))
        [one] = {self.of("d1", f"sample {percent}%").share for percent in ("40", "40.0")}
        assert one == Share(both[0].drawn, both[0].sample, None)
        assert self.of("d1", "").share is None


class TestClauses:
    def test_they_stand_as_written_in_a_tree(self) -> None:
        answer = ask(
            'purchase and (in list vip or not (user.plan = "free" and view))',
            [event(), identify(plan="free"), event("view")],
        )
        first, second = answer.clauses
        assert (first.text, first.holds, first.how) == ("purchase", True, "clause")
        assert (second.how, second.holds) == ("any", False)
        [listed, negated] = second.parts
        assert (listed.text, listed.holds) == ("in list vip", False)
        assert (negated.how, negated.holds) == ("not all", False)
        assert [part.text for part in negated.parts] == ['user.plan = "free"', "view"]
        assert [part.holds for part in negated.parts] == [True, True]

    def test_what_is_not_written_is_said(self) -> None:
        workspace = Workspace(SHOP, CLIENT, retention=None)
        workspace.add(
            SourceFile(
                "case.seg",
                "segment other match purchase or view within 1d "
                "audience main match in segment other",
            )
        )
        bound, scoped = workspace.bound("main"), scope(workspace.plan("main"))
        history = History.of([event()], client=CLIENT)
        answer = why(bound, scoped, history, "ana", NOW, {}, narrator(SHOP, "UTC"))
        [reference] = answer.clauses
        assert reference.text == "in segment other"
        [either] = reference.parts
        assert either.text == "at least one of these holds"
        assert [part.text for part in either.parts] == [
            "it has at least one `purchase` at any time",
            "it has at least one `view` in the last day",
        ]


class TestEvidence:
    def one(self, text: str, *records: Record) -> Any:
        [clause] = ask(text, list(records)).clauses
        return clause.evidence

    def test_the_last_events_of_a_selection(self) -> None:
        found = self.one("purchase[revenue > 5]", *(event(ago=i, revenue=i) for i in range(10)))
        assert [e.values["revenue"] for e in found.events] == [8, 7, 6]
        assert (found.total, found.note) == (4, None)

    def test_what_happened_at_other_times(self) -> None:
        found = self.one("no purchase within 1d", event(ago=2 * DAY), event("view"))
        assert (len(found.events), found.note) == (1, "only at other times")

    def test_numbers(self) -> None:
        found = self.one(
            "sum(purchase.revenue within 1d) > 2 * count(view)", event(revenue=7), event("view")
        )
        assert [value for _, value in found.values] == ["7", "2", "1"]
        assert found.total == 2

    def test_a_range_is_one_clause(self) -> None:
        found = self.one("count(purchase) in 2..4", event(), event("view"))
        assert [value for _, value in found.values] == ["1"]

    def test_a_missing_number(self) -> None:
        found = self.one("max(purchase.revenue) > 2", event())
        assert found.values == (("the largest `revenue` of `purchase`", "missing"),)

    def test_first_and_last(self) -> None:
        records = [event(ago=2, line="a"), event(ago=1, line="b"), event(ago=0, line="c")]
        found = self.one('first(purchase).line = "a"', *records)
        assert ([e.values["line"] for e in found.events], found.note) == (["a"], "the first of 3")
        assert self.one('last(purchase).line = "a"', *records).events[0].values["line"] == "c"
        assert self.one("last(view) within 1d", *records).note == "no such event"

    def test_the_events_of_a_sequence(self) -> None:
        records = [event("view", 9), event("cart", 7), event("view", 5), event("purchase", 4)]
        found = self.one("view then cart within 1h then purchase within 1h", *records)
        assert [(e.type, NOW - e.time) for e in found.events] == [
            ("view", 9),
            ("cart", 7),
            ("purchase", 4),
        ]
        found = self.one("view then cart then view then view", *records)
        assert (len(found.events), found.note) == (3, "only 3 of 4 steps")
        found = self.one("cart then no purchase within 1h", *records)
        assert found.note == "the steps, but not what must not follow"
        found = self.one("purchase then cart", *records)
        assert (len(found.events), found.note) == (1, "only 1 of 2 steps")

    def test_periods(self) -> None:
        records = [event("view"), event("view", 2 * DAY + 1), event("view", 2 * DAY + 2)]
        found = self.one("count(view) >= 1 in 2 of last 4 periods of 1d", *records)
        assert found.values == (("periods, of 4 from the current one back", "1, 3"),)

    def test_traits_and_the_identify_that_set_them(self) -> None:
        records = [identify(9, plan="free"), identify(7, plan="premium"), identify(5, city="x")]
        found = self.one('user.plan = "free"', *records)
        assert found.values == (("plan", '"premium"'),)
        assert [NOW - e.time for e in found.events] == [7]

    def test_products_that_go_together(self) -> None:
        product = Property("line", PropertyType.STRING)
        node = Affine(Selection(("purchase",)), product, "b", 2)
        records = [event(ago=3, line="a"), event(ago=2, line="c"), event(ago=1)]
        history = History.of(records, client=CLIENT)
        scoped = scope(Plan(CLIENT, node, 1, 255, None, None))
        context = Context(NOW, {}, lambda _: frozenset({"c", "d"}))
        seen = view(scoped, history.devices["ana"], NOW)
        found = evidence(node, seen, context, narrator(SHOP, "UTC"))
        assert found.values == (('products that go with "b"', '"c"'), ('"b" itself', "no"))
        assert found.total == 3

    def test_long_values_are_cut(self) -> None:
        assert shown("a" * 100) == '"' + "a" * 58 + "…"
        assert shown(({"id": "a", "price": Decimal("3.50")},)) == '[{id: "a", price: 3.5}]'
        assert shown(True) == "true"


def test_the_verdict_is_the_evaluators() -> None:
    cases, _ = collect(120, 3)
    seen = set()
    for case in cases:
        workspace = case.workspace(CLIENT)
        plan = workspace.plan("main")
        scoped = scope(plan)
        records = case.records(CLIENT)
        history = History.of(records, client=CLIENT, default_flags=plan.default_flags)
        says = narrator(workspace.catalog, "UTC")
        [at, *_] = case.instants
        found = members(scoped, history, at, case.listed)
        for device in list(history.devices)[:3]:
            bound = workspace.bound("main")
            answer = why(bound, scoped, history, device, at, case.listed, says)
            assert answer.is_member == (device in found)
            assert answer.to_json()["member"] == answer.is_member
            if answer.verdict not in ("universe", "consent"):
                everything = all(clause.holds for clause in answer.clauses)
                assert everything == (answer.verdict != "condition")
            seen.add(answer.verdict)
    assert {"member", "condition"} <= seen


# ---- out of the store --------------------------------------------------------------------------


def test_a_device_comes_back_out_of_the_store_as_it_went_in(engine: Engine) -> None:
    cases, _ = collect(40, 11)
    placed = [(7_000_000 + 2 * number, case) for number, case in enumerate(cases)]
    with runner.everything_kept(engine):
        runner.load(engine, placed)
        checked = 0
        for client, case in placed:
            plan = case.plan(client)
            history = History.of(
                case.records(client), client=client, default_flags=plan.default_flags
            )
            for name in list(history.devices)[:2]:
                key = device_key(runner.KEY, client, name)
                stored = stored_device(engine, CATALOG, client, key, name)
                expected = history.devices[name]
                assert stored is not None
                assert stored.consents == expected.consents
                for one, other in (
                    (stored.events, expected.events),
                    (stored.identifies, expected.identifies),
                ):
                    assert list(map(_as_read, one)) == list(map(_as_read, other))
                checked += len(expected.events)
                on = {list_name for list_name, ids in case.lists if name in ids}
                assert lists_with(engine, client, key) == on
    assert checked > 50
    assert stored_device(engine, CATALOG, 1, bytes(16), "nobody") is None


def test_the_store_says_of_all_devices_what_the_evaluator_says(engine: Engine) -> None:
    cases, _ = collect(150, 5)
    asked = [case for case in cases if _asks_others(case.plan(CLIENT))]
    placed = [(7_100_000 + 2 * number, case) for number, case in enumerate(asked)]
    seen: Counter[str] = Counter()
    with runner.everything_kept(engine):
        runner.load(engine, placed)
        for client, case in placed:
            for alone, among in _answers(engine, client, case):
                assert (alone.verdict, alone.ranking) == (among.verdict, among.ranking)
                assert (alone.share, alone.clauses) == (among.share, among.clauses)
                if alone.ranking is not None:
                    seen[f"ranked {alone.ranking.place is not None}"] += 1
                seen.update(alone.taken)
    assert min(seen["ranked True"], seen["ranked False"], seen["affinity"]) > 5, seen


def _asks_others(plan: Plan) -> bool:
    return plan.keep is not None or bool(affinities(plan.condition))


def _answers(engine: Engine, client: int, case: Case) -> Iterator[tuple[Answer, Answer]]:
    """Of some devices the answer with the store's help, and that out of the whole history."""
    workspace = case.workspace(client)
    bound, scoped = workspace.bound("main"), scope(workspace.plan("main"))
    history = History.of(
        case.records(client), client=client, default_flags=scoped.plan.default_flags
    )
    says, key_of = narrator(workspace.catalog, "UTC"), runner.key_of(client)
    for at in case.instants[:2]:
        go_with = companions(engine, scoped, at)
        for name, device in history.devices.items():
            key = device_key(runner.KEY, client, name)
            others = Others(go_with, place(engine, scoped, at, key))
            one = History(client, {name: device})
            lists = case.listed
            yield (
                why(bound, scoped, one, name, at, lists, says, key=key_of, others=others),
                why(bound, scoped, history, name, at, lists, says, key=key_of),
            )


def test_what_goes_with_a_product_is_taken_as_it_is() -> None:
    product = Property("line", PropertyType.STRING)
    node = Affine(Selection(("purchase",)), product, "b", 2)
    scoped = scope(Plan(CLIENT, node, 1, 255, 24, 24))
    history = History.of([event(ago=DAY, line="a")], client=CLIENT)
    found = next_flip(scoped, history, "ana", NOW, {}, lambda _: frozenset({"a"}))
    assert found is not None
    assert found > NOW + 700 * DAY  # its own purchase is past its retention
    assert next_flip(scoped, history, "ana", NOW, {}, lambda _: frozenset()) is None


def _as_read(found: Event) -> tuple[object, ...]:
    """What the evaluator can see of it."""
    if found.type == "identify":
        specs = CATALOG.traits
    else:
        specs = CATALOG.events[found.type].properties if found.type in CATALOG.events else {}
    seen: dict[str, Any] = {}
    for name, spec in specs.items():
        value = read(Property(name, spec.type), found.values)
        if spec.type is PropertyType.OBJECTS and value is not None:
            value = tuple(
                {
                    field: read(Property(field, inner.type), element)
                    for field, inner in spec.fields.items()
                }
                for element in value
            )
        seen[name] = value
    others = sorted(name for name in found.values if name not in specs)
    nulls = sorted(name for name, value in found.values.items() if value is None)
    return (found.type, found.time, found.tie, found.flags, seen, others, nulls)
