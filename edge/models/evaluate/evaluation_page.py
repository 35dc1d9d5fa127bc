"""The report of an evaluation as one offline page: figures, curves, and the worst mistakes first, each with its picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edge.models.evaluate.contest import JudgedModel
from edge.models.evaluate.judge import SecondLook, look_again, on_frame
from edge.models.evaluate.ranking import precision_points, roc_points, steps
from edge.models.evaluate.scored import Scored, columns
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.regions.smooth import smooth
from edge.regions.verdict import box_to_image
from edge.report.curves import Curve, curves, score_histogram
from edge.report.explain import by_weight, rejected_text
from edge.report.page import Bar, Page
from edge.report.thumbnail import thumbnail
from edge.storage.pictures import encode_jpeg

WORST: Final = 24
"""Pictures of each kind of mistake."""
_QUALITY: Final = 82


def page_of(report: dict[str, Any], judged: Sequence[JudgedModel], source: FrameSet) -> bytes:
    """The page as UTF-8; ``report`` as ``evaluate`` gave it.

    Raises:
        UserError: the extra ``report`` isn't installed.
    """
    about = report["set"]
    side = f", side {about['side']}" if about["side"] else ""
    page = Page(
        f"Evaluation of {' and '.join(model['name'] for model in report['models'])}",
        f"{about['path']}{side}: {about['good']} good and {about['defective']} defective frames of {about['parts']} parts; "
        f"{report['created']}; 95 % intervals over parts",
    )
    page.heading("Figures")
    page.notes(report["notes"])
    _headline(page, report["models"])
    if "comparison" in report:
        _comparison(page, report["comparison"])
    if "matrix" in report:
        page.smaller_heading("each row with the model of its name")
        _matrix(page, report["matrix"])
    _curves(page, judged)
    for model, one in zip(report["models"], judged, strict=True):
        name = f" of {model['name']}" if len(judged) > 1 else ""
        _recalls(page, model, name)
        for entry in model["matrix"]:
            _matrix(page, entry)
        _mistakes(page, one, model, source, name)
    return page.render()


def _headline(page: Page, models: Sequence[dict[str, Any]]) -> None:
    rows: list[list[str | Bar]] = []

    def row(name: str, figures: Sequence[dict[str, Any]]) -> None:
        rows.append([name, *(figure_bar(one) for one in figures)])

    row("image AUROC", [m["image"]["auroc"] for m in models])
    row("image average precision", [m["image"]["average_precision"] for m in models])
    for index, entry in enumerate(models[0]["image"]["recall_at_false_rejects"]):
        row(
            f"recall at {100 * entry['rate']:g} % false rejects",
            [m["image"]["recall_at_false_rejects"][index] for m in models],
        )
    for index, entry in enumerate(models[0]["image"]["false_rejects_at_recall"]):
        row(
            f"false rejects at {100 * entry['recall']:g} % recall",
            [m["image"]["false_rejects_at_recall"][index] for m in models],
        )
    row("false rejects by verdict", [m["verdicts"]["false_rejects"] for m in models])
    row("recall by verdict", [m["verdicts"]["recall"] for m in models])
    if models[0]["pixel"] is not None:
        for key, name in (
            ("auroc", "pixel AUROC"),
            ("average_precision", "pixel average precision"),
            ("au_pro_30", "AU-PRO 0.3"),
            ("au_pro_05", "AU-PRO 0.05"),
        ):
            row(name, [m["pixel"][key] for m in models])
    rows.append(["threshold", *(f"{m['threshold']['high']:.5g}, from {m['threshold']['from']}" for m in models)])
    rows.append(["ms a frame (median, 95 %)", *(_latency(m["latency_ms"]) for m in models)])
    page.table(["", *(m["name"] for m in models)], rows)


def figure_bar(entry: dict[str, Any]) -> Bar:
    """A figure with its interval, and its value as a bar."""
    if entry["value"] is None:
        return Bar(None, "-")
    interval = "" if entry["low"] is None else f"  ({entry['low']:.2f} to {entry['high']:.2f})"
    return Bar(entry["value"], f"{entry['value']:.3f}{interval}")


def _latency(entry: dict[str, Any]) -> str:
    if entry["infer"] is None:
        return "-"
    median, slow = (entry["infer"][key] + entry["judge"][key] for key in ("p50", "p95"))
    return f"{median:.1f} ({slow:.1f}), {entry['engine']}"


def _comparison(page: Page, comparison: dict[str, Any]) -> None:
    first, second = comparison["names"]
    page.smaller_heading(f"{second} against {first}, on the same frames")
    rows = []
    for row in comparison["metrics"]:
        if row["difference"] is None or row["low"] is None:
            continue
        sure = "" if row["told_apart"] else "can't be told apart"
        rows.append(
            [row["metric"].replace("_", " "), f"{row['difference']:+.3f}  ({row['low']:+.3f} to {row['high']:+.3f})", sure]
        )
    page.table(["figure", "difference", ""], rows)
    verdicts = comparison["verdicts"]
    page.text(
        f"Both right: {verdicts['both_right']}. Both wrong: {verdicts['both_wrong']}. Only {first} right: "
        f"{len(verdicts['only_first_right'])}. Only {second} right: {len(verdicts['only_second_right'])}."
    )


def _curves(page: Page, judged: Sequence[JudgedModel]) -> None:
    page.heading("Curves")
    plots, roc, precision, pro = [], [], [], []
    for one in judged:
        data = columns(one.result.frames)
        ranked = steps(data.scores, data.bad)
        name = one.contestant.name
        plots.append(score_histogram(f"Scores, {name}", data.scores[~data.bad], data.scores[data.bad], one.inspector.high))
        roc.append(Curve(name, *roc_points(ranked)))
        precision.append(Curve(name, *precision_points(ranked)))
        rate, overlap = one.result.curves.pro_points()
        if len(rate):
            pro.append(Curve(name, rate, overlap))
    plots.append(curves("ROC", "false rejects", "recall", roc, diagonal=True))
    plots.append(curves("Precision and recall", "recall", "precision", precision))
    if pro:
        plots.append(curves("PRO, to a false-positive rate of 0.3", "false-positive pixels", "mean overlap", pro, upto=0.3))
    page.plots(plots)


def _recalls(page: Page, model: dict[str, Any], name: str) -> None:
    page.heading(f"What is missed{name}")
    rows = [
        [
            row["kind"],
            str(row["recall"]["count"]),
            str(row["recall"]["parts"]),
            figure_bar(row["recall"]),
            figure_bar(row["auroc"]),
        ]
        for row in model["by_kind"]
    ]
    page.table(["kind", "frames", "parts", "recall by verdict", "AUROC against good frames"], rows)
    for key, classes in model["by_defect"].items():
        if classes:
            page.smaller_heading(f"single defects by {key}")
            page.table(
                [key, "defects", "parts", "recall"],
                [
                    [c["class"], str(c["recall"]["count"]), str(c["recall"]["parts"]), figure_bar(c["recall"])]
                    for c in classes
                ],
            )
    for tag, values in model["by_tag"].items():
        page.smaller_heading(f"by {tag}")
        page.table(
            [tag, "AUROC", "false rejects", "recall"],
            [[v["value"], figure_bar(v["auroc"]), figure_bar(v["false_rejects"]), figure_bar(v["recall"])] for v in values],
        )


def _matrix(page: Page, entry: dict[str, Any]) -> None:
    page.smaller_heading(f"the threshold of the row's {entry['tag']} on the frames of the column's")
    cells = {(cell["row"], cell["column"]): cell for cell in entry["cells"]}
    rows = []
    for row in entry["values"]:
        texts: list[str | Bar] = [row]
        for column in entry["values"]:
            cell = cells[row, column]
            texts.append(
                f"AUROC {figure_bar(cell['auroc']).text}\nfalse rejects {figure_bar(cell['false_rejects']).text}\n"
                f"recall {figure_bar(cell['recall']).text}"
            )
        rows.append(texts)
    page.table([entry["tag"], *entry["values"]], rows)
    drop = entry["average_relative_drop"]
    page.text(
        f"Average relative drop of the AUROC: {'-' if drop is None else f'{100 * drop:.1f} %'}. "
        f"Thresholds from: {entry['thresholds_from']}."
    )


def _mistakes(page: Page, one: JudgedModel, model: dict[str, Any], source: FrameSet, name: str) -> None:
    scored = one.result.frames
    rejected = sorted((f for f in scored if not f.is_bad and f.is_wrong), key=lambda f: -_sort_key(f, np.inf))
    missed = sorted((f for f in scored if f.is_bad and f.is_wrong), key=lambda f: _sort_key(f, -np.inf))
    page.heading(f"False rejects{name}: {len(rejected)}")
    chapter = model["false_positives"]
    if chapter["groups"]:
        page.table(
            ["where", "look", "regions", "worst"],
            [[g["where"].replace("_", " "), g["look"], str(g["regions"]), g["worst"]] for g in chapter["groups"][:12]],
        )
    _gallery(page, one, source, rejected[:WORST], len(rejected))
    page.heading(f"Missed defects{name}: {len(missed)}")
    if missed:
        reasons: dict[str, int] = {}
        for frame in missed:
            reasons[frame.decided_by] = reasons.get(frame.decided_by, 0) + 1
        page.table(["decided by", "frames"], [[reason, str(count)] for reason, count in sorted(reasons.items())])
    _gallery(page, one, source, missed[:WORST], len(missed))


def _sort_key(frame: Scored, without: float) -> float:
    return without if frame.score is None else frame.score


def _gallery(page: Page, one: JudgedModel, source: FrameSet, worst: Sequence[Scored], total: int) -> None:
    if not worst:
        page.text("None.")
        return
    if len(worst) < total:
        page.text(f"The worst {len(worst)} of {total}.")
    by_file = {frame.file: frame for frame in source.frames}
    scored = {frame.file: frame for frame in worst}
    pictures = []
    for frame, look in look_again(one.inspector, source, [by_file[w.file] for w in worst]):
        scored_frame = scored[frame.file]
        score = "no score" if scored_frame.score is None else f"score {scored_frame.score:.4g}"
        text = (
            f"{scored_frame.kind}, part {scored_frame.part}; {score}, threshold {one.inspector.high:.4g}; "
            f"decided by {scored_frame.decided_by}"
        )
        pictures.append((encode_jpeg(_picture(one, frame, look), _QUALITY), frame.file, text))
    page.gallery(pictures)


def _picture(one: JudgedModel, _frame: SetFrame, look: SecondLook) -> Any:
    size = (look.frame.meta.width, look.frame.meta.height)
    regions = [
        (box_to_image(region.bbox_xyxy, look.amap.map_to_image, *size), f"{region.score_max:.3g}")
        for region in look.found.regions
    ]
    dropped = [
        (box_to_image(gone.bbox_xyxy, look.amap.map_to_image, *size), rejected_text(gone))
        for gone in by_weight(look.found.rejected)
    ]
    config = one.inspector.regions.smooth
    values = look.amap.values if config is None else smooth(look.amap.values, config)
    return thumbnail(
        look.frame,
        on_frame(values, look.amap, look.frame),
        one.inspector.high,
        truth=look.truth,
        regions=regions,
        dropped=dropped,
    )
