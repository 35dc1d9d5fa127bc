"""pyimgano's infer_config: every setting arrives, is told to mean something else, or is told to be ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from edge.config.illumination_spec import IlluminationSpec
from edge.config.load import load_config
from edge.config.yaml_reader import parse_yaml
from edge.errors import UserError
from edge.models.pyimgano.import_config import ImportedConfig, import_config, read_infer_config

DEFECTS: dict[str, Any] = {
    "enabled": True,
    "pixel_threshold": 0.6,
    "pixel_threshold_strategy": "fixed",
    "pixel_normal_quantile": 0.999,
    "mask_format": "png",
    "roi_xyxy_norm": [0.1, 0.1, 0.9, 0.9],
    "border_ignore_px": 2,
    "map_smoothing": {"method": "median", "ksize": 3, "sigma": 0.0},
    "hysteresis": {"enabled": True, "low": None, "high": None},
    "shape_filters": {"min_fill_ratio": 0.15, "max_aspect_ratio": 6.0, "min_solidity": 0.8},
    "merge_nearby": {"enabled": True, "max_gap_px": 1},
    "min_area": 16,
    "min_score_max": 0.6,
    "min_score_mean": None,
    "open_ksize": 0,
    "close_ksize": 0,
    "fill_holes": False,
    "max_regions": 20,
    "max_regions_sort_by": "score_max",
}
"""The defects section of the reference's example for fewer false positives."""


def converted(*, defects: dict[str, Any] | None = None, **top: Any) -> ImportedConfig:
    return import_config({"defects": {} if defects is None else defects, **top}, "infer_config.json", Path("bundle"))


def regions(**defects: Any) -> dict[str, Any]:
    found: dict[str, Any] = parse_yaml(converted(defects=defects).text, "x")[0]["regions"]
    return found


def differs(imported: ImportedConfig) -> dict[str, tuple[str, str]]:
    return {note.key: (note.there, note.here) for note in imported.differs}


def ignored(imported: ImportedConfig) -> list[str]:
    return [note.key for note in imported.ignored]


def refused(**defects: Any) -> str:
    with pytest.raises(UserError) as caught:
        converted(defects=defects)
    return str(caught.value)


def test_the_references_own_example_arrives_whole(tmp_path: Path) -> None:
    imported = converted(defects=DEFECTS)
    path = tmp_path / "line.yaml"
    path.write_text(imported.text)
    config = load_config(path).config
    assert config.model_dump(mode="json", exclude_defaults=True)["regions"] == {
        "roi": {"include": [[0.1, 0.1, 0.9, 0.9]]},
        "border_px": 2,
        "smooth": {"kind": "median", "size": 3},
        "threshold": {"high": 0.6, "low": 0.3},
        "min_area_px": 16,
        "min_score_max": 0.6,
        "min_fill_ratio": 0.15,
        "max_aspect_ratio": 6.0,
        "min_solidity": 0.8,
        "merge_gap_px": 1,
        "max_regions": 20,
    }
    assert differs(imported) == {
        "defects.roi_xyxy_norm": ("[0.1,0.1,0.9,0.9]", "[0.1,0.1,0.9,0.9]"),
        "defects.border_ignore_px": ("2", "2"),
        "defects.hysteresis.low": ("null", "0.3"),
        "defects.min_score_max": ("0.6", "0.6"),
        "defects.shape_filters.min_solidity": ("0.8", "0.8"),
        "defects.merge_nearby.max_gap_px": ("1", "1"),
        "defects.min_area": ("16", "16"),
        "(px)": ("pixels of the old model's map", "pixels of the new one's"),
        "(verdict)": ("image score > threshold", "fail where a region is left"),
    }
    assert ignored(imported) == ["defects.pixel_normal_quantile", "defects.enabled", "defects.mask_format"]
    assert (imported.unknown, imported.build_options) == ((), "")


