"""`make gpu` where there is no GPU: what it says, what it writes, and that one failing part stops no other."""

import csv
import importlib.util
import json
import signal
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import claims_page  # noqa: E402

SPEC = importlib.util.spec_from_file_location("gpu_tool", ROOT / "tools" / "gpu.py")
gpu = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(gpu)


@pytest.fixture
def options():
    return gpu.arguments(["--device", "cpu", "--scale", "smoke", "--seconds", "0.05"])


def rows_in(folder):
    with open(folder / "gpu.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_without_cuda_one_sentence_and_nothing_else(tmp_path, capsys):
    assert gpu.main(["--out", str(tmp_path)]) == 2
    said = capsys.readouterr().out
    assert said.startswith("make gpu needs a CUDA GPU, and PyTorch ") and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_failing_part_is_recorded_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    jobs = [("card", "matrix"), ("model", "no_such_model"), ("model", "backpropagation")]
    monkeypatch.setattr(gpu, "all_jobs", lambda *a: (jobs, []))
    words = ["--device", "cpu", "--scale", "smoke", "--seconds", "0.05", "--out", str(tmp_path)]
    assert gpu.main(words) == 1
    rows = rows_in(tmp_path)
    assert list(rows[0]) == list(gpu.FIELDS)
    assert [(row["part"], row["name"]) for row in rows] == [*[jobs[0]] * 3, *jobs[1:]]
    bad, good = rows[3:]
    assert bad["status"] == "ModuleNotFoundError: No module named 'dlp_utils.models.no_such_model'"
    assert good["status"] == "ok" and good["precision"] == "fp32" and good["share"] == good["memory_mb"] == ""
    assert float(good["last_loss"]) < 0.95 * float(good["first_loss"])
    assert int(good["parameters"]) == 151 and int(good["steps"]) >= gpu.LEAST
    assert float(good["steps_per_second"]) == pytest.approx(
        (int(good["steps"]) - gpu.WARMUP) / float(good["seconds"]), rel=1e-3
    )
    said = capsys.readouterr().out
    assert "4 passed, 1 failed" in said and "✗ model no_such_model" in said


@pytest.mark.parametrize(("stem", "factor"), [("sum", 1.0), ("flat", 0.0)])
def test_a_loss_that_does_not_fall_is_a_failure(stem, factor, options):
    class Module:
        __name__, CONFIGS = stem, {"smoke": 4}

        @staticmethod
        def build(config):
            return torch.nn.Linear(config, 1)

        @staticmethod
        def example_batch(config, device):
            return torch.ones(8, config, device=device)

        @staticmethod
        def step(model, batch):
            return (factor * (model(batch) - 3)).square().mean() + 1

    row = gpu.train(Module, "fp32", options)
    fell = row["last_loss"] < 0.95 * row["first_loss"]
    assert ("status" not in row) == fell == bool(factor)
    assert fell or row["status"] == "the loss went from 1 to 1; it must fall by 5%"
    assert row["estimated_mb"] > 16 * 5 / 2**20 and row["tflops"] > 0


def test_what_is_measured_is_kept_where_the_estimate_fails(options, monkeypatch):
    from dlp_utils.models import backpropagation

    def broken(*arguments):
        raise RuntimeError("no fake tensors here")

    # by its name in sys.modules: dlp_utils.device is also the function of that name
    monkeypatch.setattr(sys.modules["dlp_utils.device"], "estimate", broken)
    row = gpu.train(backpropagation, "fp32", options)
    assert row["status"] == "no estimate: RuntimeError: no fake tensors here" and row["steps_per_second"] > 0
    assert "tflops" not in row and "estimated_mb" not in row


def test_a_part_that_hangs_is_ended(options, monkeypatch):
    monkeypatch.setitem(gpu.LIMIT, "resume", 0.3)
    assert list(gpu.rows_of("resume", "fp32", options)) == [
        {"part": "resume", "name": "fp32", "status": "took longer than 0.3 s"}
    ]


def test_blocks_keep_shapes_and_touch_pictures_only():
    pictures = torch.randint(256, (2, 3, 16, 24)).byte()
    batch = pictures, torch.rand(2, 5), 0.5
    blocks, labels, coin = gpu.in_blocks(batch)
    assert blocks.shape == pictures.shape and blocks.dtype == torch.uint8
    assert labels is batch[1] and coin == 0.5
    for top in (0, 8):
        for left in (0, 8, 16):
            part = blocks[..., top : top + 8, left : left + 8]
            assert (part == pictures[..., top, left, None, None]).all()


def test_loss_of_draws_the_same_numbers_each_time():
    model = torch.nn.Linear(2, 1)
    step = lambda m, b: {"loss": (m(b) + torch.randn(1)).square().mean()}  # noqa: E731
    first = gpu.loss_of(model, step, torch.ones(3, 2))
    torch.rand(7)
    assert gpu.loss_of(model, step, torch.ones(3, 2)) == first


# --- killed and resumed ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_and_resumed_ends_bit_for_bit_equal_on_this_machine_too(options):
    (row,) = gpu.resume("fp32", options)
    assert row["steps"] == 36 and row["precision"] == "fp32"


@pytest.mark.slow
def test_a_resume_that_forgets_something_is_noticed(options, monkeypatch):
    real = gpu.run_long

    def forgetful(path, precision, options, stop=0):
        code = real(path, precision, options, stop)
        if stop:  # what a checkpoint without the averaged weights would do
            state = torch.load(path, weights_only=True)
            for value in state["ema"]["weights"].values():
                value.zero_()
            torch.save(state, path)
        return code

    monkeypatch.setattr(gpu, "run_long", forgetful)
    with pytest.raises(RuntimeError, match=r"killed and resumed, the run/ema/weights/.* differs"):
        list(gpu.resume("fp32", options))


def test_runs_that_end_otherwise_are_named(options, monkeypatch):
    monkeypatch.setattr(gpu, "run_long", lambda *a, **k: 1)
    with pytest.raises(RuntimeError, match=rf"codes \[1, 1\]; expected 0 and {-signal.SIGKILL}"):
        list(gpu.resume("fp32", options))


def test_difference_names_the_first_part_that_differs():
    state = {"model": {"w": torch.ones(2)}, "rng": [{"cuda": torch.zeros(3).byte()}], "seconds": 1.0}
    same = {"model": {"w": torch.ones(2)}, "rng": [{"cuda": torch.zeros(3).byte()}], "seconds": 2.0}
    assert gpu.difference(state, same) is None
    same["rng"][0]["cuda"][2] = 1
    assert gpu.difference(state, same) == "the run/rng/0/cuda"
    same["model"]["w"] = torch.nextafter(same["model"]["w"], torch.tensor(2.0))
    assert gpu.difference(state, same) == "the run/model/w"
    assert gpu.difference({"scaler": None}, {"scaler": {"scale": 1.0}}) == "the run/scaler"
    assert gpu.difference({"a": 1}, {"b": 1}) == "the run"
    assert gpu.difference([1, 2], [1]) == "the run"


# --- notebooks, table, choice of parts ------------------------------------------------------------------------


def test_cells_run_without_a_kernel_and_an_error_names_its_cell(capsys):
    gpu.in_this_process(["%matplotlib inline\nx = 2", "if x:\n    !ls\n    print(x + 1)"])
    assert capsys.readouterr().out == "3\n"
    with pytest.raises(RuntimeError, match="code cell 2: ZeroDivisionError: division by zero"):
        gpu.in_this_process(["x = 0", "1 / x"])


def test_cells_run_in_a_kernel_and_an_error_names_its_cell():
    gpu.in_a_kernel(["x = 2", "assert x == 2"])
    with pytest.raises(RuntimeError, match="code cell 2: ZeroDivisionError: division by zero"):
        gpu.in_a_kernel(["x = 0", "1 / x", "x"])


def test_shares_rows_and_time_of_a_table(tmp_path):
    table = gpu.Table(tmp_path / "gpu.csv", {"machine": "card, driver", "torch": "2"})
    table.add({"part": "card", "name": "matrix", "precision": "bf16", "tflops": 800.0})
    table.add({"part": "card", "name": "matrix", "precision": "fp32", "tflops": 50.0})
    for precision in ("bf16", "fp16", "fp32"):
        table.add(
            {"part": "model", "name": "ema", "precision": precision, "tflops": 200.0, "memory_mb": None}
        )
    rows = rows_in(tmp_path)  # each row is there before the file is closed
    table.close()
    assert [row["share"] for row in rows] == ["", "", "0.25", "", ""]
    assert {row["machine"] for row in rows} == {"card, driver"} and table.failed() == []


def test_the_page_reads_what_the_tool_writes(tmp_path, monkeypatch):
    table = gpu.Table(tmp_path / "gpu.csv", {"machine": "card", "torch": "2"})
    numbers = {
        "parameters": 2_500_000,
        "steps": 100,
        "steps_per_second": 12.5,
        "memory_mb": 2000.0,
        "seconds": 5.0,
    }
    numbers |= {"estimated_mb": 1000.0, "tflops": 10.0, "first_loss": 1.0, "last_loss": 0.5}
    table.add({"part": "card", "name": "matrix", "precision": "bf16", "tflops": 100.0, "seconds": 0.1})
    table.add({"part": "model", "name": "ema", "precision": "bf16", **numbers})
    table.close()
    rows = rows_in(tmp_path)
    directive = claims_page.GpuTable.__new__(claims_page.GpuTable)
    text = directive.below(rows)
    assert text.startswith("Measured on card, with PyTorch 2, on ") and "100 in bf16" in text
    monkeypatch.setattr(claims_page, "_to_notebook", lambda env, stem: stem)
    monkeypatch.setattr(claims_page.GpuTable, "env", None)
    line = ["ema", "bf16", "2.5 M", "12.5", "2.1 GB / 1.0 GB", "10.0%", "1 → 0.5"]
    assert directive.line(rows[1]) == line


def test_all_parts_are_found_and_can_be_chosen():
    alone, beside = gpu.all_jobs()
    stems = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert alone[0] == ("card", "matrix") and {kind for kind, _ in alone[1:]} == {"model"}
    assert {name for kind, name in beside if kind == "notebook"} == stems
    assert {name for kind, name in alone[1:]} <= stems and len(alone) > 5
    assert [name for kind, name in beside if kind == "resume"] == list(gpu.PRECISIONS)
    assert gpu.all_jobs("diffusion") == ([alone[0], ("model", "diffusion")], [("notebook", "diffusion")])
    assert gpu.all_jobs("resume", precisions=("fp32",)) == ([], [("resume", "fp32")])
    assert not any(kind == "notebook" for kind, _ in gpu.all_jobs(notebooks=False)[1])
    with pytest.raises(ValueError, match=r"no part is called 'difusion'; there are: .*diffusion"):
        gpu.all_jobs("difusion")


def test_a_part_of_the_table_does_not_replace_the_whole(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    monkeypatch.setattr(gpu, "collect", lambda *a, **k: None)
    monkeypatch.setattr(gpu, "all_jobs", lambda *a: ([], []))
    assert gpu.main(["--device", "cpu", "--only", "card"]) == 0
    assert gpu.main(["--device", "cpu", "--skip-notebooks"]) == 0
    assert not (tmp_path / "notebooks").exists()
    assert gpu.main(["--device", "cpu"]) == 0
    assert (tmp_path / "notebooks" / "studies" / "gpu.csv").exists()
    assert "0 passed, 0 failed; rows in" in capsys.readouterr().out


def test_rows_travel_as_json(capsys, options):
    assert gpu.child("card", "matrix", options) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(gpu.FLAG)]
    rows = [json.loads(line[len(gpu.FLAG) :]) for line in lines]
    assert [row["precision"] for row in rows] == ["bf16", "fp16", "fp32"]
    assert all(set(row) <= set(gpu.FIELDS) and row["tflops"] > 0 for row in rows)
