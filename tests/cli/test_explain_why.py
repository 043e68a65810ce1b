"""relo explain and relo why: what they print, and how they end."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import AT, Project, purchase, view

LINES = [
    {"t": "purchase", "ts": "2026-06-10T12:00:00Z", "did": "ana", "props": {"revenue": 200}},
    {"t": "purchase", "ts": "2026-03-10T12:00:00Z", "did": "beto", "props": {"revenue": 200}},
]


@pytest.fixture
def files(shop: Project) -> Project:
    shop.write("some.jsonl", "\n".join(json.dumps(line) for line in LINES) + "\n")
    return shop


class TestExplain:
    def test_every_definition_of_a_file(self, shop: Project) -> None:
        path = shop.seg("two", "audience a match purchase\naudience b match no purchase\n")
        printed = shop.ok("explain", path).stdout
        assert "a, an audience of client" in printed
        assert "\n\nb, an audience of client" in printed
        lines = shop.ok("explain", path, "--json", "--lang", "es").stdout.splitlines()
        assert [json.loads(line)["name"] for line in lines] == ["a", "b"]

    def test_a_definition_with_errors(self, shop: Project) -> None:
        shop.seg("bad", "audience bad match purhcase\n")
        result = shop.run("explain", "bad")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "unknown-event" in result.stderr
        assert shop.run("explain", "bad", "--json").exit_code == 1

    def test_no_such_definition_or_language(self, shop: Project) -> None:
        assert shop.run("explain", "nothing").exit_code == 2
        assert shop.run("explain", "winback_customers", "--lang", "fr").exit_code == 2


class TestWhyFromFiles:
    def test_a_name_takes_the_projects_catalog(self, files: Project) -> None:
        found = files.ok(
            "why", "winback_customers", "beto", "-e", "some.jsonl", "--at", AT, "--json"
        )
        answer = json.loads(found.stdout)
        assert answer["member"]
        assert answer["next_flip"] == "2026-09-06T12:00:00.000Z"
        [first, second] = answer["clauses"]
        assert first["events"][0]["age"] == "97d"
        assert second["note"] == "only at other times"

    def test_a_file_needs_no_project(self, files: Project) -> None:
        path = files.write("x/a.seg", "audience a client 9 match purchase.revenue > 100\n")
        result = files.ok("why", path, "ana", "-e", "some.jsonl", "--at", AT)
        assert "ana is a member of a at 2026-06-15T12:00:00.000Z\n" in result.stdout
        assert "time alone never changes this" in result.stdout

    def test_lists_and_names(self, files: Project) -> None:
        files.write("vips.txt", "beto\n")
        path = files.write("x/a.seg", "audience a match in list vips\naudience b match purchase\n")
        asked = ("why", path, "beto", "-e", "some.jsonl", "--at", AT, "-l", "vips=vips.txt")
        both = files.ok(*asked).stdout
        assert "beto is a member of a at" in both
        assert "\n\nbeto is a member of b at" in both
        assert " b at" not in files.ok(*asked, "--name", "a").stdout

    def test_nobody_knows_the_device(self, files: Project) -> None:
        result = files.run("why", "winback_customers", "nobody", "-e", "some.jsonl")
        assert result.exit_code == 2
        assert "nothing about `nobody`" in result.stderr

    def test_errors_of_the_definition(self, files: Project) -> None:
        path = files.write("x/a.seg", "audience a match refund\n")
        result = files.run("why", path, "ana", "-e", "some.jsonl")
        assert result.exit_code == 1
        assert "unknown-event" in result.stderr

    def test_options_that_go_with_files_only(self, files: Project) -> None:
        assert files.run("why", "winback_customers", "ana", "-l", "a=b").exit_code == 2


class TestWhyFromTheStore:
    def test_it_says_the_same_as_from_files(self, store: Project) -> None:
        stamp = "2026-04-01T10:00:00Z"
        store.load(
            purchase("ana", 120, ts=stamp),
            view("ana"),
            {"t": "identify", "did": "ana", "ts": stamp, "traits": {"plan": "premium"}},
            {"t": "consent", "did": "ana", "ts": stamp, "consent": 255},
            purchase("beto", ts=stamp, eid="b"),
        )
        store.seg("some", 'audience some match user.plan = "premium" and purchase within 90d\n')
        for name in ("some", "winback_customers"):
            asked = ("why", name, "ana", "--at", AT)
            stored = store.json(*asked)
            read = store.json(*asked, "--events", "events.jsonl")
            for clause in (*stored["clauses"], *read["clauses"]):
                for event in clause["events"]:
                    event["id"] = None  # the store does not keep them
            assert stored == read

    def test_lists(self, store: Project) -> None:
        store.load(purchase("ana"), purchase("beto"))
        store.write("staff.txt", "beto\n")
        store.ok("list", "add", "staff", "staff.txt")
        store.seg("some", "audience some match purchase and not in list staff\n")
        assert store.json("why", "some", "ana")["member"]
        assert store.json("why", "some", "beto")["verdict"] == "condition"

    def test_a_ranking_asks_all_devices(self, store: Project) -> None:
        store.load(*(purchase(f"d{number}", number) for number in range(1, 6)))
        store.seg("some", "audience some match purchase keep top 2 by sum(purchase.revenue)\n")
        asked = ("why", "some", "d2", "--at", AT)
        stored = store.json(*asked)
        assert (stored["member"], stored["verdict"]) == (False, "ranking")
        assert stored["ranking"] == {"value": "2", "place": 4, "of": 5, "kept": 2}
        assert stored["next_flip_without"] == ["ranking"]
        assert store.json("why", "some", "d5", "--at", AT)["member"]
        assert store.json(*asked, "-e", "events.jsonl")["ranking"] == stored["ranking"]
        printed = store.ok(*asked).stdout
        assert "no  ranked: place 4 of 5; the first 2 are kept\n" in printed
        assert "\n      the sum of `revenue` over `purchase`: 2\n" in printed
        assert "; its place in the ranking apart, which depends on others\n" in printed

    def test_what_goes_with_a_product_asks_all_devices(self, store: Project) -> None:
        with (store.folder / "segments/catalog.yaml").open("a") as catalog:
            catalog.write("affinity: {event: basket, product: sku}\n")
        text = (store.folder / "segments/catalog.yaml").read_text()
        text = text.replace("events:\n", "events:\n  basket: {properties: {sku: string}}\n", 1)
        store.write("segments/catalog.yaml", text)
        bought = {"x": "ab", "y": "ab", "z": "c", "ana": "bd", "beto": "c"}
        lines: list[dict[str, object]] = [
            {"t": "basket", "did": device, "props": {"sku": sku}}
            for device, skus in bought.items()
            for sku in skus
        ]
        store.load(*lines)
        store.seg("near", 'audience near match affine to "a"\n')
        for device, verdict in {"ana": "member", "beto": "condition", "x": "condition"}.items():
            stored = store.json("why", "near", device, "--at", AT)
            read = store.json("why", "near", device, "--at", AT, "-e", "events.jsonl")
            assert stored["verdict"] == read["verdict"] == verdict
            assert stored["clauses"][0]["values"] == read["clauses"][0]["values"]
            assert (stored["next_flip_without"], read["next_flip_without"]) == (["affinity"], [])

    def test_samples_and_holdouts(self, store: Project) -> None:
        store.load(*(purchase(f"d{number}", number) for number in range(1, 9)))
        store.seg("some", "audience some match purchase sample 50% holdout 60%\n")
        for number in range(1, 9):
            answer = store.json("why", "some", f"d{number}")
            share, drawn = answer["share"], float(answer["share"]["drawn"])
            assert share["sample"] == (drawn < 0.5)
            assert share["holdout"] == (0.4 <= drawn < 0.5)
            printed = store.ok("why", "some", f"d{number}").stdout
            word = "in the sample" if share["sample"] else "not in the sample"
            assert f" {word}: it drew {share['drawn']}\n" in printed

    def test_nothing_is_stored(self, store: Project) -> None:
        result = store.run("why", "winback_customers", "nobody")
        assert result.exit_code == 2
        assert "nothing is stored about `nobody`" in result.stderr
