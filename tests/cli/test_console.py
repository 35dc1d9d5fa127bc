"""What the command line prints is the text itself: brackets, colons and long paths of the user's come out whole."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text
from support.command_table import COMMANDS, GROUP
from support.commands import edge
from support.lines import loaded
from support.sets import picture, save

from edge.cli import _bars, _console
from edge.cli._bars import progress_bar, words_column
from edge.cli._console import labelled, layout_console, text_console
from edge.cli._good_frames import show_notes
from edge.cli._incomplete import end_if_incomplete
from edge.cli._tables import print_table

NASTY = ["a[red]b", "[/]", "[j9tz<%HLrGQkz/F]", ":warning:", "x\\[y]", "[link=x]12 %[/link]", "a:x:b /tmp/1.5 'None'"]
FOLDERS = ["bay[left]", "x[/]y", "a:smile:b"]


@pytest.fixture(params=[False, True], ids=["pipe", "terminal"])
def on_terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param:
        force = {"force_terminal": True, "color_system": "standard"}
        monkeypatch.setattr(_console, "TextConsole", partial(_console.TextConsole, **force))
    return bool(request.param)


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("to", ["out", "err"])
@pytest.mark.usefixtures("on_terminal")
def test_a_line_is_printed_as_it_is_and_without_colours(text: str, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    text_console(stderr=to == "err").print(f"wrote {text}")
    assert getattr(capsys.readouterr(), to) == f"wrote {text}\n"


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1, max_size=60))
def test_any_text_comes_out_of_a_line_and_of_a_cell(text: str) -> None:
    lines, layout = text_console(), layout_console(width=200)
    table = Table(Column("", no_wrap=True), show_header=False, box=None)
    table.add_row(text)
    for console, what in ((lines, text), (lines, labelled("note:", "yellow", text)), (layout, table)):
        with console.capture() as captured:
            console.print(what)
        assert captured.get().strip().removeprefix("note: ") == text


@pytest.mark.parametrize("columns", ["20", "80"])
def test_a_path_longer_than_the_terminal_is_not_broken(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    path = "/srv/lines and bays/" + "bay[left]/" * 30
    text_console().print(f"wrote {path}")
    show_notes(text_console(), [path])
    assert capsys.readouterr().out == f"wrote {path}\nnote: {path}\n"


@pytest.mark.parametrize("text", NASTY)
def test_a_note_is_whole_and_its_label_alone_has_a_colour(
    text: str, on_terminal: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    show_notes(text_console(), [text])
    assert capsys.readouterr().out == (f"\x1b[33mnote:\x1b[0m {text}\n" if on_terminal else f"note: {text}\n")
    with pytest.raises(Exception, match="1"):
        end_if_incomplete([text])
    assert capsys.readouterr().err == f"incomplete: {text}\n"


@pytest.mark.parametrize("text", NASTY)
def test_a_table_is_whole_in_its_cells_headers_title_and_caption(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(text, "name", title=text, caption=text, box=None)
    table.add_row(text, "cell")
    table.add_row(Text(text, "red"), labelled("warning:", "yellow", text))
    print_table(table)
    rows = [" ".join(row.split()) for row in capsys.readouterr().out.splitlines()]
    assert rows == [text, f"{text} name", f"{text} cell", f"{text} warning: {text}", text]


@pytest.mark.usefixtures("on_terminal")
def test_no_terminal_obeys_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\x1b[31mb\x9b2Jc\x07d\x7f\re\u202ef"
    shown = "a\ufffd[31mb\ufffd2Jc\ufffdd\ufffd\ufffde\ufffdf"
    console, table = text_console(), Table(Column("", no_wrap=True), show_header=False, box=None)
    table.add_row(name)
    for what in (f"wrote {name}", labelled("wrote", "", name), table):
        console.print(what)
        assert capsys.readouterr().out.strip().removeprefix("wrote ") == shown


@pytest.mark.parametrize("text", NASTY)
def test_a_bar_shows_its_words_as_they_are(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Progress] = []
    monkeypatch.setattr(_bars, "Progress", lambda *columns, **kind: made.append(Progress(*columns, **kind)) or made[0])
    with progress_bar(f"reading {text}"):
        (task,) = made[0].tasks
        assert str(words_column().render(task)) == f"reading {text}"
        console = layout_console(width=200)
        with console.capture() as captured:
            console.print(made[0].get_renderable())
    assert captured.get().startswith(f"reading {text} ")


@pytest.mark.parametrize("name", FOLDERS)
def test_commands_name_a_folder_and_its_files_as_they_are_called(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    frames = folder / "good"
    for seed in range(12):
        save(frames / f"p[{seed}].png", picture(seed))

    def printed(*words: object) -> str:
        done = edge(tmp_path, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert printed("init", f"{name}/line.yaml", "--folder", f"{name}/good").splitlines()[0] == f"wrote {name}/line.yaml"
    loaded(folder)
    assert printed("check", f"{name}/cam1.yaml").startswith(f"{name}/cam1.yaml: can run; camera and ports were not asked")
    assert f"wrote {name}/cam1.edge.zip: " in printed("pack", f"{name}/cam1.yaml")
    unpacked = printed("unpack", f"{name}/cam1.edge.zip", "-o", f"{name}-2")
    assert f"unpacked {name}-2/cam1.yaml\nnext: edge check {name}-2/cam1.yaml\n" in unpacked
    replayed = printed(
        "replay", f"{name}/good", "-c", f"{name}/cam1.yaml", "--set", "source.kind=synthetic", "-o", f"{name}/r"
    )
    assert f"records: {name}/r/records.jsonl" in replayed
    assert f"wrote {name}/set; next: edge label {name}/set, edge split {name}/set" in printed(
        "gather", f"{name}/good", "-o", f"{name}/set"
    )
    assert f"wrote {name}/set/" in printed("split", f"{name}/set", "--by", "frame")
    fitted = printed("fit", f"{name}/good", "-o", f"{name}/model", "--method", "pixel", "--keep-outliers")
    assert f"wrote {name}/model, model " in fitted


@pytest.mark.parametrize("name", FOLDERS)
def test_an_error_names_the_folder_as_it_is_called(name: str, tmp_path: Path) -> None:
    done = edge(tmp_path, "check", f"{name}.yaml")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"{name}.yaml: cannot be read: No such file or directory")
    wrong = edge(tmp_path, "fit", "x", "-o", "y", "--pose", name)
    assert wrong.returncode == 2
    assert f"'{name}' is not one of" in wrong.stderr


def test_no_help_text_loses_a_piece_to_markup() -> None:
    """Typer prints help texts, which are the program's own, with rich's markup."""
    texts = [text for command in (GROUP, *COMMANDS.values()) for text in (command.help, *_helps(command)) if text]
    lost = [text for text in map(inspect.cleandoc, texts) if Text.from_markup(text).plain != text]
    assert lost == []
    assert len(texts) > 300


def _helps(command: object) -> list[str | None]:
    return [getattr(parameter, "help", None) for parameter in command.params]  # type: ignore[attr-defined]
