"""The commands on sets, as people call them."""

from types import SimpleNamespace

import numpy as np
import orjson
import pytest
from rich.console import Console
from support.judged import fitted, parts_folder
from support.sets import mvtec, picture, save
from typer.testing import CliRunner

from edge.cli import app
from edge.cli._console import text_console
from edge.cli._frame_in_terminal import UPPER_HALF, drawn
from edge.cli._labelling import _Labelling
from edge.errors import UserError
from edge.models.sets import gather, split
from edge.models.sets.frame_set import read_set
from edge.models.sets.manifest import MANIFEST


def edge(*arguments, given=""):
    return CliRunner().invoke(app, [str(a) for a in arguments], input=given, env={"COLUMNS": "200"})


def kinds(folder):
    return [f.kind for f in read_set(folder / MANIFEST).frames]


@pytest.fixture
def gathered(tmp_path):
    """A set of four unlabelled frames."""
    for index in range(4):
        save(tmp_path / "pictures" / f"{index}.png", picture(index))
    result = edge("gather", tmp_path / "pictures", "-o", tmp_path / "set")
    assert result.exit_code == 0, result.output
    assert "4 new frames, 4 altogether" in result.output
    return tmp_path / "set"


def test_frames_are_labelled_by_keys_and_each_word_is_kept_at_once(gathered):
    result = edge("label", gathered, "--who", "anna", given="g\nn\nc\nr\na\nc\nk\n\n1\nq\n")
    assert result.exit_code == 0, result.output
    assert kinds(gathered) == ["good", "crack", "crack", "unlabelled"]
    assert "1 good, 1 unlabelled" in result.output
    again = edge("label", gathered, "--who", "anna", given="x\nd\n")
    assert "'x' is no key here" in again.output
    assert kinds(gathered)[3] == "defect"
    assert "every frame has your word already" in edge("label", gathered, "--who", "anna").output


def test_a_label_that_comes_while_a_set_is_split_or_gathered_is_kept(gathered, tmp_path, monkeypatch):
    def meanwhile(name, work):
        def labelled(*arguments, **more):
            edge("label", gathered, "--who", name, "--as", "good", "--frames", "frames/00000000.png")
            return work(*arguments, **more)

        return labelled

    monkeypatch.setattr("edge.cli.split.split_frames", meanwhile("anna", split.split))
    result = edge("split", gathered, "--by", "frame", "--share", "fit=0.5", "--share", "test=0.5")
    assert result.exit_code == 0, result.output
    monkeypatch.setattr(gather, "balanced", meanwhile("ben", gather.balanced))
    save(tmp_path / "more" / "9.png", picture(9))
    assert "1 new frames, 5 altogether" in edge("gather", tmp_path / "more", "-o", gathered).output
    assert [vote.by for vote in read_set(gathered / MANIFEST).frames[0].votes] == ["anna", "ben"]


def test_one_can_go_back_skip_and_withdraw(gathered):
    edge("label", gathered, "--who", "anna", given="g\nb\ns\ns\nd\nq\n")
    assert kinds(gathered) == ["good", "unlabelled", "defect", "unlabelled"]
    edge("label", gathered, "--who", "anna", "--all", given="w\nq\n")
    assert kinds(gathered)[0] == "unlabelled"


def test_two_people_who_disagree_are_told_and_a_third_decides(gathered):
    edge("label", gathered, "--who", "anna", "--as", "good", "--frames", "frames/00000000.png")
    result = edge("label", gathered, "--who", "ben", "--as", "crack", "--frames", "frames/00000000.png")
    assert "1 disputed" in result.output
    assert "edge label" in result.output
    edge("label", gathered, "--who", "eva", "--disputed", given="g\n")
    assert kinds(gathered)[0] == "good"
    assert "no labels disagree" in edge("label", gathered, "--disputed").output


