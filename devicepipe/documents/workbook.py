"""A document's tables as one Office Open XML workbook: a sheet a table, the same bytes for the same document.

An own writer, because the same document must give the same bytes: openpyxl takes times from the clock, and compression differs
between zlib implementations (parts are stored as they are). It is also what lets a matrix of 10,000 rows cost under a second.

A text is stored as a text (a shared string), which no spreadsheet evaluates, whatever it begins with; where it begins as a
formula does it is marked with the quote prefix too, so that editing the cell does not make one of it. No text is changed for
that. Sources: ECMA-376 part 1 (18.2 to 18.8), part 2 (packages); Excel's limits: 31 characters for the name of a sheet, 32,767 for
a text, 255 for a header.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from devicepipe.documents.csv_table import is_formula
from devicepipe.documents.model import Document, Tone
from devicepipe.documents.tables import Sheet, Value, sheets_of, text_value
from devicepipe.documents.visible import visible

_STAMP: Final = (1980, 1, 1, 0, 0, 0)
_NAME_LENGTH: Final = 31
_TEXT_LENGTH: Final = 32_767
_RUNNING_LENGTH: Final = 60
_CUT: Final = " … [cut here: the CSV file has all of it]"
_WIDEST: Final = 66  # characters: a SHA-256 stands in one line
_LINE: Final = 13.0  # points; a program that opens a workbook does not everywhere make rows as high as their texts
_HIGHEST: Final = 400.0
_FIRST_FORMAT: Final = 164  # below are Excel's own
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_ESCAPED: Final = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")

# Fonts and fills by their places in the style sheet.
_PLAIN, _STRONG, _WHITE, _LINK, _QUIET = range(5)
_FONTS: Final = (
    '<font><sz val="10"/><name val="Calibri"/></font>'
    '<font><b/><sz val="10"/><name val="Calibri"/></font>'
    '<font><b/><sz val="10"/><color rgb="FFFFFFFF"/><name val="Calibri"/></font>'
    '<font><u/><sz val="10"/><color rgb="FF1F3A5F"/><name val="Calibri"/></font>'
    '<font><sz val="10"/><color rgb="FF586472"/><name val="Calibri"/></font>'
)
_NO_FILL, _, _SHADE, _BAD, _WARNING = range(5)
_COLORS: Final = ("FFEEF2F6", "FF9B1C1C", "FFFCF1D8")


@dataclass(slots=True)
class _Styles:
    """Cell formats by what they are made of, in the order of use."""

    formats: dict[str, int] = field(default_factory=dict)
    cells: dict[tuple[int, int, int, bool], int] = field(default_factory=lambda: {(0, _PLAIN, _NO_FILL, False): 0})

    def of(self, value: Value) -> int:
        number = self.formats.setdefault(value.format, _FIRST_FORMAT + len(self.formats)) if value.format else 0
        font = _STRONG if value.strong or value.tone is Tone.WARNING else _QUIET if value.tone is Tone.MUTED else _PLAIN
        fill = _WARNING if value.tone is Tone.WARNING else _NO_FILL
        if value.tone is Tone.BAD:
            font, fill = _WHITE, _BAD
        return self.cell(number, font, fill, prefixed=not value.number and is_formula(value.text))

    def cell(self, number: int, font: int, fill: int, *, prefixed: bool = False) -> int:
        return self.cells.setdefault((number, font, fill, prefixed), len(self.cells))

    def xml(self) -> str:
        numbers = "".join(
            f'<numFmt numFmtId="{number}" formatCode={quoteattr(code)}/>' for code, number in self.formats.items()
        )
        fills = '<fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
        fills += "".join(
            f'<fill><patternFill patternType="solid"><fgColor rgb="{color}"/></patternFill></fill>' for color in _COLORS
        )
        prefix = {False: "", True: ' quotePrefix="1"'}
        cells = "".join(
            f'<xf numFmtId="{number}" fontId="{font}" fillId="{fill}" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1"'
            f' applyFill="1" applyAlignment="1"{prefix[prefixed]}>'
            '<alignment vertical="top" wrapText="1"/></xf>'
            for number, font, fill, prefixed in self.cells
        )
        return (
            f'{_HEAD}<styleSheet xmlns="{_MAIN}">'
            + (f'<numFmts count="{len(self.formats)}">{numbers}</numFmts>' if numbers else "")
            + f'<fonts count="5">{_FONTS}</fonts><fills count="{2 + len(_COLORS)}">{fills}</fills>'
            '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
            '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
            f'<cellXfs count="{len(self.cells)}">{cells}</cellXfs>'
            '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
        )


@dataclass(slots=True)
class _Strings:
    """The texts of all sheets, each once."""

    texts: dict[str, int] = field(default_factory=dict)
    uses: int = 0

    def of(self, text: str) -> int:
        self.uses += 1
        return self.texts.setdefault(text, len(self.texts))

    def xml(self) -> str:
        items = "".join(f'<si><t xml:space="preserve">{_text(text)}</t></si>' for text in self.texts)
        return f'{_HEAD}<sst xmlns="{_MAIN}" count="{self.uses}" uniqueCount="{len(self.texts)}">{items}</sst>'


def _text(text: str) -> str:
    """XML's escapes, and Excel's for what it would take for one of its own ("_x0041_" is read as "A")."""
    if len(text) > _TEXT_LENGTH:
        text = text[: _TEXT_LENGTH - len(_CUT)] + _CUT
    return escape(_ESCAPED.sub("_x005F_", text))


def sheet_names(sheets: tuple[Sheet, ...]) -> list[str]:
    """Names of sheets: section and title, cut to what Excel takes, unique without regard to case."""
    names: list[str] = []
    taken = {"about", "history"}
    for sheet in sheets:
        wanted = re.sub(r"[\[\]:*?/\\]", " ", visible(f"{sheet.section} {sheet.title}")).strip().strip("'")
        wanted = " ".join(wanted.split()) or "Table"
        name, number = _cut(wanted, _NAME_LENGTH), 2
        while name.lower() in taken:
            end = f" ({number})"
            name, number = _cut(wanted, _NAME_LENGTH - len(end)) + end, number + 1
        taken.add(name.lower())
        names.append(name)
    return names


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def render_workbook(document: Document, sheets: tuple[Sheet, ...] | None = None) -> bytes:
    """The tables of a document (`sheets_of` it, where not given) as an .xlsx file, after a sheet that says what they are."""
    return _Workbook(document, sheets_of(document) if sheets is None else sheets).render()


class _Workbook:
    def __init__(self, document: Document, sheets: tuple[Sheet, ...]) -> None:
        self._document = document
        self._sheets = sheets
        self._names = sheet_names(sheets)
        self._styles = _Styles()
        self._strings = _Strings()
        self._header = self._styles.cell(0, _STRONG, _SHADE)
        self._link = self._styles.cell(0, _LINK, _NO_FILL)

    def render(self) -> bytes:
        parts = {"xl/worksheets/sheet1.xml": self._about()}
        for number, sheet in enumerate(self._sheets, start=2):
            parts[f"xl/worksheets/sheet{number}.xml"] = self._sheet(sheet)
        parts |= {"xl/styles.xml": self._styles.xml(), "xl/sharedStrings.xml": self._strings.xml()}
        parts = {**self._package(), **parts}
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for name, text in parts.items():
                info = zipfile.ZipInfo(name, _STAMP)
                info.create_system = 3
                archive.writestr(info, text.encode("utf-8"))
        return out.getvalue()

    # --- sheets

    def _cell(self, value: Value) -> str:
        if value.number:
            return f'<c s="{self._styles.of(value)}"><v>{value.number}</v></c>'
        if not value.text:
            return "<c/>"
        return f'<c s="{self._styles.of(value)}" t="s"><v>{self._strings.of(value.text)}</v></c>'

    def _headings(self, names: tuple[str, ...]) -> str:
        cells = "".join(f'<c s="{self._header}" t="s"><v>{self._strings.of(name)}</v></c>' for name in names)
        return f'<row r="1">{cells}</row>'

    def _sheet(self, sheet: Sheet) -> str:
        known: dict[Value, str] = {}
        lines = [self._headings(sheet.columns)]
        widths = _widths(sheet)
        for number, row in enumerate(sheet.rows, start=2):
            cells = []
            for value in row:
                cell = known.get(value)
                if cell is None:
                    cell = known[value] = self._cell(value)
                elif value.text and not value.number:
                    self._strings.uses += 1
                cells.append(cell)
            lines.append(f'<row r="{number}"{_height(row, widths)}>{"".join(cells)}</row>')
        area = f"A1:{_column(len(sheet.columns))}{len(sheet.rows) + 1}"
        return self._worksheet("".join(lines), widths, f'<autoFilter ref="{area}"/>')

    def _worksheet(self, rows: str, widths: list[int], after: str) -> str:
        banner = self._document.running.banner
        color = '<tabColor rgb="FF9B1C1C"/>' if banner else ""
        columns = "".join(
            f'<col min="{at}" max="{at}" width="{width}" customWidth="1"/>' for at, width in enumerate(widths, start=1)
        )
        paper = 9 if self._document.paper == "A4" else 1
        head, foot = (
            "".join(f"&{side}{_cut(visible(text), _RUNNING_LENGTH).replace('&', '&&')}" for side, text in texts if text)
            for texts in (
                (("L", self._document.running.left), ("C", banner), ("R", self._document.identifier)),
                (("L", self._document.title),),
            )
        )
        return (
            f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetPr>{color}<pageSetUpPr fitToPage="1"/></sheetPr>'
            '<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
            '</sheetView></sheetViews><sheetFormatPr defaultRowHeight="13"/>'
            f"<cols>{columns}</cols><sheetData>{rows}</sheetData>{after}"
            '<pageMargins left="0.5" right="0.5" top="0.8" bottom="0.7" header="0.3" footer="0.3"/>'
            f'<pageSetup paperSize="{paper}" orientation="landscape" fitToHeight="0"/>'
            f"<headerFooter><oddHeader>{escape(head)}</oddHeader><oddFooter>{escape(foot)}&amp;RPage &amp;P of &amp;N</oddFooter>"
            "</headerFooter></worksheet>"
        )

    def _about(self) -> str:
        """What the workbook is, and its sheets with links to them."""
        document = self._document
        facts = [
            ("Document", document.identifier),
            ("Title", document.title),
            ("Subject", document.subject),
            ("Author", document.author),
            ("Time of the release", document.created.replace("T", " ").replace("Z", " UTC")),
            ("Note", document.running.banner),
        ]
        rows = [self._headings(("Sheet", "Shows", "Rows", "CSV file"))]
        number = 2
        links = []
        for sheet, name in zip(self._sheets, self._names, strict=True):
            link = f'<c s="{self._link}" t="s"><v>{self._strings.of(name)}</v></c>'
            others = (
                text_value(sheet.title),
                Value(str(len(sheet.rows)), str(len(sheet.rows)), "0"),
                Value(f"{sheet.stem}.csv"),
            )
            rows.append(f'<row r="{number}">{link}{"".join(map(self._cell, others))}</row>')
            target = f"'{name.replace(chr(39), chr(39) * 2)}'!A1"
            links.append(f'<hyperlink ref="A{number}" location={quoteattr(target)}/>')
            number += 1
        for name, text in facts:
            if text:
                tone = Tone.BAD if name == "Note" else Tone.PLAIN
                value = text_value(text)
                cells = (Value(name, strong=True), Value(value.text, value.number, value.format, tone))
                rows.append(f'<row r="{number + 1}">{"".join(map(self._cell, cells))}</row>')
                number += 1
        hyperlinks = f"<hyperlinks>{''.join(links)}</hyperlinks>" if links else ""
        return self._worksheet("".join(rows), [34, 66, 8, 60], hyperlinks)

    # --- the package around them

    def _package(self) -> dict[str, str]:
        count = len(self._sheets) + 1
        document = self._document
        types = "".join(
            f'<Override PartName="/{part}" ContentType="application/vnd.openxmlformats-{kind}+xml"/>'
            for part, kind in (
                ("xl/workbook.xml", "officedocument.spreadsheetml.sheet.main"),
                *(
                    (f"xl/worksheets/sheet{n}.xml", "officedocument.spreadsheetml.worksheet")
                    for n in range(1, count + 1)
                ),
                ("xl/styles.xml", "officedocument.spreadsheetml.styles"),
                ("xl/sharedStrings.xml", "officedocument.spreadsheetml.sharedStrings"),
                ("docProps/core.xml", "package.core-properties"),
            )
        )
        relations = [(f"{_RELATIONS}/worksheet", f"worksheets/sheet{n}.xml") for n in range(1, count + 1)]
        relations += [(f"{_RELATIONS}/styles", "styles.xml"), (f"{_RELATIONS}/sharedStrings", "sharedStrings.xml")]
        sheets = "".join(
            f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>'
            for n, name in enumerate(["About", *self._names], start=1)
        )
        titles = "".join(
            f'<definedName name="_xlnm.Print_Titles" localSheetId="{n}">{escape(_quoted(name))}!$1:$1</definedName>'
            for n, name in enumerate(self._names, start=1)
        )
        created = document.created
        return {
            "[Content_Types].xml": f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>{types}</Types>',
            "_rels/.rels": _relationships(
                [
                    (f"{_RELATIONS}/officeDocument", "xl/workbook.xml"),
                    (f"{_PACKAGE}/relationships/metadata/core-properties", "docProps/core.xml"),
                ]
            ),
            "docProps/core.xml": f'{_HEAD}<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
            f"<dc:title>{escape(visible(document.title))}</dc:title><dc:subject>{escape(visible(document.subject))}</dc:subject>"
            f"<dc:creator>{escape(visible(document.author))}</dc:creator>"
            f"<cp:keywords>{escape(visible(document.identifier))}</cp:keywords>"
            f'<dcterms:created xsi:type="dcterms:W3CDTF">{escape(created)}</dcterms:created>'
            f'<dcterms:modified xsi:type="dcterms:W3CDTF">{escape(created)}</dcterms:modified></cp:coreProperties>',
            "xl/workbook.xml": f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{sheets}</sheets>'
            + (f"<definedNames>{titles}</definedNames>" if titles else "")
            + "</workbook>",
            "xl/_rels/workbook.xml.rels": _relationships(relations),
        }


def _relationships(relations: list[tuple[str, str]]) -> str:
    entries = "".join(
        f'<Relationship Id="rId{n}" Type="{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(relations, start=1)
    )
    return f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{entries}</Relationships>'


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def _widths(sheet: Sheet) -> list[int]:
    """Widths of columns in characters: what their longest texts need, within bounds; a header has the filter's button too."""
    longest = [
        max([len(name) + 3, *{max(map(len, row[at].text.split("\n"))) for row in sheet.rows}])
        for at, name in enumerate(sheet.columns)
    ]
    return [min(max(width, 6), _WIDEST) + 2 for width in longest]


def _height(row: tuple[Value, ...], widths: list[int]) -> str:
    """The height of a row of which a text needs more than one line, as an attribute."""
    if all(len(value.text) < width and "\n" not in value.text for value, width in zip(row, widths, strict=True)):
        return ""
    most = max(
        sum(-(-max(len(line), 1) // (width - 2)) for line in value.text.split("\n"))
        for value, width in zip(row, widths, strict=True)
    )
    return f' ht="{min(most * _LINE, _HIGHEST)}" customHeight="1"' if most > 1 else ""


def _column(number: int) -> str:
    """A column's letters: 1 is A, 27 is AA."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
