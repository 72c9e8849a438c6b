"""The schema: what ships, how a product extends it, and every mistake in it that must be refused by file, line and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.evidence.trace import Item
from devicepipe.project.config import Project, load_project
from devicepipe.traceability.check import check_items
from devicepipe.traceability.device_tests import DeviceTest
from devicepipe.traceability.items import read_items
from devicepipe.traceability.matrix import TraceRules, trace
from devicepipe.traceability.schema import CLASSES, Schema, project_schema, rules_of, shipped_schema

REPOSITORY = Path(__file__).parents[2]
CONFIG = """[product]
name = "p"
title = "P"
manufacturer = "M"
safety-class = "C"
[firmware]
project = "firmware"
[[board]]
name = "microbit"
manifest = "boards/microbit.json"
application = "a"
bootloader = "b"
[traceability]
"""

NESTED = """
[types.system-requirement]
prefix = "SYS"
title = "system requirement"
boards = true
fields = { origin = { needed = true, values = ["user", "law"] } }

[links.satisfies]
to = ["user-need", "system-requirement"]

[links.refines]
from = ["system-requirement"]
to = ["user-need"]
at-least = 1
at-most = 2

[rules.unrefined-need]
of = "user-need"
covered-by = ["refines"]
severity = "warning"
"""

ITEMS = """# T
## UN-001 N

Text.

## SYS-001 S
- origin: user
- refines: UN-001

Text.

## SRS-001 R
- satisfies: SYS-001, UN-001