def test_a_mask_is_painted_by_keys_and_stays_when_the_kind_is_changed(gathered):
    result = edge("label", gathered, "--who", "anna", given="m\n \n\ng\nn\nc\nr\n\n" + "m\nq\n" + "g\nq\n")
    assert "5 px, of: d a defect" in result.output
    assert kinds(gathered) == ["cr", "good", "unlabelled", "unlabelled"]
    frames = read_set(gathered / MANIFEST)
    assert frames.read_mask(frames.frames[0]).sum() == 5
    assert frames.frames[1].mask is None
    edge("label", gathered, "--who", "anna", "--all", given="d\nq\n")
    frames = read_set(gathered / MANIFEST)
    assert frames.frames[0].label == "defect"
    assert frames.read_mask(frames.frames[0]).sum() == 5
    edge("label", gathered, "--who", "anna", "--all", given="m\nl\n \n\nd\nq\n")
    frames = read_set(gathered / MANIFEST)
    assert frames.read_mask(frames.frames[0]).sum() == 8  # painted on
    edge("label", gathered, "--who", "anna", "--all", given="g\nq\n")
    assert read_set(gathered / MANIFEST).frames[0].mask is None


def test_labelling_ends_where_its_input_ends_in_the_middle_of_a_word(gathered):
    assert edge("label", gathered, "--who", "anna", given="g\nn\nc").exit_code == 0
    assert kinds(gathered) == ["good", "unlabelled", "unlabelled", "unlabelled"]


def test_a_typed_kind_is_shown_as_it_is_corrected_and_arrows_are_no_letters(capsys):
    keys = iter(["a", "b", "\x7f", "c", "\x1b[D", "\b", "d", "\x7f", "\x7f", "\x7f", "e", "\n"])
    typing = SimpleNamespace(console=text_console(), read=lambda: next(keys))
    assert _Labelling._typed(typing) == "e"
    assert capsys.readouterr().out == "ab\b \bc\b \bd\b \b\b \be\n"


def test_labels_are_imported_and_what_doesnt_fit_is_told(gathered, tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\n1.png,good\nz.png,good\n")
    refused = edge("label", gathered, "--import", tmp_path / "labels.csv")
    assert isinstance(refused.exception, UserError)
    result = edge("label", gathered, "--import", tmp_path / "labels.csv", "--partly")
    assert "1 labels from" in result.output
    assert "1 are of no frame of the set: z.png" in result.output
    assert kinds(gathered)[1] == "good"


def test_a_folder_that_is_no_set_takes_no_labels(tmp_path):
    save(tmp_path / "a.png", picture(0))
    result = edge("label", tmp_path)
    assert "has no set.jsonl" in str(result.exception)


def test_a_split_is_written_and_tells_its_counts(tmp_path):
    root = mvtec(tmp_path / "data", train=12, good=12)
    result = edge("split", root, "--by", "frame", "-o", tmp_path / "split.jsonl", "--seed", "3")
    assert result.exit_code == 0, result.output
    frames = read_set(tmp_path / "split.jsonl")
    assert set(frames.sides) == {"fit", "adapt", "calibrate", "validation", "test"}
    assert "27 parts by each picture; seed 3" in result.output
    again = edge("split", root, "--by", "frame", "-o", tmp_path / "again.jsonl", "--seed", "3")
    assert again.exit_code == 0
    assert [f.side for f in read_set(tmp_path / "again.jsonl").frames] == [f.side for f in frames.frames]
    bad = edge("split", root, "--by", "frame", "--share", "train=1")
    assert "--share\n  received: train=1" in str(bad.exception)


def test_an_audit_of_clean_sets_exits_0_and_of_leaking_ones_1(tmp_path):
    for name, seeds in (("a", range(20)), ("b", range(100, 120))):
        for seed in seeds:
            save(tmp_path / name / f"{seed}.png", picture(seed, (48, 64)))
    clean = edge("audit", f"lab={tmp_path / 'a'}", f"line={tmp_path / 'b'}")
    assert clean.exit_code == 0, clean.output
    save(tmp_path / "b" / "copy.png", picture(3, (48, 64)))
    leaking = edge("audit", f"lab={tmp_path / 'a'}", f"line={tmp_path / 'b'}", "-o", tmp_path / "audit.json")
    assert leaking.exit_code == 1
    assert "must not be compared" in leaking.output
    message = orjson.loads((tmp_path / "audit.json").read_bytes())
    assert message["forbidden"]
    assert {f["code"] for f in message["findings"] if f["weight"] == "forbids"} == {"same_picture", "same_part"}
    alone = edge("audit", tmp_path / "a")
    assert "one set without sides, so there is nothing to compare it with" in str(alone.exception)


def test_an_evaluation_prints_tables_or_json_and_writes_a_page(tmp_path):
    pytest.importorskip("bokeh", reason="the extra 'report' is not installed")
    root, bundle = parts_folder(tmp_path / "set", good=6, bad=5), fitted(tmp_path / "model")
    page = tmp_path / "report.html"
    told = edge("evaluate", root, "-m", f"mine={bundle}", "--replicates", "20", "-o", page)
    assert told.exit_code == 0, told.output
    assert "image AUROC" in told.output
    assert "6 good, 5 defective" in told.output
    assert b"data:image/jpeg" in page.read_bytes() or b"None." in page.read_bytes()
    printed = edge("evaluate", root, "-m", bundle, "--replicates", "20", "--json", "--no-pixels")
    assert orjson.loads(printed.stdout[printed.stdout.index("{\n") :])["models"][0]["pixel"] is None  # after the log


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "-m\n  received: 0 models"),
        (("-m", "a", "-m", "b", "-m", "c"), "-m\n  received: 3 models"),
        (("-m", "a", "-o", "x.txt"), "received: .txt"),
        (("-m", "a", "-m", "b", "--refit"), "--refit\n  received: 2 models, no --by\n  expected: one -m"),
        (("-m", "none", "--by", "lighting"), "--by\n  received: lighting\n  expected: one of the set's tags"),
    ],
)
def test_an_evaluation_that_cannot_be_says_why(tmp_path, arguments, said):
    mvtec(tmp_path)
    assert said in str(edge("evaluate", tmp_path, *arguments).exception)


