"""Every page that the program makes, opened in a real browser: a phone, and A4 paper.

Names are as long and as evil as they get. Nothing is fetched, nothing stands on the console,
nothing sticks out, and no picture or row is cut by the end of a page.
"""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgr_cli import comparison
from mgr_cli.config import SPLITS
from mgr_cli.data.audit import Audit, Finding
from mgr_cli.explanation.mapping import Map
from mgr_cli.explanation.projections import Trust
from mgr_cli.features.mel import log_mel
from mgr_cli.reports import dataset, evaluation, page, scatter, study
from tests import browser
from tests.browser import Browser, Sight
from tests.reports import test_evaluation, test_study
from tests.reports.made_up import MIXED, SPEC, bad, prepared, row
from tests.reports.test_page import HOSTILE, Read

LONG = "Lorem-ipsum-dolor-sit-amet_" * 8  # without a place to break it
SLOW = "rendering warning: "
PLAIN = '<!DOCTYPE html><meta name="viewport" content="width=device-width">'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.running() as running:
        yield running


Look = Callable[[str], Sight]


@pytest.fixture
def look(chromium: Browser, tmp_path: Path) -> Look:
    """Return what opens a page in the browser."""

    def seen(html: str) -> Sight:
        path = tmp_path / "page # of a test.html"
        path.write_text(html, encoding="utf-8", errors="surrogateescape")
        return chromium.look(path)

    return seen


def faults(sight: Sight) -> dict[str, tuple[str, ...]]:
    """Return what a page of ours may not have, by its name."""
    found = {
        name: getattr(sight, name)
        for name in ("requests", "messages", "outside", "outside_paper", "parted")
    }
    # Without a graphics card Chromium remarks that what is drawn in space is slow.
    found["messages"] = tuple(said for said in sight.messages if not said.startswith(SLOW))
    return {name: what for name, what in found.items() if what}


def n_pages(sight: Sight) -> int:
    """Count the sheets of paper."""
    return len(re.findall(rb"/Type\s*/Page\b", sight.pdf))


# The browser itself: it sees what is wrong.


def test_a_page_without_a_fault_has_none(look: Look) -> None:
    seen = look(f"{PLAIN}<p>Hello<script>document.body.append('made')</script>")
    assert faults(seen) == {}
    assert seen.text.split() == ["Hello", "made"]
    assert n_pages(seen) == 1
    assert seen.offered == ()


@pytest.mark.parametrize(
    "leak",
    [
        '<img src="http://127.0.0.1:9/x">',
        '<style>@import url("http://127.0.0.1:9/x");</style>',
        '<script src="http://127.0.0.1:9/x"></script>',
        '<script>fetch("http://127.0.0.1:9/x").catch(() => {})</script>',
        '<iframe src="http://127.0.0.1:9/x"></iframe>',
        '<style>@media print { body { background: url("http://127.0.0.1:9/x") } }</style>',
    ],
)
def test_what_a_page_asks_for_is_seen(look: Look, leak: str) -> None:
    assert "http://127.0.0.1:9/x" in look(PLAIN + leak).requests


def test_another_file_is_outside_of_a_page_too(look: Look) -> None:
    (asked,) = look(f'{PLAIN}<img src="neighbour.png">').requests
    assert asked.endswith("/neighbour.png")
    assert look(f'{PLAIN}<img src="data:,x">').requests == ()


def test_a_socket_is_seen(look: Look) -> None:
    assert look(f"{PLAIN}<script>new WebSocket('ws://127.0.0.1:9/x')</script>").requests == (
        "ws://127.0.0.1:9/x",
    )


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("console.error('oh')", "console.error: oh"),
        ("console.log('hm')", "console.log: hm"),
        ("throw new Error('bad')", "exception: Uncaught Error: bad"),
        ("setTimeout(() => { throw new Error('late') }, 20)", "exception: Uncaught Error: late"),
        ("Promise.reject(new Error('broken'))", "exception: Uncaught (in promise) Error: broken"),
    ],
)
def test_what_goes_wrong_in_a_page_is_seen(look: Look, script: str, said: str) -> None:
    (message,) = look(f"{PLAIN}<script>{script}</script>").messages
    assert message.startswith(said)