def test_without_a_threshold_the_line_is_to_be_calibrated() -> None:
    imported = converted(defects={"pixel_normal_quantile": 0.99, "min_score_max": 0.6})
    data = parse_yaml(imported.text, "x")[0]
    assert (data["regions"]["threshold"], data["calibration"]) == ("calibrated", "cam1.calibration.yaml")
    assert differs(imported)["defects.pixel_threshold"] == ("quantile 0.99 of the raw maps' pixels", "calibrated")
    assert "a fixed score beside a calibrated threshold" in imported.text


@pytest.mark.parametrize(
    ("given", "hysteresis", "threshold"),
    [
        (0.6, None, {"high": 0.6, "low": None}),
        (0.6, {"enabled": False, "low": 0.1}, {"high": 0.6, "low": None}),
        (0.6, {"enabled": True, "low": 0.45}, {"high": 0.6, "low": 0.45}),
        (0.6, {"enabled": True, "high": 0.8}, {"high": 0.8, "low": 0.4}),
        (None, {"enabled": True, "high": 0.8, "low": 0.7}, {"high": 0.8, "low": 0.7}),
        (0.6, {"enabled": True, "low": 0.9}, {"high": 0.9, "low": 0.6}),  # exchanged silently
        (-2.0, {"enabled": True}, {"high": -1.0, "low": -2.0}),  # half of it is above it
        (None, {"enabled": True, "low": 0.3}, "calibrated"),
    ],
)
def test_hysteresis_is_written_out(given: float | None, hysteresis: dict[str, Any] | None, threshold: object) -> None:
    assert regions(pixel_threshold=given, hysteresis=hysteresis)["threshold"] == threshold


@pytest.mark.parametrize(
    ("method", "size", "sigma", "smooth"),
    [
        ("none", 5, 0.0, None),
        ("median", 1, 0.0, None),
        ("median", 3, 2.0, {"kind": "median", "size": 3}),
        ("median", 4, 0.0, {"kind": "median", "size": 5}),
        ("median", 7, 0.0, {"kind": "median", "size": 5}),
        ("box", 0, 0.0, None),
        ("box", 4, 0.0, {"kind": "box", "size": 5}),
        ("gaussian", 0, 0.0, None),
        ("gaussian", 1, 2.0, None),
        ("gaussian", 0, 1.0, {"kind": "gaussian", "size": 9, "sigma": 1.0}),
        ("gaussian", 0, 0.1, {"kind": "gaussian", "size": 3, "sigma": 0.1}),
        ("gaussian", 6, 1.5, {"kind": "gaussian", "size": 7, "sigma": 1.5}),
        ("gaussian", 5, 0.0, {"kind": "gaussian", "size": 5}),
        ("gaussian", 0, 9.0, {"kind": "gaussian", "size": 31, "sigma": 9.0}),
    ],
)
def test_smoothing_keeps_its_meaning(method: str, size: int, sigma: float, smooth: dict[str, Any] | None) -> None:
    imported = converted(defects={"map_smoothing": {"method": method, "ksize": size, "sigma": sigma}})
    assert parse_yaml(imported.text, "x")[0]["regions"].get("smooth") == smooth
    if smooth is not None:
        assert ("defects.map_smoothing.ksize" in differs(imported)) == (smooth["size"] != size)
    else:
        assert ("defects.map_smoothing" in ignored(imported)) == (method != "none")


def test_even_kernels_become_the_next_odd_one_and_one_is_none() -> None:
    found = regions(open_ksize=1, close_ksize=4, fill_holes=True, max_regions_sort_by="area")
    assert found == {"threshold": "calibrated", "close_px": 5, "fill_holes": True, "sort_by": "area"}


def test_an_roi_is_cut_to_the_frame_and_its_corners_are_ordered() -> None:
    assert regions(roi_xyxy_norm=[0.9, 0.2, -0.5, 1.5])["roi"] == {"units": "norm", "include": [[0.0, 0.2, 0.9, 1.0]]}


