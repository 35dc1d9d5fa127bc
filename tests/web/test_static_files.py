"""Scripts and styles: what others wrote is what its manifest says; ours is short; nothing names another host."""

from __future__ import annotations

import gzip
import hashlib
import json
import re

from edge.web.static_files import FILES, FOLDER, static

VENDOR = FOLDER / "vendor"
MOST_LINES, MOST_BYTES = 250, 120_000


def test_what_others_wrote_is_what_the_manifest_says() -> None:
    manifest = json.loads((VENDOR / "manifest.json").read_text())
    for name, entry in manifest.items():
        there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (VENDOR / name).iterdir()}
        assert there == entry["files"], name
        assert {"version", "licence", "origin"} <= set(entry)
        assert "LICENSE.txt" in there
    assert {path.name for path in VENDOR.iterdir() if path.is_dir()} == set(manifest)


def test_modules_of_ours_are_short_and_ask_nobody_else() -> None:
    for path in FOLDER.rglob("*.js"):
        if VENDOR not in path.parents:
            text = path.read_text("utf-8")
            assert len(text.splitlines()) <= MOST_LINES, path.name
            hosts = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}
            assert hosts == set(), path.name
            assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path.name


def test_a_first_look_is_small() -> None:
    """All files of Live, as they are sent: compressed."""
    live = [name for name in FILES if not name.startswith("js/tuning") and not name.endswith(".txt")]
    assert sum(len(FILES[name].packed) for name in live) <= MOST_BYTES
    assert gzip.decompress(FILES["js/live.js"].packed) == FILES["js/live.js"].content


def test_a_file_has_the_hash_of_all_in_its_name() -> None:
    assert re.fullmatch(r"/static/[0-9a-f]{12}/js/dom\.js", static("js/dom.js"))