def test_what_sticks_out_is_seen_unless_its_box_scrolls(look: Look) -> None:
    wide = '<div style="width: 800px; height: 1em"></div>'
    body = f"{PLAIN}<style>body {{ margin: 0 }}</style>"
    seen = look(body + wide)
    assert seen.outside[0] == "the page is 800 px wide, not 390"
    assert seen.outside[1] == "div ends at 800 of 390 px"
    assert seen.outside_paper[0].startswith("the page is 800 px wide, not 717")
    held = look(f'{body}<div style="overflow-x: auto">{wide}</div>')
    assert held.outside == ()
    assert held.outside_paper == ("div ends at 800 of 717 px",)  # paper does not scroll
    loose = "<table style='table-layout: fixed; width: 2em'><tr><td>unbreakable</table>"
    assert look(body + loose).outside == ("“unbreakable” is wider than its column",)
    cut = look(f'{body}<div style="overflow: hidden">{wide}</div>')
    assert cut.outside == ("div ends at 800 of 390 px",)
    hidden = look(f"{body}<style>html, body {{ overflow-x: hidden }}</style>{wide}")
    assert hidden.outside == ("div ends at 800 of 390 px",)
    assert look(wide).outside[0] == "the page is 980 px wide, not 390"  # made for no phone


def test_what_the_end_of_a_page_may_cut_is_seen(look: Look) -> None:
    tall = "<style>figure, tr { break-inside: avoid }</style><figure><p style='height: 1200px'>"
    assert look(PLAIN + tall).parted == ("figure is 1200 px high, and a page is 1045",)
    loose = f"{PLAIN}<table><tr><td>x</table>"
    assert look(loose).parted == ("tr may be parted by the end of a page",)
    assert n_pages(look(PLAIN + "<p style='height: 2500px'>")) == 3


def test_links_buttons_and_forms_are_named(look: Look) -> None:
    seen = look(
        f'{PLAIN}<a href="https://x.org/">out</a><button title="Share">s</button><form action="y">'
    )
    assert seen.offered == ("a out https://x.org/", "button Share", "form  y")


