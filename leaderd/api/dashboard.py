"""The page for people at `/`: one document, put together from the parts in `page/`.

There is no build step and nothing is fetched from elsewhere: the daemon must be readable in a network
that has no way out. The policy that goes with it allows exactly this script and this style sheet, so
that even a name that got past the page's own care could not run.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PARTS: Final = Path(__file__).parent / "page"
# In the order they build upon one another.
_SCRIPTS: Final = ("facts.js", "words.js", "history.js", "election.js", "overview.js", "main.js")


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What to answer to a browser.

    Attributes:
        body: HTML in UTF-8.
        headers: To be sent with it, content type included.
    """

    body: bytes
    headers: Mapping[str, str]


def dashboard() -> Dashboard:
    """Read the parts and return the page; call it once.

    Raises:
        OSError: The package was installed without the page.
    """
    style = _read("style.css")
    script = '"use strict";\n' + "\n".join(_read(name) for name in _SCRIPTS)
    body = _read("index.html").replace("/* style */", style).replace("/* script */", script)
    policy = (
        "default-src 'none'; "
        f"script-src {_hash(script)}; style-src {_hash(style)}; "
        "connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return Dashboard(body.encode(), {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Vary": "Accept",
    })


def _read(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
