"""An evaluation's report as tables in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from edge.cli._console import labelled, text_console
from edge.cli._tables import print_table


def show(report: dict[str, Any]) -> None:
    """Print the report as tables."""
    console = text_console()
    about = report["set"]
    side = f", side {about['side']}" if about["side"] else ""
    console.print(
        f"{about['path']}{side}: {about['good']} good, {about['defective']} defective, {about['parts']} parts",
    )
    _headline(report["models"])
    for model in report["models"]:
        console.print(f"{model['name']}: threshold {model['threshold']['high']:.6g} from {model['threshold']['from']}")
        _kinds(model)
        for tag, rows in model["by_tag"].items():
            _tag(tag, rows)
        for entry in model["matrix"]:
            _matrix(entry)
        _wrong_regions(console, model["false_positives"])
    if "comparison" in report:
        _comparison(report["comparison"])
    if "matrix" in report:
        console.print("each row with the model of its name")
        _matrix(report["matrix"])
    for note in report["notes"]:
        console.print(labelled("note:", "yellow", note))


def _headline(models: list[dict[str, Any]]) -> None:
    table = Table()
    table.add_column("figure (95 % interval over parts)")
    for model in models:
        table.add_column(model["name"], justify="right")
    rows: list[tuple[str, list[str]]] = []

    def row(name: str, of: Any) -> None:
        rows.append((name, [of(model) for model in models]))

    row("image AUROC", lambda m: figure(m["image"]["auroc"]))
    row("image AP", lambda m: figure(m["image"]["average_precision"]))
    row("image F1-max", lambda m: f"{number(m['image']['f1_max']['value'])} at {number(m['image']['f1_max']['threshold'])}")
    for index, entry in enumerate(models[0]["image"]["recall_at_false_rejects"]):
        row(
            f"recall at {100 * entry['rate']:g} % false rejects",
            lambda m, index=index: figure(m["image"]["recall_at_false_rejects"][index]),
        )
    for index, entry in enumerate(models[0]["image"]["false_rejects_at_recall"]):
        row(
            f"false rejects at {100 * entry['recall']:g} % recall",
            lambda m, index=index: figure(m["image"]["false_rejects_at_recall"][index]),
        )
    row("false rejects by verdict", lambda m: figure(m["verdicts"]["false_rejects"]))
    row("recall by verdict", lambda m: figure(m["verdicts"]["recall"]))
    if models[0]["pixel"] is not None:
        for key, name in (
            ("auroc", "pixel AUROC"),
            ("average_precision", "pixel AP"),
            ("au_pro_30", "AU-PRO 0.3"),
            ("au_pro_05", "AU-PRO 0.05"),
        ):
            row(name, lambda m, key=key: figure(m["pixel"][key]))
    row("ms a frame, median (95 %)", lambda m: _latency(m["latency_ms"]))
    for name, cells in rows:
        table.add_row(name, *cells)
    print_table(table)


def number(value: float | None) -> str:
    """A figure of the report; a dash where it isn't defined."""
    return "-" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def figure(entry: dict[str, Any]) -> str:
    """A figure with its interval: ``0.912 (0.85 to 0.95)``."""
    if entry["value"] is None:
        return "-"
    if entry["low"] is None:
        return number(entry["value"])
    return f"{entry['value']:.3f} ({entry['low']:.2f} to {entry['high']:.2f})"


def _latency(entry: dict[str, Any]) -> str:
    if entry["infer"] is None:
        return "-"
    total = entry["infer"]["p50"] + entry["judge"]["p50"]
    return f"{total:.1f} ({entry['infer']['p95'] + entry['judge']['p95']:.1f}), {entry['engine']}"


def _kinds(model: dict[str, Any]) -> None:
    table = Table()
    for column in ("defects", "frames", "parts", "recall by verdict", "AUROC"):
        table.add_column(column, justify="right" if column in ("frames", "parts") else "left")
    for row in model["by_kind"]:
        recall = row["recall"]
        table.add_row(row["kind"], str(recall["count"]), str(recall["parts"]), figure(recall), figure(row["auroc"]))
    for name, rows in model["by_defect"].items():
        for number_, row in enumerate(rows):
            recall = row["recall"]
            table.add_row(
                f"{name}: {row['class']}",
                str(recall["count"]),
                str(recall["parts"]),
                figure(recall),
                "",
                end_section=number_ == len(rows) - 1,
            )
    print_table(table)


def _tag(tag: str, rows: list[dict[str, Any]]) -> None:
    table = Table()
    for column in (tag, "AUROC", "false rejects", "recall"):
        table.add_column(column)
    for row in rows:
        table.add_row(row["value"], figure(row["auroc"]), figure(row["false_rejects"]), figure(row["recall"]))
    print_table(table)


def _matrix(entry: dict[str, Any]) -> None:
    table = Table(title=f"threshold of the row's {entry['tag']} on the column's", title_justify="left")
    table.add_column(entry["tag"])
    for column in entry["values"]:
        table.add_column(column)
    cells = {(cell["row"], cell["column"]): cell for cell in entry["cells"]}
    for row in entry["values"]:
        texts = []
        for column in entry["values"]:
            cell = cells[row, column]
            names = {"AUROC": "auroc", "false rejects": "false_rejects", "recall": "recall"}
            texts.append("\n".join(f"{name} {figure(cell[key])}" for name, key in names.items()))
        table.add_row(row, *texts, end_section=True)
    print_table(table)
    console = text_console()
    drop = entry["average_relative_drop"]
    console.print(f"average relative drop of the AUROC: {'-' if drop is None else f'{100 * drop:.1f} %'}")
    console.print(f"thresholds from: {entry['thresholds_from']}")


def _wrong_regions(console: Console, entry: dict[str, Any]) -> None:
    console.print(
        f"{entry['regions_on_good_frames']} regions on good frames, {entry['regions_beside_defects']} beside defects",
    )
    if not entry["groups"]:
        return
    table = Table()
    for column in ("where", "look", "regions", "worst"):
        table.add_column(column, justify="right" if column == "regions" else "left", overflow="fold")
    for row in entry["groups"][:12]:
        table.add_row(row["where"].replace("_", " "), row["look"], str(row["regions"]), row["worst"])
    print_table(table)


def _comparison(entry: dict[str, Any]) -> None:
    first, second = entry["names"]
    table = Table()
    for column in ("figure", first, second, "difference", "interval", ""):
        table.add_column(column)
    for row in entry["metrics"]:
        interval = "-" if row["low"] is None else f"{row['low']:+.3f} to {row['high']:+.3f}"
        table.add_row(
            row["metric"].replace("_", " "),
            number(row["first"]),
            number(row["second"]),
            "-" if row["difference"] is None else f"{row['difference']:+.3f}",
            interval,
            "" if row["told_apart"] else "can't be told apart",
        )
    print_table(table)
    verdicts = entry["verdicts"]
    text_console().print(
        f"both right {verdicts['both_right']}, both wrong {verdicts['both_wrong']}, only {first} right "
        f"{len(verdicts['only_first_right'])}, only {second} right {len(verdicts['only_second_right'])}",
    )