@pytest.mark.parametrize(("most", "there"), [(0, "0"), (-3, "-3")])
def test_max_regions_below_one_dropped_regions_and_is_left_out(most: int, there: str) -> None:
    imported = converted(defects={"max_regions": most})
    assert differs(imported)["defects.max_regions"] == (there, "null")
    assert "max_regions:" not in imported.text.partition("\nregions:")[2]


def test_merging_that_did_nothing_is_left_out() -> None:
    for merging in ({"enabled": True, "max_gap_px": 0}, {"enabled": False, "max_gap_px": 3}):
        imported = converted(defects={"merge_nearby": merging})
        assert "defects.merge_nearby" in ignored(imported)
        assert "merge_gap_px" not in imported.text


def test_unknown_keys_are_listed_with_their_place() -> None:
    imported = converted(
        defects={"min_aera": 3, "map_smoothing": {"kernel": 3}, "shape_filters": {"min_solidty": 1}},
        adaptation={"tilling": {}},
        extra=1,
    )
    assert imported.unknown == (
        "defects.map_smoothing.kernel",
        "defects.shape_filters.min_solidty",
        "defects.min_aera",
        "adaptation.tilling",
        "extra",
    )


def test_what_has_no_counterpart_is_ignored_with_the_reason() -> None:
    imported = converted(
        schema_version=1,
        model={"name": "vision_padim"},
        threshold=0.5,
        prediction={"reject_label": -2},
        adaptation={"postprocess": {"normalize": True}, "save_maps": True},
    )
    assert ignored(imported) == [
        "adaptation.postprocess.normalize",
        "adaptation.save_maps",
        "model",
        "threshold",
        "prediction",
        "schema_version",
    ]


def test_what_acts_on_the_map_becomes_keys_of_regions() -> None:
    """Where each map is scaled by itself, too: smoothing and opening are the same there."""
    acts = {"gaussian_sigma": 1.5, "morph_open_ksize": 3, "morph_close_ksize": 4, "min_component_area": 16}
    for scaled in (False, True):
        imported = converted(adaptation={"postprocess": {"normalize": scaled, "component_threshold": 0.5, **acts}})
        made = parse_yaml(imported.text, "x")[0]["regions"]
        assert made["smooth"] == {"kind": "gaussian", "size": 13, "sigma": 1.5}
        assert (made["open_px"], made["close_px"], made["min_area_px"]) == (3, 5, 16)
        assert ("adaptation.postprocess.normalize" in ignored(imported)) == scaled
        assert imported.unknown == ()
    taken = converted(defects={"open_ksize": 5}, adaptation={"postprocess": {"normalize": False, "morph_open_ksize": 3}})
    assert parse_yaml(taken.text, "x")[0]["regions"]["open_px"] == 5
    assert ignored(taken) == ["adaptation.postprocess.morph_open_ksize"]
    idle = converted(adaptation={"postprocess": {"normalize": False, "min_component_area": 9}})
    assert "min_area_px" not in parse_yaml(idle.text, "x")[0]["regions"]
    assert ignored(idle) == ["adaptation.postprocess.min_component_area"]


def test_settings_in_px_are_of_the_old_models_map() -> None:
    assert differs(converted(defects={"min_area": 16}))["(px)"] == (
        "pixels of the old model's map",
        "pixels of the new one's",
    )
    assert "(px)" not in differs(converted(defects={"pixel_threshold": 0.5}))


def test_the_summary_that_every_real_file_has_is_no_unknown_key() -> None:
    """As pyimgano-train 0.9 writes it."""
    summary = {
        "schema_version": 1,
        "threshold_scope": "image",
        "image_threshold": {"threshold": 0.5, "score_order": "higher_is_more_anomalous", "provenance": None},
        "pixel_threshold": {"enabled": True, "strategy": "fixed", "threshold": 0.6, "normal_quantile": 0.999},
        "map_postprocess": None,
        "review_policy": {},
        "label_encoding": {"normal": 0, "anomalous": 1},
    }
    imported = converted(postprocess=summary, adaptation={"tiling": None, "postprocess": None, "save_maps": False})
    assert imported.unknown == ()
    assert ignored(imported) == ["postprocess"]