def test_a_picture_is_drawn_with_two_pixels_to_a_character():
    pixels = np.zeros((40, 20, 3), np.uint8)
    pixels[:20] = (255, 0, 0)
    text = drawn(pixels, 10, 10)
    lines = text.plain.rstrip("\n").split("\n")
    assert [len(line) for line in lines] == [10] * 10
    assert set(text.plain) == {UPPER_HALF, "\n"}
    console = Console(color_system="truecolor", width=80)
    first = text.get_style_at_offset(console, 0)
    assert first.color is not None
    assert first.color.name == "#ff0000"


@pytest.fixture(scope="module")
def less(tmp_path_factory):
    """A model, and a labelled folder in which one picture is damaged and one is of a kind that is not read."""
    root = tmp_path_factory.mktemp("less")
    fitted(root).rename(root / "model")
    parts_folder(root / "parts", good=22, bad=4)
    torn = sorted((root / "parts" / "test" / "good").iterdir())[3]
    torn.write_bytes(torn.read_bytes()[:-100])
    (torn.parent / "also.webp").write_bytes(b"RIFF....WEBP")
    parts_folder(root / "whole", good=12, bad=0)
    return root


COMMANDS = {
    "gather": ("gather", "parts", "-o", "set"),
    "evaluate": ("evaluate", "parts", "-m", "model", "--no-pixels", "--replicates", "10"),
    "evaluate as JSON": ("evaluate", "parts", "-m", "model", "--no-pixels", "--replicates", "10", "--json"),
    "stress": ("stress", "parts", "-m", "model", "--only", "defocus", "--frames", "40"),
    "audit": ("audit", "parts", "whole"),
    "split": ("split", "parts", "--by", "frame", "-o", "SPLIT.jsonl"),
    "shift": ("shift", "whole", "parts"),
    "adapt": ("adapt", "-m", "model", "--frames", "parts", "--only", "threshold"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_read_less_of_a_set_than_was_there_says_so_and_does_not_end_with_0(less, command, monkeypatch):
    monkeypatch.chdir(less)
    if command == "shift":
        pytest.importorskip("sklearn", reason="the extra 'report' is not installed")
        from edge.shift import diagnose

        monkeypatch.setattr(diagnose, "ROWS", 250)
        monkeypatch.setattr(diagnose, "_FEWEST_ROWS", 250)
    result = edge(*COMMANDS[command])
    assert result.exit_code == 1, (result.output, result.exception)
    assert "incomplete: left out of" in result.output
    assert "1 of a kind that is not read: " in result.output
    assert "also.webp" in result.output
    assert "can't be read" in result.output
