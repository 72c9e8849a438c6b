"""ReqIF 1.2, valid by its schema: a spec object an item, a spec relation a link, all attributes as strings.

Times of change are required by the format, but are not facts about items here: they are all the same, so that the same items make
the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from devicepipe.evidence.trace import Item
from devicepipe.project.toml_file import Table
from devicepipe.traceability.exporters.exporter import Exported, Exporter, fields_of, told
from devicepipe.traceability.foreign_files import control_character, without_controls

_NAMESPACE = "http://www.omg.org/spec/ReqIF/20110401/reqif.xsd"
_TIME = "2000-01-01T00:00:00Z"
_STRING = "datatype-string"


class ReqifExporter(Exporter):
    """One .reqif file, with one specification of all items."""

    lossless = True

    class Config(Table):
        """`title`: of the file and its specification."""

        title: str = "Items"

    def write(self, items: Sequence[Item]) -> Exported:
        """One .reqif file."""
        from lxml import etree

        made = Exported()
        title = self.config.title if isinstance(self.config, self.Config) else ""
        root = etree.Element(f"{{{_NAMESPACE}}}REQ-IF", nsmap={None: _NAMESPACE})
        header = _add(_add(root, "THE-HEADER"), "REQ-IF-HEADER", IDENTIFIER="header")
        for name, text in (
            ("CREATION-TIME", _TIME),
            ("REQ-IF-TOOL-ID", "devicepipe"),
            ("REQ-IF-VERSION", "1.0"),
            ("SOURCE-TOOL-ID", "devicepipe"),
            ("TITLE", title),
        ):
            _add(header, name).text = text
        content = _add(_add(root, "CORE-CONTENT"), "REQ-IF-CONTENT")
        _definitions(content, items)
        objects = _add(content, "SPEC-OBJECTS")
        for item in items:
            _object(objects, item, made)
        _relations(content, items)
        specification = _named(_add(content, "SPECIFICATIONS"), "SPECIFICATION", "specification", title)
        _add(_add(specification, "TYPE"), "SPECIFICATION-TYPE-REF").text = "type-specification"
        children = _add(specification, "CHILDREN")
        for item in items:
            entry = _named(children, "SPEC-HIERARCHY", f"entry-{_ncname(item.id)}")
            _add(_add(entry, "OBJECT"), "SPEC-OBJECT-REF").text = f"item-{_ncname(item.id)}"
        made.files[""] = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
        return made


def _definitions(content: Any, items: Sequence[Item]) -> None:
    datatypes = _add(content, "DATATYPES")
    _named(datatypes, "DATATYPE-DEFINITION-STRING", _STRING, "String", MAX_LENGTH="1000000")
    types = _add(content, "SPEC-TYPES")
    for kind in sorted({item.type for item in items}):
        made = _named(types, "SPEC-OBJECT-TYPE", f"type-{kind}", kind)
        attributes = _add(made, "SPEC-ATTRIBUTES")
        fields = sorted({key for item in items if item.type == kind for key in fields_of(item)})
        for name in ("ReqIF.ForeignID", "ReqIF.Name", "ReqIF.Text", *fields):
            attribute = _named(attributes, "ATTRIBUTE-DEFINITION-STRING", _attribute(kind, name), name)
            _add(_add(attribute, "TYPE"), "DATATYPE-DEFINITION-STRING-REF").text = _STRING
    for link in sorted({link for item in items for link in item.links}):
        _named(types, "SPEC-RELATION-TYPE", f"link-{link}", link)
    _named(types, "SPECIFICATION-TYPE", "type-specification", "Specification")


def _object(objects: Any, item: Item, made: Exported) -> None:
    element = _named(objects, "SPEC-OBJECT", f"item-{_ncname(item.id)}")
    values = _add(element, "VALUES")
    texts = {"ReqIF.ForeignID": item.id, "ReqIF.Name": item.title, "ReqIF.Text": item.text, **fields_of(item)}
    for name, text in texts.items():
        if found := control_character(text):
            made.losses.append(told(item, f"character {found}, which XML cannot hold: left out"))
        value = _add(values, "ATTRIBUTE-VALUE-STRING", THE_VALUE=without_controls(text))
        _add(_add(value, "DEFINITION"), "ATTRIBUTE-DEFINITION-STRING-REF").text = _attribute(item.type, name)
    _add(_add(element, "TYPE"), "SPEC-OBJECT-TYPE-REF").text = f"type-{item.type}"


def _relations(content: Any, items: Sequence[Item]) -> None:
    relations = _add(content, "SPEC-RELATIONS")
    for item in items:
        for link, targets in item.links.items():
            for target in targets:
                own = f"relation-{link}-{_ncname(item.id)}-{_ncname(target)}"
                element = _named(relations, "SPEC-RELATION", own)
                _add(_add(element, "TARGET"), "SPEC-OBJECT-REF").text = f"item-{_ncname(target)}"
                _add(_add(element, "SOURCE"), "SPEC-OBJECT-REF").text = f"item-{_ncname(item.id)}"
                _add(_add(element, "TYPE"), "SPEC-RELATION-TYPE-REF").text = f"link-{link}"


def _attribute(kind: str, name: str) -> str:
    return f"attribute-{kind}-{name}"


def _named(parent: Any, tag: str, own: str, long_name: str = "", **further: str) -> Any:
    names = {"LONG_NAME": long_name} if long_name else {}
    return _add(parent, tag, IDENTIFIER=own, LAST_CHANGE=_TIME, **names, **further)


def _add(parent: Any, tag: str, **attributes: str) -> Any:
    from lxml import etree

    named = {name.replace("_", "-"): value for name, value in attributes.items()}
    return etree.SubElement(parent, f"{{{_NAMESPACE}}}{tag}", named)


def _ncname(own: str) -> str:
    """An id as part of an XML name, different for different ids."""
    return re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}_", own)