def test_tiling_becomes_options_of_edge_build() -> None:
    tiling = {"tile_size": 512, "stride": 384, "score_reduce": "max", "score_topk": 0.1, "map_reduce": "hann"}
    imported = converted(adaptation={"tiling": tiling})
    assert imported.build_options == "--tile 512,512 --stride 384,384 --blend hann"
    assert ignored(imported) == ["adaptation.tiling.score_reduce, score_topk"]
    plain = converted(adaptation={"tiling": {"tile_size": 256}})
    assert plain.build_options == "--tile 256,256 --stride 256,256 --blend max"
    assert converted(adaptation={"tiling": {"tile_size": None, "stride": None}}).build_options == ""


def test_illumination_becomes_a_declaration_with_the_exponent_itself_for_gamma() -> None:
    light = {
        "white_balance": "gray-world",
        "homomorphic": True,
        "homomorphic_cutoff": 0.25,
        "homomorphic_per_channel": True,
        "clahe": True,
        "clahe_clip_limit": 2.5,
        "clahe_tile_grid_size": [8, 4],
        "gamma": 0.9,
        "contrast_stretch": False,
        "contrast_lower_percentile": 2.0,
    }
    imported = converted(preprocessing={"illumination_contrast": light})
    assert imported.build_options == (
        '--illumination \'{"white_balance":"gray_world","homomorphic":{"cutoff":0.25},'
        '"clahe":{"clip_limit":2.5,"grid":[8,4]},"gamma":1.1111111111111112}\' --frames GOOD_FRAMES'
    )
    IlluminationSpec.model_validate_json(imported.build_options.split("'")[1])
    assert differs(imported)["preprocessing.illumination_contrast.gamma"] == ("0.9", "1.11111")
    assert differs(imported)["preprocessing.illumination_contrast.white_balance"] == (
        "each frame's statistics",
        "good frames' statistics",
    )


def test_illumination_without_a_step_is_nothing() -> None:
    off = {"white_balance": "none", "homomorphic": False, "clahe": False, "gamma": None, "contrast_stretch": False}
    assert converted(preprocessing={"illumination_contrast": off}).build_options == ""
    disabled = converted(preprocessing={"illumination_contrast": {"enabled": False, "clahe": True}})
    assert (disabled.build_options, ignored(disabled)) == ("", ["preprocessing.illumination_contrast"])


@pytest.mark.parametrize(
    ("defects", "text"),
    [
        (
            {"min_area": "abc"},
            'infer_config.json: defects.min_area\n  received: "abc"\n  expected: a whole number',
        ),
        (
            {"pixel_threshold": True},
            "infer_config.json: defects.pixel_threshold\n  received: true\n  expected: a number or null",
        ),
        (
            {"shape_filters": {"min_solidity": 7}},
            "infer_config.json: defects.shape_filters.min_solidity\n  received: 7\n"
            "  expected: input should be less than or equal to 1",
        ),
        (
            {"merge_nearby": {"enabled": "yes"}},
            'infer_config.json: defects.merge_nearby.enabled\n  received: "yes"\n  expected: true or false',
        ),
        (
            {"map_smoothing": {"method": "bilateral"}},
            'infer_config.json: defects.map_smoothing.method\n  received: "bilateral"\n'
            "  expected: one of none, median, gaussian, box",
        ),
        (
            {"map_smoothing": 3},
            "infer_config.json: defects.map_smoothing\n  received: 3\n  expected: an object, {...}",
        ),
        (
            {"roi_xyxy_norm": [5, 5, 9, 9]},
            "infer_config.json: defects.roi_xyxy_norm: holds no pixel, so that nothing was ever inspected\n"
            "  received: [5.0, 5.0, 9.0, 9.0]\n  expected: x0, y0, x1, y1 from 0 to 1 with x0 < x1 and y0 < y1",
        ),
        (
            {"roi_xyxy_norm": [0.1, 0.2, 0.3]},
            "infer_config.json: defects.roi_xyxy_norm\n  received: [0.1,0.2,0.3]\n  expected: 4 numbers, [...], or null",
        ),
        (
            {"open_ksize": 200},
            "infer_config.json: defects.open_ksize\n  received: 200\n  expected: input should be less than or equal to 101",
        ),
        (
            {"border_ignore_px": -1},
            "infer_config.json: defects.border_ignore_px\n  received: -1\n"
            "  expected: input should be greater than or equal to 0",
        ),
    ],
)
def test_a_value_that_pyimgano_lets_pass_is_refused_by_its_own_name(defects: dict[str, Any], text: str) -> None:
    assert refused(**defects) == text