Text.
"""


def project(folder: Path, schema: str = "", *, inline: str = "", items: str = ITEMS) -> Project:
    for name in ("firmware", "boards", "hil", "requirements"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "boards/microbit.json").write_bytes((REPOSITORY / "boards/microbit.json").read_bytes())
    (folder / "requirements/all.md").write_text(items)
    named = ""
    if schema:
        (folder / "schema.toml").write_text(schema)
        named = 'schema = "schema.toml"\n'
    (folder / "devicepipe.toml").write_text(CONFIG + named + inline)
    return load_project(folder / "devicepipe.toml")


def test_the_shipped_schema_covers_the_item_types_of_62304_and_14971() -> None:
    schema = shipped_schema()
    assert [*schema.prefixes.values()] == [*schema.types]
    wanted = [
        "user-need",
        "requirement",
        "design",
        "hazard",
        "risk-control",
        "test",
        "soup",
        "anomaly",
        "change-request",
    ]
    assert [*schema.types] == wanted
    assert [link.name for link in schema.links_of("requirement")] == ["implements", "satisfies"]
    assert all(rule.reason for rule in schema.rules.values())


def test_a_product_adds_types_links_and_rules_and_widens_links(tmp_path: Path) -> None:
    made = project(tmp_path, NESTED)
    items = read_items(made)
    assert [item.type for item in items] == ["user-need", "system-requirement", "requirement"]
    assert items[2].links == {"satisfies": ["SYS-001", "UN-001"]}
    assert project_schema(made).links["satisfies"].sources == ("requirement",)
    traced = trace(items, [], ["microbit"], rules=TraceRules.of(made))
    assert [found.kind for found in traced.findings] == ["untested-requirement"]
    alone = trace([items[0]], [], ["microbit"], rules=TraceRules.of(made)).findings
    assert [(one.kind, one.severity, one.message) for one in alone] == [
        ("unmet-need", "error", "no requirement satisfies it"),
        ("unrefined-need", "warning", "no system requirement refines it"),
    ]


def test_a_schema_is_the_same_when_it_is_read_back_from_json(tmp_path: Path) -> None:
    for schema in (shipped_schema(), project_schema(project(tmp_path, NESTED))):
        assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_what_stands_in_devicepipe_toml_counts_last(tmp_path: Path) -> None:
    inline = (
        '[traceability.rules.unrefined-need]\nseverity = "error"\n[traceability.types.user-need]\nprefix = "NEED"\n'
    )
    schema = project_schema(project(tmp_path, NESTED, inline=inline))
    assert schema.rules["unrefined-need"].severity == dict.fromkeys(CLASSES, "error")
    assert schema.prefixes["NEED"] == "user-need"
    assert "UN" not in schema.prefixes


def test_a_product_s_own_prefixes_stand_for_the_shipped_ones(tmp_path: Path) -> None:
    schema = project_schema(project(tmp_path, NESTED, inline='prefixes = { REQ = "requirement" }\n'))
    assert schema.prefixes == {"REQ": "requirement", "SYS": "system-requirement"}


@pytest.mark.parametrize(("safety_class", "severity"), [("A", "warning"), ("B", "error"), ("C", "error")])
def test_design_is_asked_for_where_there_is_any_and_by_safety_class(safety_class: str, severity: str) -> None:
    schema = shipped_schema()
    held = {rule.name: found for rule, found in rules_of(schema, safety_class, {"requirement": 1})}  # type: ignore[arg-type]
    assert "unrealised-requirement" not in held
    held = {rule.name: found for rule, found in rules_of(schema, safety_class, {"design": 1})}  # type: ignore[arg-type]
    assert held["unrealised-requirement"] == severity


RULE = '[rules.mine]\nof = "requirement"\n'
REFUSED: dict[str, tuple[str, int | None, str, str]] = {
    # mistake: (schema file, line, key, part of message or remedy)
    "no TOML": ("[types.x\n", 1, "", "is not valid TOML"),
    "unknown table": ("[typos.x]\n", 1, "typos", "known keys: links, rules, types"),
    "unknown key of a type": ('[types.x]\nprefx = "X"\n', 2, "types.x.prefx", "known keys"),
    "a name with capitals": ("[types.Design]\n", 1, "types.Design", "small letters"),
    "prefix taken": ('[types.x]\nprefix = "SRS"\n', 2, "types.x.prefix", "prefix of 'requirement' already"),
    "type called code": ("[types.code]\n", 1, "types.code", "markers in sources"),
    "a field called like a link": ("[types.hazard.fields]\nsatisfies = {}\n", 1, "types.hazard.fields", "is a link"),
    "link from an unknown type": ('[links.x]\nfrom = ["desing"]\nto = ["hazard"]\n', 2, "links.x.from", "no item type 'desing'"),
    "link to nothing": ('[links.x]\nfrom = ["hazard"]\n', 1, "links.x.to", "names no item type"),
    "link with a count below": ('[links.x]\nfrom=["test"]\nto=["test"]\nat-least=3\nat-most=2\n', 5, "links.x.at-most", "less"),
    "rule of nothing": ('[rules.mine]\nhas = ["satisfies"]\n', 1, "rules.mine.of", "missing key"),
    "rule of an unknown type": ('[rules.mine]\nof = "x"\nhas = ["satisfies"]\n', 2, "rules.mine.of", "no item type 'x'"),
    "rule that counts nothing": (RULE, 1, "rules.mine", "needs 'has' or 'covered-by'"),
    "rule that counts both ways": (RULE + 'has = ["satisfies"]\ncovered-by = ["verifies"]\n', 1, "rules.mine", "one of them"),
    "rule with an unknown link": (RULE + 'has = ["satisfy"]\n', 3, "rules.mine.has", "no link 'satisfy'"),
    "rule against the direction": (RULE + 'has = ["verifies"]\n', 3, "rules.mine.has", "no 'verifies' leads from requirement"),
    "rule about the wrong end": (RULE + 'covered-by = ["mitigates"]\n', 3, "rules.mine.covered-by", "leads to requirement"),
    "rule with an unknown condition": (RULE + 'has = ["satisfies"]\nif-any = ["x"]\n', 4, "rules.mine.if-any", "item type 'x'"),
    "rule with a count below": (RULE + 'has = ["satisfies"]\nat-least = 2\nat-most = 1\n', 5, "rules.mine.at-most", "less than"),
    "rule with a severity of its own": (RULE + 'has = ["satisfies"]\nseverity = "fatal"\n', 4, "rules.mine.severity", "warning"),
    "a safety rule put off": ('[rules.unlinked-control]\nseverity = "off"\n', 2, "rules.unlinked-control.severity", "stricter"),
    "a safety rule softened": (
        '[rules.unlinked-control]\nseverity = { C = "error", B = "warning", A = "off" }\n', 2, "rules.unlinked-control.severity",
        "may not be 'off'",
    ),
    "a safety rule asked of none": ("[rules.unlinked-control]\nat-least = 0\n", 2, "rules.unlinked-control.at-least", "below 1"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_in_the_schema_is_refused_with_its_place(tmp_path: Path, mistake: str) -> None:
    text, line, key, part = REFUSED[mistake]
    with pytest.raises(UsageError) as caught:
        project_schema(project(tmp_path, text))
    error = caught.value
    assert error.file == tmp_path / "schema.toml"
    assert part in str(error)
    assert (error.line, error.key or "") == (line, key)
    assert error.remedy


def test_a_mistake_in_devicepipe_toml_is_named_there(tmp_path: Path) -> None:
    inline = '[traceability.rules.mine]\nof = "requirement"\nhas = ["satisfy"]\n'
    with pytest.raises(UsageError, match="no link 'satisfy'") as caught:
        project_schema(project(tmp_path, inline=inline))
    assert (caught.value.file, caught.value.key) == (tmp_path / "devicepipe.toml", "traceability.rules.mine.has")
    assert caught.value.line == len((CONFIG + inline).splitlines())


ITEM_MISTAKES = {
    "a needed field of an own type": (("- origin: user\n", ""), "a system requirement needs 'origin'"),
    "a word that is not allowed": (("origin: user", "origin: me"), "expected one of user, law"),
    "a needed link": (("- refines: UN-001\n", ""), "a system requirement needs 'refines'"),
    "a link to a wrong type": (("- refines: UN-001", "- refines: SRS-001"), "SRS-001 is a requirement"),
}


@pytest.mark.parametrize("mistake", ITEM_MISTAKES)
def test_items_are_held_to_an_own_schema(tmp_path: Path, mistake: str) -> None:
    (old, new), part = ITEM_MISTAKES[mistake]
    assert old in ITEMS
    with pytest.raises(UsageError, match=part):
        read_items(project(tmp_path, NESTED, items=ITEMS.replace(old, new)))


def test_too_many_targets_are_refused(tmp_path: Path) -> None:
    needs = "".join(f"## UN-00{number} N\n\nText.\n\n" for number in (2, 3))
    items = f"{ITEMS}\n{needs}".replace("refines: UN-001", "refines: UN-001, UN-002, UN-003")
    with pytest.raises(UsageError, match="expected at most 2 of user need, found 3"):
        read_items(project(tmp_path, NESTED, items=items))


def test_all_mistakes_are_collected_where_asked_for(tmp_path: Path) -> None:
    text = "# T\n##SRS-009 Lame\n- a: b\n\nText.\n\n## SRS-001 S\n- satisfies: UN-404\n- boards: tiny\n\nText.\n\n## XX-1 X\n\nY.\n"
    problems: list[UsageError] = []
    items: tuple[Item, ...] = read_items(project(tmp_path, items=text), problems=problems)
    assert [item.id for item in items] == ["SRS-001"]
    assert [(one.line, one.key) for one in problems] == [
        (2, None),
        (9, "boards"),
        (13, "XX-1"),
        (8, "satisfies"),
    ]


@pytest.mark.parametrize(
    ("links", "way"),
    [
        ({1: 1}, "SYS-1 → SYS-1"),
        ({1: 2, 2: 3, 3: 2}, "SYS-2 → SYS-3 → SYS-2"),
        ({1: 2, 2: 3, 3: 1}, "SYS-1 → SYS-2 → SYS-3 → SYS-1"),
        ({1: 3, 2: 3}, ""),
    ],
)
def test_links_that_go_in_a_circle_are_refused(tmp_path: Path, links: dict[int, int], way: str) -> None:
    schema = '[types.sys]\nprefix = "SYS"\ntitle = "S"\n[links.refines]\nfrom = ["sys"]\nto = ["sys"]\n'
    items = "# T\n" + "".join(
        f"## SYS-{number} S\n" + (f"- refines: SYS-{links[number]}\n" if number in links else "") + "\nText.\n"
        for number in (1, 2, 3)
    )
    problems: list[UsageError] = []
    read_items(project(tmp_path, schema, items=items), problems=problems)
    assert [problem.message.rpartition("circle: ")[2] for problem in problems] == ([way] if way else [])
    assert all(problem.line and problem.remedy for problem in problems)


@pytest.mark.parametrize(("only", "boards"), [(None, []), (("microbit",), []), (("other",), ["microbit"])])
def test_a_test_of_other_boards_verifies_nothing_here(
    tmp_path: Path, only: tuple[str, ...] | None, boards: list[str]
) -> None:
    items = read_items(project(tmp_path, items="# T\n## SRS-001 R\n\nText.\n"))
    tests = [DeviceTest("test_x.py::test_one", ("SRS-001",), "hil/test_x.py", 1, only=only)]
    found = check_items(items, tests, ["microbit"], rules=TraceRules(shipped_schema())).findings
    assert [one.board for one in found if one.kind == "untested-requirement"] == boards
