import base64
import io
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mgr_cli.reports import page
from mgr_cli.reports.page import Html

HOSTILE = """</script></td><script>alert('1')</script> "onerror="alert(2)" <img src=x> &amp; <!--"""
VOID = {"meta", "img"}
KNOWN = {
    "html": {"lang"}, "meta": {"charset", "name", "content", "http-equiv"}, "p": {"class", "role"},
    "div": {"class", "role", "tabindex", "aria-label"}, "th": {"scope", "class"}, "td": {"class"},
    "img": {"src", "width", "height", "alt"},
} | {
    tag: set() for tag in ("head", "title", "style", "body", "main", "h1", "h2", "h3", "section",
                           "table", "caption", "thead", "tbody", "tfoot", "tr", "figure",
                           "figcaption", "span")
}  # fmt: skip


class Read(HTMLParser):
    """A page as a browser sees it; fails where a tag is not closed, or not one of ours."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []  # innermost tag, text
        self.tables: list[list[list[str]]] = []  # rows of cells, the head one of them
        self.images: list[dict[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= KNOWN[tag], (tag, attrs)
        assert len(dict(attrs)) == len(attrs)
        self.open += [] if tag in VOID else [tag]
        if tag == "img":
            self.images.append({name: value or "" for name, value in attrs})
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data))
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def of(self, *tags: str) -> list[str]:
        """Return the texts within these tags."""
        return [text for tag, text in self.texts if tag in tags]


def bytes_of(image: dict[str, str]) -> bytes:
    return base64.b64decode(image["src"].partition("base64,")[2], validate=True)


def drawn(title: str = "x") -> Figure:
    figure = Figure((2, 1))
    figure.subplots().set_title(page.plain(title), parse_math=False)
    return figure


def whole(words: str) -> Html:
    return page.document(
        words,
        page.section(
            words, page.heading(words), page.paragraph(words), page.note(words),
            page.gallery(page.chart(drawn(words), alt=words, caption=[words, words])),
            page.picture(drawn(words), alt=words, caption=[words]),
            page.table([words, "n"], [[words, 1]], caption=words, total=[words, 2]),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    "words", [HOSTILE, "plain", "\x00\x1b[31m\ud800 \u202e\n\nx", "'", '"', ""]
)
def test_whatever_the_names_the_page_is_whole(words: str) -> None:
    Read(whole(words))


def test_hostile_words_come_out_as_they_went_in() -> None:
    read = Read(whole(HOSTILE))
    for tag, times in (("title", 1), ("h1", 1), ("h2", 1), ("h3", 1), ("p", 2), ("caption", 1),
                       ("span", 3)):  # fmt: skip
        assert read.of(tag) == [HOSTILE] * times, tag
    assert read.tables == [[[HOSTILE, "n"], [HOSTILE, "1"], [HOSTILE, "2"]]]
    assert [image["alt"] for image in read.images] == [HOSTILE, HOSTILE]


def test_the_page_allows_style_and_data_and_fetches_nothing() -> None:
    html = whole("https://example.org/ is a name, not a link")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert dict(rule.split(" ", 1) for rule in policy.split("; ")) == {
        "default-src": "'none'", "style-src": "'unsafe-inline'", "img-src": "data:",
        "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    assert html.index("Content-Security-Policy") < html.index("<style>")
    assert all(image["src"].startswith("data:image/") for image in Read(html).images)
    style = html[html.index("<style>") : html.index("</style>")]
    assert not re.search(r"url\(|@import|http|//", style)
    assert not re.search(r"\b(href|srcset|action|on\w+)=", re.sub(r'"data:[^"]*"', "", html))


def test_the_page_fits_a_phone_the_dark_and_paper() -> None:
    html = whole("x")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "prefers-color-scheme: dark" in html
    for rule in ("max-width: 100%", "overflow-x: auto", "break-inside: avoid"):
        assert rule in html
    printed = html[html.index("@media print") :]
    assert ".wide { overflow: visible; }" in printed


def test_every_table_stands_in_a_box_that_scrolls() -> None:
    html = page.table(["a"], [["b"]])
    assert re.match(r'<div class="wide" role="region" tabindex="0" aria-label="a">\n<table>', html)


def test_numbers_are_separated_and_stand_at_the_right_under_their_heading() -> None:
    rows = [("x", 1234567, "1", np.int64(1000)), ("y", 0.5, "2", np.float32(1234.5))]
    html = page.table(("name", "n", "word", "m"), rows)
    assert Read(html).tables[0][1:] == [
        ["x", "1,234,567", "1", "1,000"], ["y", "0.50", "2", "1,234.50"],
    ]  # fmt: skip
    assert re.findall(r'<t[hd][^>]*class="n"[^>]*>([^<]*)<', html) == [
        "n", "m", "1,234,567", "1,000", "0.50", "1,234.50",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("n", "shown", "more"),
    [(3, 3, []), (4, 3, ["and 1 more"]), (2003, 3, ["and 2,000 more"]), (0, 0, [])],
)
def test_a_long_table_says_how_much_it_leaves_out(n: int, shown: int, more: list[str]) -> None:
    read = Read(page.table(["row"], ([i] for i in range(n)), at_most=3))
    assert len(read.tables[0]) == 1 + shown
    assert read.of("p") == more


def test_a_row_that_does_not_fit_the_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        page.table(["a", "b"], [["c", "d", "e"]])


def test_a_chart_is_svg_that_parses_whatever_it_says() -> None:
    (image,) = Read(page.chart(drawn(HOSTILE + "\x00"), alt="")).images
    assert image["src"].startswith("data:image/svg+xml;")
    root = ElementTree.fromstring(bytes_of(image))
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert "path" in tags
    assert not tags & {"script", "image", "foreignObject", "text"}
    links = [value for element in root.iter() for name, value in element.items() if "href" in name]
    assert all(link.startswith("#") for link in links)


def test_a_picture_is_a_small_png_of_its_size_on_the_page() -> None:
    (image,) = Read(page.picture(drawn(), alt="")).images
    assert (image["width"], image["height"]) == ("192", "96")
    with Image.open(io.BytesIO(bytes_of(image))) as read:
        assert (read.format, read.mode) == ("PNG", "P")
        assert read.width / read.height == 2
        assert read.info == {}


def test_the_same_content_gives_the_same_bytes() -> None:
    assert whole("x") == whole("x")
    assert b"date" not in bytes_of(Read(whole("x")).images[0]).lower()


def test_letters_that_the_font_lacks_are_no_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        page.chart(drawn("ロック"), alt="")
    assert [str(warning.message) for warning in caught] == []


def test_text_is_one_line_that_utf8_holds() -> None:
    assert page.plain("a\r\nb\t c\x00\ud800") == "a b c\ufffd\ufffd"
    assert page.plain("naïve 🎵 ロック") == "naïve 🎵 ロック"


def test_save_writes_the_page_as_it_is(tmp_path: Path) -> None:
    html = whole("ロック \ud800")
    page.save(html, tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_bytes() == html.encode()