def test_a_picture_shows_the_whole_page_in_its_width(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    path.write_text(f"{PLAIN}<body style='margin: 0; height: 2000px; background: #008000'>")
    for width in (browser.PHONE, browser.SCREEN):
        with Image.open(BytesIO(chromium.picture(path, width=width))) as image:
            assert image.size == (width, 2_000)
            assert image.convert("RGB").getpixel((width - 1, 1_999)) == (0, 128, 0)


def test_a_page_that_never_ends_is_given_up_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / "x.html"
    path.write_text("<script>for (;;);</script>")
    with browser.running() as running:
        running.ask("Browser.getVersion")  # it has started
        assert ours(tmp_path)
        running.timeout = 1.0
        with pytest.raises(TimeoutError, match="has not answered for 1 s"):
            running.look(path)
        running.timeout = browser.TIMEOUT
    assert ours(tmp_path) == []
    assert list(tmp_path.iterdir()) == [path]


def ours(folder: Path) -> list[str]:
    """List the processes that have a folder in their command line."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            lines.append((process / "cmdline").read_bytes())
        except OSError:  # it has just ended
            continue
    return [os.fsdecode(line) for line in lines if os.fsencode(folder) in line]


# The pages.


def test_a_table_scrolls_on_a_phone_and_is_squeezed_on_paper(look: Look) -> None:
    """Its heads are longer than a line of a phone, and stand in columns of one letter."""
    head = [
        f"head {number} that is longer than a column may be, with its unit, %"
        for number in range(9)
    ]
    numbers = page.table(head, [range(9)])
    texts = page.table(head, [["x"] * 9, [LONG] * 9])
    assert faults(look(page.document("x", numbers, texts, page.gallery(numbers, texts)))) == {}


def test_the_page_of_a_dataset(look: Look) -> None:
    names = dict.fromkeys(("track_id", "path", "artist", "title"), LONG)
    rows = [*MIXED, row(20, HOSTILE, **names), row(21, LONG, split="test", **names)]
    rows += [bad(30 + i, LONG, HOSTILE) for i in range(3)]
    finding = Finding("artist", LONG, (LONG, HOSTILE), SPLITS[:2], (LONG, HOSTILE))
    sound = np.sin(np.arange(16_000)).astype(np.float32)
    html = dataset.render(
        prepared(rows, name=LONG), levels=lambda _: log_mel(sound, SPEC),
        waveform=lambda _: (sound, 8_000), audit=Audit((finding,) * 40, 9, listened=True),
    )  # fmt: skip
    seen = look(html)
    assert faults(seen) == {}
    assert seen.offered == ()
    assert HOSTILE in seen.text
    assert n_pages(seen) > 2


def test_the_page_of_an_evaluation(look: Look) -> None:
    genres = (LONG, HOSTILE, "rock")
    done = test_evaluation.evaluated(LONG, genres=genres, remarks=(HOSTILE, LONG))
    tracks = tuple(replace(each, track_id=LONG, path=f"{LONG}/{LONG}") for each in done.tracks)
    done = replace(done, dataset=LONG, tracks=tracks * 20)
    whole = test_evaluation.appraised(done, source=LONG)
    html = evaluation.render([whole], command=f"mgr eval --model {LONG}")
    assert html == evaluation.render([whole], command=f"mgr eval --model {LONG}")
    seen = look(html)
    assert faults(seen) == {}
    assert seen.offered == ()
    assert HOSTILE in seen.text
    assert "The most confident mistakes" in seen.text


def test_the_page_of_a_comparison(look: Look) -> None:
    names = tuple(f"short-chunk-resnet-{number}-{LONG[:30]}" for number in range(4))
    paces = {"cpu": 0.012, "cuda": 0.001}
    found = [test_evaluation.bare(test_evaluation.evaluated(name), pace=paces) for name in names]
    right = np.random.default_rng(0).random((4, 6)) < 0.5
    pairs = comparison.compare(names, right, rng=np.random.default_rng(0))
    seen = look(evaluation.render(found, pairs=pairs, command="mgr eval --compare"))
    assert faults(seen) == {}
    assert seen.offered == ()
    assert "McNemar" in seen.text


def test_the_page_of_an_evaluation_of_many_genres(look: Look) -> None:
    """24 genres are as many as have a matrix of counts; in it three digits in each cell."""
    k = 24
    genres = tuple(f"Old-Time / Historic {number}" for number in range(k))
    said = tuple((label, tuple(np.eye(k)[label - 1].tolist())) for label in range(k))
    done = test_evaluation.evaluated(genres=genres, said=said, track_counts=np.full((k, k), 888))
    found = replace(done.assessment, n_segments=k)  # as many as tracks: one picture
    seen = look(evaluation.render([test_evaluation.bare(replace(done, assessment=found))]))
    assert faults(seen) == {}
    assert seen.text.count("888") == k * k + k  # each row's largest is named once more


def test_the_page_of_a_study(look: Look) -> None:
    made = test_study.made([0.5, None, 0.9, 0.7], name=f"<b>{test_study.EVIL}")
    header, rows = study.trials(made)
    seen = look(study.page(made, title=LONG, header=header, rows=rows * 20))
    assert faults(seen) == {}
    assert "Optimization History Plot" in seen.text  # the scripts may run
    assert test_study.EVIL in seen.text
    assert {said.split()[0] for said in seen.offered} == {"button"}
    assert not [said for said in seen.offered if "share" in said.lower() or "http" in said]


@pytest.mark.parametrize("n_dimensions", [2, 3])
def test_the_page_of_a_map(look: Look, n_dimensions: int) -> None:
    done = test_evaluation.evaluated(genres=(LONG, HOSTILE, "<b>rock</b>"))
    tracks = tuple(replace(each, track_id=HOSTILE, path=LONG) for each in done.tracks)
    axes = tuple(f"component {number} ({LONG})" for number in range(n_dimensions))
    places = np.random.default_rng(0).normal(size=(len(tracks), n_dimensions))
    found = Map("pca", "embeddings", 64, done.genres, tracks, places, axes, LONG,
                Trust(5, 0.5, 0.25, 0.125))  # fmt: skip
    seen = look(scatter.document(found, title=HOSTILE))
    assert faults(seen) == {}
    assert HOSTILE in seen.text
    assert "rock" in seen.text
    assert not [said for said in seen.offered if "share" in said.lower() or "http" in said]


def test_a_script_that_a_page_was_not_made_with_does_not_run(look: Look) -> None:
    made = test_study.made([0.5, 0.9])
    header, rows = study.trials(made)
    html = study.page(made, title="x", header=header, rows=rows)
    own = page.document("x", page.paragraph("y"), scripts=["document.title = 'mine'"])
    for whole in (html, own, page.document("x")):
        seen = look(whole.replace("<main>", "<main><script>console.log('evil')</script>"))
        assert len(seen.messages) == 1
        assert "Content Security Policy" in seen.messages[0]
    assert faults(look(own)) == {}


def test_rows_are_whole_on_paper(look: Look) -> None:
    """Read back from the PDF: the cells of each row stand beside each other on one page."""
    pdfium = pytest.importorskip("pypdfium2")
    found, pairs = test_evaluation.two()
    many = tuple(each for each in found[0].evaluation.tracks for _ in range(20))
    found[0] = replace(found[0], evaluation=replace(found[0].evaluation, tracks=many))
    html = evaluation.render(found, pairs=pairs, n_mistakes=60)
    seen = look(html)
    pages = [
        "".join(each.get_textpage().get_text_range().split())
        for each in pdfium.PdfDocument(seen.pdf)
    ]
    assert len(pages) == n_pages(seen) > 3
    rows = ["".join("".join(line).split()) for rows in Read(html).tables for line in rows[1:]]
    assert len(rows) > 100
    assert [line for line in rows if not any(line in text for text in pages)] == []
