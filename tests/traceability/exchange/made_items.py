"""Items for tests: the reference product's own, and made-up ones that try a format's edges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from devicepipe.errors import UsageError
from devicepipe.evidence.items import fingerprint
from devicepipe.evidence.trace import Item
from devicepipe.project.exchange import TraceMapping
from devicepipe.traceability.exporters.exporter import Exporter
from devicepipe.traceability.fields import FieldRules, Scales
from devicepipe.traceability.importers.importer import Importer
from devicepipe.traceability.loss import Loss
from devicepipe.traceability.mapping import House, map_items
from devicepipe.traceability.markdown import RawItem
from devicepipe.traceability.registry import make_exporter, make_importer
from devicepipe.traceability.schema import shipped_schema

HOUSE = House(shipped_schema())
PREFIXES = HOUSE.prefixes
PREFIX_OF = {kind: prefix for prefix, kind in PREFIXES.items()}


def item(
    own: str,
    title: str = "A title",
    text: str = "A statement.",
    fields: dict[str, str] | None = None,
    links: dict[str, list[str]] | None = None,
    line: int = 1,
) -> Item:
    kind = PREFIXES[own.rpartition("-")[0]]
    fields, links = fields or {}, links or {}
    return Item(
        id=own,
        type=kind,
        title=title,
        text=text,
        fields=fields,
        links=links,
        boards=[],
        file="requirements/x.md",
        line=line,
        fingerprint=fingerprint(id=own, type=kind, title=title, text=text, fields=fields, links=links, boards=[]),
    )


# What our own Markdown can hold: no control characters, lines that do not end with spaces, no empty first or last line.
_character = st.characters(
    codec="utf-8",
    categories=("L", "N", "P", "S", "M", "Zs"),
    include_characters=" \n\t#-=:`'\"<>&|*_[]\\{}@+.,;~^",
    exclude_characters="\ufffe\uffff",
)


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


texts = st.text(_character, min_size=1, max_size=120).map(_trimmed).filter(lambda text: text.strip() != "")
titles = texts.map(lambda text: " ".join(text.split())).filter(bool)
keys = st.from_regex(r"[a-z][a-z0-9]{1,8}(-[a-z0-9]{1,5})?", fullmatch=True) | st.sampled_from(
    ("rationale", "title", "type", "level", "links", "style", "uid-x", "field-a", "foreign-id", "status", "statement")
)


@st.composite
def item_sets(draw: st.DrawFn) -> list[Item]:
    ids: list[str] = []
    made: list[Item] = []
    for kind in HOUSE.types:
        ids += [f"{PREFIX_OF[kind]}-{number:03}" for number in range(1, draw(st.integers(0, 2)) + 1)]
    for own in ids:
        kind = PREFIXES[own.rpartition("-")[0]]
        links: dict[str, list[str]] = {}
        for link, rule in HOUSE.links.items():
            may = [other for other in ids if PREFIXES[other.rpartition("-")[0]] in rule.targets]
            if kind in rule.sources and may:
                targets = draw(st.lists(st.sampled_from(may), unique=True, max_size=3))
                if targets:
                    links[link] = targets
        fields = draw(st.dictionaries(keys, texts, max_size=3))
        made.append(item(own, draw(titles), draw(texts), _allowed(fields, kind), links))
    return made


def _allowed(fields: dict[str, str], kind: str) -> dict[str, str]:
    """Without keys that our own reader refuses as mistyped."""
    rules = FieldRules(HOUSE.schema, Scales())
    found = {}
    for key, value in fields.items():
        if key in ("boards", "verification", "evidence", "evidence-sha256", *HOUSE.links):
            continue
        try:
            rules.check(RawItem("X-1", "X", "", Path("x"), 1), key, value, HOUSE.schema.types[kind])
        except UsageError:
            continue
        found[key] = value
    return found


def content(items: Sequence[Item]) -> dict[str, object]:
    """What an item says, by id: without its place."""
    return {
        one.id: (one.type, one.title, one.text, dict(sorted(one.fields.items())), dict(sorted(one.links.items())))
        for one in items
    }


def content_of_raw(items: Sequence[RawItem]) -> dict[str, object]:
    found: dict[str, object] = {}
    for one in items:
        links = {key: value.split(", ") for key, value in sorted(one.fields.items()) if key in HOUSE.links}
        fields = {key: value for key, value in sorted(one.fields.items()) if key not in HOUSE.links}
        found[one.id] = (one.type, one.title, one.text, fields, links)
    return found


def export(exporter: str | Exporter, items: Sequence[Item], folder: Path, name: str) -> tuple[Path, list[Loss]]:
    """Write items; the path to import from."""
    made = make_exporter(exporter, {}) if isinstance(exporter, str) else exporter
    written = made.write(items)
    for relative, data in written.files.items():
        path = folder / "export" / relative if relative else folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return (folder / "export" if made.folder else folder / name), written.losses


def read_back(
    importer: str | Importer,
    path: Path,
    mapping: TraceMapping | None = None,
    *,
    keep_ids: bool = True,
    house: House = HOUSE,
) -> tuple[list[RawItem], list[Loss]]:
    made = make_importer(importer, {}) if isinstance(importer, str) else importer
    mapped = map_items(
        made.read([path]),
        mapping or TraceMapping(),
        house,
        importer=made,
        keep_ids=keep_ids,
    )
    return mapped.items, mapped.losses


_REQIF_OBJECT = """<SPEC-OBJECT IDENTIFIER="o{number}" LAST-CHANGE="2026-01-01T00:00:00Z"><TYPE>
<SPEC-OBJECT-TYPE-REF>t{number}</SPEC-OBJECT-TYPE-REF></TYPE><VALUES>
<ATTRIBUTE-VALUE-STRING THE-VALUE="{id}"><DEFINITION><ATTRIBUTE-DEFINITION-STRING-REF>a-id</ATTRIBUTE-DEFINITION-STRING-REF>
</DEFINITION></ATTRIBUTE-VALUE-STRING>
<ATTRIBUTE-VALUE-STRING THE-VALUE="{title}"><DEFINITION><ATTRIBUTE-DEFINITION-STRING-REF>a-name</ATTRIBUTE-DEFINITION-STRING-REF>
</DEFINITION></ATTRIBUTE-VALUE-STRING>
<ATTRIBUTE-VALUE-XHTML><DEFINITION><ATTRIBUTE-DEFINITION-XHTML-REF>a-text</ATTRIBUTE-DEFINITION-XHTML-REF></DEFINITION>
<THE-VALUE><xhtml:div>{text}</xhtml:div></THE-VALUE></ATTRIBUTE-VALUE-XHTML>
<ATTRIBUTE-VALUE-ENUMERATION><DEFINITION><ATTRIBUTE-DEFINITION-ENUMERATION-REF>a-priority</ATTRIBUTE-DEFINITION-ENUMERATION-REF>
</DEFINITION><VALUES><ENUM-VALUE-REF>v-high</ENUM-VALUE-REF></VALUES></ATTRIBUTE-VALUE-ENUMERATION>
</VALUES></SPEC-OBJECT>"""
_ATTRIBUTES = """<SPEC-ATTRIBUTES>
<ATTRIBUTE-DEFINITION-STRING IDENTIFIER="a-id" LONG-NAME="ReqIF.ForeignID"/>
<ATTRIBUTE-DEFINITION-STRING IDENTIFIER="a-name" LONG-NAME="ReqIF.Name"/>
<ATTRIBUTE-DEFINITION-XHTML IDENTIFIER="a-text" LONG-NAME="ReqIF.Text"/>
<ATTRIBUTE-DEFINITION-ENUMERATION IDENTIFIER="a-priority" LONG-NAME="Priority"/></SPEC-ATTRIBUTES>"""
ITEMS_OF_REQIF = f"""<?xml version="1.0" encoding="UTF-8"?>
<REQ-IF xmlns="http://www.omg.org/spec/ReqIF/20110401/reqif.xsd" xmlns:xhtml="http://www.w3.org/1999/xhtml">
<CORE-CONTENT><REQ-IF-CONTENT>
<DATATYPES><DATATYPE-DEFINITION-ENUMERATION IDENTIFIER="e"><SPECIFIED-VALUES>
<ENUM-VALUE IDENTIFIER="v-high" LONG-NAME="High"><PROPERTIES><EMBEDDED-VALUE KEY="1" OTHER-CONTENT=""/></PROPERTIES></ENUM-VALUE>
</SPECIFIED-VALUES></DATATYPE-DEFINITION-ENUMERATION></DATATYPES>
<SPEC-TYPES>
<SPEC-OBJECT-TYPE IDENTIFIER="t1" LONG-NAME="Hazard">{_ATTRIBUTES}</SPEC-OBJECT-TYPE>
<SPEC-OBJECT-TYPE IDENTIFIER="t2" LONG-NAME="Risk Control"/>
<SPEC-RELATION-TYPE IDENTIFIER="r" LONG-NAME="reduces"/></SPEC-TYPES>
<SPEC-OBJECTS>
{_REQIF_OBJECT.format(number=1, id="HAZ-001", title="Too much", text="More than wanted.")}
{
    _REQIF_OBJECT.format(
        number=2,
        id="RC-001",
        title="Limit",
        text="<xhtml:p>The pump <xhtml:b>limits</xhtml:b></xhtml:p>"
        "<xhtml:ul><xhtml:li>the rate</xhtml:li><xhtml:li>the dose</xhtml:li></xhtml:ul><xhtml:object data='a.png'/>",
    )
}
</SPEC-OBJECTS>
<SPEC-RELATIONS><SPEC-RELATION IDENTIFIER="x"><TYPE><SPEC-RELATION-TYPE-REF>r</SPEC-RELATION-TYPE-REF></TYPE>
<SOURCE><SPEC-OBJECT-REF>o2</SPEC-OBJECT-REF></SOURCE><TARGET><SPEC-OBJECT-REF>o1</SPEC-OBJECT-REF></TARGET>
</SPEC-RELATION></SPEC-RELATIONS>
</REQ-IF-CONTENT></CORE-CONTENT></REQ-IF>
"""
