"""Doorstop documents: a folder an id prefix, a YAML file an item.

Doorstop has one kind of link and one parent a document; each item's links go into its `links`, and by kind into attributes of its
own, which is where the importer finds them again. Its checks know one tree: the document that most links of a prefix lead to is its
parent, so a set of items that is no tree makes Doorstop warn, not fail.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from devicepipe.evidence.trace import Item
from devicepipe.traceability.exporters.exporter import Exported, Exporter, fields_of, told

_ID = re.compile(r"([A-Za-z][A-Za-z0-9]*(?:-[A-Za-z][A-Za-z0-9]*)*)-(\d+)")


class DoorstopExporter(Exporter):
    """A folder of documents; ids must be a prefix, "-" and a number."""

    folder = True
    lossless = True

    def write(self, items: Sequence[Item]) -> Exported:
        """A folder for each prefix, with its items."""
        import yaml

        made = Exported()
        prefixes: dict[str, list[tuple[Item, str]]] = {}
        for item in items:
            found = _ID.fullmatch(item.id)
            if found is None:
                what = "an id that is no prefix and number: the item is left out"
                made.losses.append(told(item, what))
            else:
                prefixes.setdefault(found[1], []).append((item, found[2]))
        parents = _parents(prefixes)
        for prefix, own in prefixes.items():
            digits = max(len(number) for _, number in own)
            settings: dict[str, Any] = {"digits": digits, "prefix": prefix, "sep": "-"}
            if prefix in parents:
                settings["parent"] = parents[prefix]
            made.files[f"{prefix}/.doorstop.yml"] = _dump(yaml, {"settings": settings})
            for place, (item, _) in enumerate(own, start=1):
                made.files[f"{prefix}/{item.id}.yml"] = _dump(yaml, _item(item, place))
        return made


def _parents(prefixes: dict[str, list[tuple[Item, str]]]) -> dict[str, str]:
    """By prefix, the one that most of its links lead to; one is left without, so that there is a root, and there are no rings."""
    parents: dict[str, str] = {}
    for prefix, own in prefixes.items():
        counts: Counter[str] = Counter()
        for item, _ in own:
            for target in (one for targets in item.links.values() for one in targets):
                found = _ID.fullmatch(target)
                if found and found[1] in prefixes and found[1] != prefix:
                    counts[found[1]] += 1
        for candidate, _ in counts.most_common():
            above: str | None = candidate
            while above is not None and above != prefix:
                above = parents.get(above)
            if above is None:
                parents[prefix] = candidate
                break
    root = next((prefix for prefix in prefixes if prefix not in parents), "")
    for prefix in prefixes:
        if prefix not in parents and prefix != root:
            parents[prefix] = root  # Doorstop knows one tree only
    return parents


def _item(item: Item, place: int) -> dict[str, Any]:
    links = list(dict.fromkeys(target for targets in item.links.values() for target in targets))
    return {
        "active": True,
        "derived": False,
        "header": item.title,
        "level": f"1.{place}",
        "links": [{target: None} for target in links],
        "normative": True,
        "ref": "",
        "reviewed": None,
        "text": item.text,
        "item-type": item.type,
        **{kind: ", ".join(targets) for kind, targets in item.links.items()},
        **fields_of(item),
    }


def _dump(yaml: Any, data: dict[str, Any]) -> bytes:
    text: str = yaml.dump(data, Dumper=yaml.SafeDumper, allow_unicode=True, sort_keys=False, width=10_000)
    return text.encode()
