from __future__ import annotations

import json
from math import nan

import pytest

from rowspace import SearchSettings, Tuning
from rowspace.errors import InvalidSetting
from rowspace.repositories.sampling import found_of
from rowspace.tuning import TuningPoint, enough, ladder, tuned, tuning_of

CURVE = Tuning(
    "ef_search", 0.95, 10, 100, (TuningPoint(20, 0.9, 1.0), TuningPoint(40, 0.96, 1.5), TuningPoint(80, 0.985, 2.5))
)


def test_the_smallest_setting_that_reaches_the_target_is_chosen():
    assert CURVE.reached
    assert (CURVE.chosen.setting, CURVE.advice) == (40, "")
    assert CURVE.settings() == SearchSettings(ef_search=40)
    assert CURVE.settings(0.98) == SearchSettings(ef_search=80)


def test_a_target_out_of_reach_is_said_and_the_best_is_chosen():
    tuning = Tuning("probes", 0.99, 10, 100, CURVE.points)
    assert not tuning.reached
    assert tuning.settings() == SearchSettings(probes=80)
    assert tuning.advice.startswith("A recall of 0.99 is out of reach: the highest is 0.985, with probes = 80.")
    with pytest.raises(InvalidSetting, match=r"ends at a recall of 0\.985, below 0\.99"):
        tuning.settings(0.99)


def test_a_tuning_comes_back_from_json():
    stored = json.loads(json.dumps(CURVE.to_dict()))
    assert tuning_of({"method": "hnsw", "tuning": stored}) == CURVE
    assert tuning_of({"method": "hnsw"}) is None
    assert tuning_of(None) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, SearchSettings(ef_search=40)),
        (SearchSettings(max_scan_tuples=9), SearchSettings(ef_search=40, max_scan_tuples=9)),
        (SearchSettings(ef_search=7), SearchSettings(ef_search=7)),
        (SearchSettings(recall=0.97, oversample=3), SearchSettings(ef_search=80, oversample=3)),
    ],
)
def test_what_a_search_uses(given, expected):
    assert tuned(given, CURVE) == expected


def test_a_recall_without_a_curve_is_refused():
    assert tuned(None, None) == SearchSettings()
    with pytest.raises(InvalidSetting, match=r"recall=0\.9 needs a measured curve"):
        tuned(SearchSettings(recall=0.9), None)


@pytest.mark.parametrize("options", [{"recall": 0}, {"recall": 1.01}, {"recall": True}, {"recall": "1"}])
def test_recall_is_a_share(options):
    with pytest.raises(InvalidSetting, match="above 0 and at most 1"):
        SearchSettings(**options)


def test_recall_is_in_place_of_the_setting():
    with pytest.raises(InvalidSetting, match="Pass only one of them"):
        SearchSettings(recall=0.9, ef_search=40)


def test_the_settings_that_are_measured():
    assert ladder("ef_search", k=11)[:2] == [20, 30]
    assert ladder("ef_search", k=5_000) == [1_000]
    assert ladder("probes", k=10, lists=10) == [1, 2, 3, 4, 6, 9, 10]
    assert ladder("probes", k=10) == [1]


def test_the_curve_goes_on_beyond_the_target():
    assert not enough(0.98, 0.95)
    assert enough(0.999, 0.95)
    assert not enough(0.999, 1)


@pytest.mark.parametrize(
    ("found", "nearest", "recall"),
    [
        ([0.1, 0.2], [0.1, 0.2], 1.0),
        ([0.1, 0.3], [0.1, 0.2], 0.5),
        ([], [0.1], 0.0),
        # Three rows at one distance: whichever two of them come are the nearest.
        ([0.1, 0.2, 0.2], [0.1, 0.2], 1.0),
        ([-5.0, -4.0], [-5.0, -4.0], 1.0),
        ([0.1], [], 1.0),
        # Vectors of zeros, the farthest by cosine.
        ([0.1, nan], [0.1, nan], 1.0),
        ([0.1], [0.1, nan], 0.5),
    ],
)
def test_recall_of_one_search(found, nearest, recall):
    assert found_of(found, nearest) == recall
