"""A real browser that tells what it saw of a page: Debian's Chromium, without a window.

It is spoken to in the DevTools protocol [1]_ over two pipes, which Chromium has as its file
descriptors 3 and 4: JSON, each message ended by a NUL byte. That needs no driver and no
library. A page is looked at on a phone and as it is printed on A4.

References
----------
.. [1] https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PHONE, SCREEN = 390, 1_200  # pixels of CSS
PAPER = (8.27, 11.69)  # inches, A4
MARGIN = 0.4  # inches, Chromium's own
WITHIN = ("data:", "about:", "blob:")  # addresses of what a page holds itself
TIMEOUT = 60.0  # seconds for one answer

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-crash-reporter",
    "--hide-scrollbars", "--remote-debugging-pipe",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card, for turning maps
)  # fmt: skip
# What ends beyond the width, unless it is in a box that scrolls; paper does not scroll.
_OUTSIDE = """
(() => {
  const found = [];
  if (document.documentElement.scrollWidth > WIDTH)
    found.push(`the page is ${document.documentElement.scrollWidth} px wide, not WIDTH`);
  for (const element of document.body.querySelectorAll("*")) {
    let box = element.parentElement, held = false;
    for (; box && box !== document.body; box = box.parentElement)
      held ||= SCROLLS.includes(getComputedStyle(box).overflowX) || box.tagName === "svg";
    const right = element.getBoundingClientRect().right;
    if (!held && right > WIDTH + 1)
      found.push(`${element.tagName.toLowerCase()} ends at ${Math.round(right)} of WIDTH px`);
    if (["TH", "TD"].includes(element.tagName) && element.scrollWidth > element.clientWidth + 1)
      found.push(`“${element.textContent}” is wider than its column`);
  }
  return found.slice(0, 8);
})()
"""
_CUT = """
(() => [...document.querySelectorAll("img, tr, figure")].map((element) => {
  let box = element, kept = false;
  for (; box && box !== document.body; box = box.parentElement)
    kept ||= getComputedStyle(box).breakInside.startsWith("avoid");
  const height = Math.round(element.getBoundingClientRect().height);
  const name = element.tagName.toLowerCase();
  if (!kept) return `${name} may be parted by the end of a page`;
  return height > HEIGHT ? `${name} is ${height} px high, and a page is HEIGHT` : "";
}).filter(Boolean).slice(0, 8))()
"""
_OFFERED = """
[...document.querySelectorAll("a, button, form, area")].map((element) => {
  const { tagName, title, dataset, textContent } = element;
  const to = element.getAttribute("href") ?? element.getAttribute("action") ?? "";
  const said = title || dataset.title || textContent.trim();
  return `${tagName.toLowerCase()} ${said} ${to}`.trim();
})
"""
_SETTLED = """
new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))
"""


@dataclass(frozen=True)
class Sight:
    """What was seen of a page.

    Attributes
    ----------
    requests : tuple of str
        Addresses that the page asked for and does not hold itself: none, if all is well.
    messages : tuple of str
        What stood on the console, whatever its level, and exceptions that nothing caught.
    text : str
        What a reader sees, after the scripts have run.
    offered : tuple of str
        Links, buttons and forms, with what they say and where they lead.
    outside : tuple of str
        What sticks out at the right on a phone, of the page or of its cell.
    outside_paper : tuple of str
        The same on A4 paper.
    parted : tuple of str
        Pictures and rows that the end of a page may cut, or that are higher than a page.
    pdf : bytes
        As it is printed, on A4.
    """

    requests: tuple[str, ...]
    messages: tuple[str, ...]
    text: str
    offered: tuple[str, ...]
    outside: tuple[str, ...]
    outside_paper: tuple[str, ...]
    parted: tuple[str, ...]
    pdf: bytes


class Browser:
    """A running Chromium, by the pipes that lead to it and from it.

    Attributes
    ----------
    timeout : float
        Seconds that an answer may take.
    """

    def __init__(self, to: int, fro: int, log: Path, *, timeout: float = TIMEOUT) -> None:
        self._to, self._fro, self._log = to, fro, log
        self.timeout = timeout
        self._read = b""
        self._last = 0
        self._events: list[dict[str, Any]] = []

    def look(self, path: Path) -> Sight:
        """Open an HTML file on a phone, print it, and tell what is seen of it.

        Raises
        ------
        TimeoutError
            If the browser does not answer.
        RuntimeError
            If it answers with an error, or is gone.
        """
        with self._opened(path, PHONE) as tab:
            text = self._run(tab, "document.body.innerText")
            outside = self._outside(tab, PHONE, ("auto", "scroll"))
            offered = tuple(self._run(tab, _OFFERED))
            outside_paper, parted, pdf = self._printed(tab)
            requests, messages = self._heard(tab, path)
        return Sight(requests, messages, text, offered, outside, outside_paper, parted, pdf)

    def picture(self, path: Path, *, width: int = SCREEN) -> bytes:
        """Return the whole page on a screen of such a width in pixels, as PNG."""
        with self._opened(path, width) as tab:
            answer = self.ask("Page.captureScreenshot", tab, captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    @contextmanager
    def _opened(self, path: Path, width: int) -> Iterator[str]:
        """Open a file in a tab of its own, and wait until its scripts have run."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        tab = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._events.clear()
        for domain in ("Network", "Runtime", "Log", "Page"):
            self.ask(f"{domain}.enable", tab)
        self._resize(tab, width)
        failed = self.ask("Page.navigate", tab, url=_address(path)).get("errorText")
        if failed:
            raise RuntimeError(f"{path}: {failed}")
        deadline = time.monotonic() + self.timeout
        while not any(event["method"] == "Page.loadEventFired" for event in self._of(tab)):
            self._hear(deadline)
        self._run(tab, _SETTLED)
        yield tab
        self.ask("Target.closeTarget", targetId=target)

    def ask(self, method: str, tab: str = "", **parameters: Any) -> dict[str, Any]:
        """Give a command and return its result; what happens meanwhile is kept."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        said = json.dumps(message | ({"sessionId": tab} if tab else {})).encode() + b"\0"
        while said:
            said = said[os.write(self._to, said) :]
        deadline = time.monotonic() + self.timeout
        while (answer := self._hear(deadline)).get("id") != self._last:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _hear(self, deadline: float) -> dict[str, Any]:
        """Return the next message, and keep it if it is an event."""
        while b"\0" not in self._read:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._fro], [], [], left)[0]:
                raise TimeoutError(f"Chromium has not answered for {self.timeout:.0f} s")
            more = os.read(self._fro, 1 << 20)
            if not more:
                said = self._log.read_text(encoding="utf-8", errors="replace")[-500:]
                raise RuntimeError(f"Chromium has ended: {said}")
            self._read += more
        line, _, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self._events.append(message)
        return message

    def _run(self, tab: str, script: str) -> Any:
        options = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self.ask("Runtime.evaluate", tab, **options)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def _resize(self, tab: str, width: int) -> None:
        # A phone zooms out of what is too wide for it, and heeds the page's viewport.
        mobile = width <= PHONE
        size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": mobile}
        self.ask("Emulation.setDeviceMetricsOverride", tab, **size)

    def _outside(self, tab: str, width: int, scrolls: Sequence[str]) -> tuple[str, ...]:
        script = _OUTSIDE.replace("WIDTH", str(width)).replace("SCROLLS", json.dumps(scrolls))
        return tuple(self._run(tab, script))

    def _printed(self, tab: str) -> tuple[tuple[str, ...], tuple[str, ...], bytes]:
        width, height = (int((inches - 2 * MARGIN) * 96) for inches in PAPER)
        self._resize(tab, width)
        self.ask("Emulation.setEmulatedMedia", tab, media="print")
        self._run(tab, _SETTLED)
        outside = self._outside(tab, width, ())
        parted = tuple(self._run(tab, _CUT.replace("HEIGHT", str(height))))
        self.ask("Emulation.setEmulatedMedia", tab, media="")
        sides = dict.fromkeys(("marginTop", "marginBottom", "marginLeft", "marginRight"), MARGIN)
        paper = {"paperWidth": PAPER[0], "paperHeight": PAPER[1], "printBackground": True}
        answer = self.ask("Page.printToPDF", tab, **sides, **paper)
        return outside, parted, base64.b64decode(answer["data"])

    def _of(self, tab: str) -> list[dict[str, Any]]:
        return [event for event in self._events if event.get("sessionId") == tab]

    def _heard(self, tab: str, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Sort what has happened into addresses asked for and words on the console."""
        requests, messages = [], []
        for event in self._of(tab):
            said = event.get("params", {})
            match event["method"]:
                case "Network.requestWillBeSent":
                    requests.append(said["request"]["url"])
                case "Network.webSocketCreated":
                    requests.append(said["url"])
                case "Runtime.consoleAPICalled":
                    words = (str(a.get("value", a.get("description"))) for a in said["args"])
                    messages.append(f"console.{said['type']}: {' '.join(words)}")
                case "Runtime.exceptionThrown":
                    details = said["exceptionDetails"]
                    thrown = details.get("exception", {}).get("description", "")
                    messages.append(f"exception: {details['text']} {thrown}")
                case "Log.entryAdded":
                    entry = said["entry"]
                    messages.append(f"{entry['source']} {entry['level']}: {entry['text']}")
        own = _address(path)
        outward = (url for url in requests if url != own and not url.startswith(WITHIN))
        return tuple(outward), tuple(messages)


@contextmanager
def running(*, timeout: float = TIMEOUT) -> Iterator[Browser]:
    """Start Chromium, and end it with all that it has started.

    The test is skipped where there is no Chromium.
    """
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    inward, outward = _pipe(), _pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # A shell puts the pipes where they have to be; Python's own way is a fork hook.
        command = f'exec "$0" "$@" 3<&{inward[0]} 4>&{outward[1]}'
        log = Path(folder) / "stderr"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                ["bash", "-c", command, program, *_FLAGS, f"--user-data-dir={folder}"],
                pass_fds=(inward[0], outward[1]), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
        os.close(inward[0])
        os.close(outward[1])
        browser = Browser(inward[1], outward[0], log, timeout=timeout)
        try:
            yield browser
            browser.ask("Browser.close")  # so that it takes its own children with it
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(inward[1])
            os.close(outward[0])


def _address(path: Path) -> str:
    return path.resolve().as_uri()


def _pipe() -> tuple[int, int]:
    """Open a pipe whose ends are not 3 or 4, which the shell is about to give away."""
    read, write = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (read, write)]
    os.close(read)
    os.close(write)
    return high[0], high[1]
