"""Two processes with batch B take the same steps as one process with batch 2B."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

pytestmark = pytest.mark.slow  # two launches of two processes

HERE = Path(__file__).parent
SCRIPT = HERE / "distributed_script.py"
EQUAL = ("shuffle", "unseeded", "generator", "plain", "list", "stream", "accumulate", "resume")
OTHERS = ("nan", "gradient", "uneven", "noise", "noise-resume")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The results of both processes: two dicts from case to result. One launch for all, as starting is what costs."""
    folder = tmp_path_factory.mktemp("two")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = os.environ | {
        "ACCELERATE_USE_CPU": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(HERE.parent),
    }
    command = [*launcher, str(SCRIPT), str(folder), "4", *EQUAL, *OTHERS]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("Going on from") == 2  # twice resumed; the main process speaks for all
    assert "holds the log of another run" not in answer.stdout
    both = [torch.load(folder / f"rank-{rank}.pt") for rank in (0, 1)]
    for results in both:
        worlds = [result["world"] for result in results.values()]
        assert worlds == [2] * len([*EQUAL, *OTHERS])  # else nothing was tried
    both[0]["folder"] = folder
    return both


@pytest.fixture
def alone(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    monkeypatch.delenv("RANK", raising=False)
    spec = importlib.util.spec_from_file_location("distributed_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return lambda case: script.run(tmp_path, 8, case)


def largest_difference(a, b):
    return max((a[part][n] - b[part][n]).abs().max().item() for part in ("model", "ema") for n in a[part])


@pytest.mark.parametrize("case", EQUAL)
def test_two_processes_equal_one_with_the_doubled_batch(two, alone, case):
    one, main, second = alone(case), two[0][case], two[1][case]
    assert one["world"] == 1
    assert len(one["losses"]) == len(main["losses"]) == (6 if case == "accumulate" else 18)
    assert largest_difference(main, second) == 0
    assert largest_difference(one, main) < 1e-6
    for name in ("losses", "mae"):
        np.testing.assert_allclose(main[name], one[name], rtol=1e-5)
        assert main[name] == second[name]
    evaluated = {"accumulate": [2, 4, 6], "resume": [6, 7, 12, 18]}.get(case, [6, 12, 18])
    assert [m["step"] for m in main["metrics"]] == evaluated
    assert main["metrics"][-1]["loss"] == pytest.approx(one["metrics"][-1]["loss"], rel=1e-5)


def test_the_cases_differ(two):
    ends = {
        case: two[0][case]["losses"][-1]
        for case in ("shuffle", "unseeded", "generator", "plain", "accumulate")
    }
    assert len(set(ends.values())) == 5
    assert two[0]["resume"]["losses"] == two[0]["shuffle"]["losses"]


def test_processes_draw_different_noise(two):
    assert two[0]["shuffle"]["noise"] != two[1]["shuffle"]["noise"]


def test_each_process_finds_its_own_noise_again(two):
    for straight, resumed in ((results["noise"], results["noise-resume"]) for results in two):
        assert largest_difference(straight, resumed) == 0
        assert straight["losses"] == resumed["losses"]


def test_an_incomplete_last_round_is_filled_up(two, alone):
    one, main, second = alone("uneven"), two[0]["uneven"], two[1]["uneven"]
    assert largest_difference(main, second) == 0
    assert len(main["losses"]) == len(one["losses"]) == 18
    np.testing.assert_allclose(main["losses"][:5], one["losses"][:5], rtol=1e-5)
    assert main["losses"][5] != pytest.approx(one["losses"][5], rel=1e-3)


def test_a_loss_that_is_not_finite_in_one_process_stops_both(two):
    for results in two:
        assert "the loss is nan at step 3 with learning rate" in results["nan"]["message"]
        assert len(results["nan"]["losses"]) == 2


def test_a_gradient_that_is_not_finite_in_one_process_stops_both(two):
    for results in two:
        assert "the gradient is not finite at step 3 with learning rate" in results["gradient"]["message"]
        assert len(results["gradient"]["losses"]) == 2


def test_the_main_process_alone_writes_the_log(two):
    logs = two[0]["folder"] / "logs"
    assert sorted(folder.name for folder in logs.iterdir()) == ["noise-resume", "resume"]
    for folder in logs.iterdir():
        frame, main = pd.read_csv(folder / "metrics.csv"), two[0][folder.name]
        assert frame["step"].tolist() == list(range(1, 19))
        np.testing.assert_allclose(frame["loss"], main["losses"], rtol=1e-14)
        assert frame["eval_mae"].dropna().index.tolist() == [m["step"] - 1 for m in main["metrics"]]
        assert len(list(folder.glob("events.out.tfevents.*"))) == 2  # the run and its second half
