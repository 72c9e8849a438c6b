"""What the report says of injected faults: a figure whose parts add up, broken promises that stand out and can be tried again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devicepipe.documents.campaigns import campaigns
from devicepipe.documents.html_page import render_html
from devicepipe.documents.model import Bars, Block, Paragraph, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.report import verification_report
from devicepipe.evidence.campaigns import CampaignFailure, Unprepared
from tests.documents.release_records import campaigns as found
from tests.documents.release_records import green

BROKEN = CampaignFailure(point="swap:17", message="before operation 8: a mixture starts")


def figures(record: ReleaseRecord) -> list[Bars]:
    return [block for block in campaigns(record, "12") if isinstance(block, Bars)]


def tables(record: ReleaseRecord) -> list[Table]:
    return [block for block in campaigns(record, "12") if isinstance(block, Table)]


def words(block: Block) -> str:
    assert isinstance(block, Table)
    return " ".join(cell.text + cell.detail for row in block.rows for cell in row)


def test_a_figure_counts_every_point_of_all_boards() -> None:
    cuts, flips = figures(green())
    assert dict(cuts.rows)["swap"] == (2 * 3, 2 * 21, 0)
    assert cuts.parts == ("old", "trial, then old", "a promise was broken")
    assert sum(sum(counts) for _, counts in cuts.rows) == 2 * 40
    assert sum(sum(counts) for _, counts in flips.rows) == 2 * 45


def test_a_broken_promise_stands_out_in_table_and_figure_and_can_be_tried_again() -> None:
    record = replace(green(), campaigns=(found("microbit", BROKEN), found("mps2_an385")))
    table, failures, _ = tables(record)
    assert table.rows[0][-1].tone is Tone.BAD
    assert table.rows[1][-1].tone is Tone.GOOD
    assert "swap:17" in words(failures)
    assert "devicepipe campaign powercut --board microbit --point swap:17" in words(failures)
    cuts = figures(record)[0]
    assert dict(cuts.rows)["swap"][-1] == 1
    assert cuts.parts[-1] in cuts.bad
    page = render_html(verification_report(record)).decode()
    assert "a promise was broken: 1<" in page


def test_a_campaign_that_was_not_run_is_never_shown_as_held() -> None:
    without = found("microbit").model_copy(
        update={"results": [], "unprepared": [Unprepared(kind="powercut", message="no update starts")]}
    )
    record = replace(green(), campaigns=(without,))
    table = tables(record)[0]
    assert [row[-1].text for row in table.rows] == ["not run"] * 2
    assert table.rows[0][-1].detail == "no update starts"
    assert all(row[-1].tone is Tone.BAD for row in table.rows)


def test_a_product_without_campaigns_says_so() -> None:
    record = replace(green(), source=green().source.model_copy(update={"campaigns": None}), campaigns=())
    assert campaigns(record, "12") == (Paragraph.plain("The product asks for no campaign."),)


def test_a_figure_of_which_a_row_lacks_a_count_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="'swap' has 1 counts, expected 2"):
        Bars("Figure", ("old", "new"), (("swap", (1,)),), "points")