def test_a_stride_that_leaves_gaps_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        converted(adaptation={"tiling": {"tile_size": 100, "stride": 120}})
    assert str(caught.value) == (
        "infer_config.json: adaptation.tiling.stride\n  received: 120\n"
        "  expected: 1 to 100, the tile's size: pixels between tiles were never inspected, and passed as 0"
    )


def test_a_step_of_illumination_out_of_range_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        converted(preprocessing={"illumination_contrast": {"homomorphic": True, "homomorphic_cutoff": 2.0}})
    assert str(caught.value) == (
        "infer_config.json: preprocessing.illumination_contrast.homomorphic_cutoff\n  received: 2.0\n"
        "  expected: input should be less than or equal to 1"
    )


@pytest.mark.parametrize(
    ("light", "text"),
    [
        ({"gamma": 0.03}, "gamma\n  received: 0.03\n  expected: 1 / gamma: input should be less than or equal to 20"),
        (
            {"clahe": True, "clahe_tile_grid_size": [8, 65]},
            "clahe_tile_grid_size\n  received: 65\n  expected: input should be less than or equal to 64",
        ),
        (
            {"contrast_stretch": True, "contrast_upper_percentile": 101},
            "contrast_upper_percentile\n  received: 101.0\n  expected: input should be less than or equal to 100",
        ),
    ],
)
def test_an_error_tells_the_files_own_key_and_value(light: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError) as caught:
        converted(preprocessing={"illumination_contrast": light})
    assert str(caught.value) == f"infer_config.json: preprocessing.illumination_contrast.{text}"


def test_every_gamma_keeps_each_of_its_levels() -> None:
    for gamma in (0.46, 0.63, 0.87, 0.91, 2.2):
        imported = converted(preprocessing={"illumination_contrast": {"gamma": gamma}})
        assert IlluminationSpec.model_validate_json(imported.build_options.split("'")[1]).gamma == 1 / gamma


def test_files_that_are_no_infer_config(tmp_path: Path) -> None:
    path = tmp_path / "infer_config.json"

    def told() -> str:
        with pytest.raises(UserError) as caught:
            read_infer_config(path)
        return str(caught.value)

    assert told() == f"{path}: cannot be read: No such file or directory"
    path.write_text("{")
    assert told().startswith(f"{path}:1: not valid JSON: ")
    path.write_text("[1]")
    assert told() == (
        f"{path}: no infer_config: it has no section 'defects'\n  received: no JSON object\n"
        "  expected: the infer_config.json that pyimgano-train --export-infer-config writes"
    )
    path.write_bytes(orjson.dumps({"model": {}, "threshold": 1}))
    assert told() == (
        f"{path}: no infer_config: it has no section 'defects'\n  received: model, threshold\n"
        "  expected: the infer_config.json that pyimgano-train --export-infer-config writes"
    )
    path.write_bytes(orjson.dumps({"defects": DEFECTS}))
    assert read_infer_config(path) == {"defects": DEFECTS}
