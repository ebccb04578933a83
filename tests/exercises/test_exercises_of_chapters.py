"""Every exercise of every chapter: the stub is "not attempted", the book's solution passes, wrong answers fail.

The stub is taken from the notebook, the solution from the drop-down of the page: the same text that readers see.
Wrong answers stand in `tests/exercises/test_<stem>.py` as WRONG = {id: [(answer, part of its hint)]}, right ones in
another form as RIGHT = {id: [answer]}. The solution itself is judged in other forms too: in single and in double
precision, as a view of a larger array, and with its arguments changed in place, which no check may let pass.
"""

import ast
import functools
import importlib.util
import json
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

import dlp_utils.models
from dlp_utils import exercises

ROOT = Path(__file__).resolve().parents[2]
SOLUTION = re.compile(r"^(`{3,})\{solution\} ex-([\w-]+)\n(.*?)^\1$", re.M | re.S)
EXERCISE = re.compile(r"^`{3,}\{exercise\}[^\n]*\n:label: ex-([\w-]+)$", re.M)
CODE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)

exercises._load()
BY_CHAPTER = {}
for entry in exercises.EXERCISES.values():
    BY_CHAPTER.setdefault(entry.chapter, []).append(entry.id)
IDS = [(stem, id) for stem, ids in sorted(BY_CHAPTER.items()) for id in ids]


def page(stem):
    return (ROOT / "book" / f"{stem}.md").read_text(encoding="utf-8")


def code_cells(stem):
    notebook = json.loads((ROOT / "notebooks" / f"{stem}.ipynb").read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(code, stem, checked):
    """Run an answer's code as a notebook would; `dlp.check` hands over to `checked`.

    The exported cells are executed anew, not imported: in a reader's notebook, too, `Value` is a class of its own
    and not the one that the check module has imported.
    """

    class Dlp:
        check = staticmethod(checked)

    source = (ROOT / "dlp_utils" / "models" / f"{stem}.py").read_text(encoding="utf-8")
    names = {"__name__": f"notebook_{stem}", "np": np, "torch": torch}
    sys.modules[names["__name__"]] = types.ModuleType(names["__name__"])  # dataclasses look their module up
    exec(compile(source, f"<{stem} exported>", "exec"), names)
    names["dlp"] = Dlp  # the exported cells may import the real one
    exec(compile(code, f"<{stem}>", "exec"), names)
    return names


def stub_of(stem, id):
    """(cell source, name of the answer) of the notebook cell that checks this id."""
    for cell in code_cells(stem):
        for node in ast.walk(ast.parse(re.sub(r"^\s*%.*$", "", cell, flags=re.M))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "dlp.check":
                continue
            if ast.literal_eval(node.args[0]) == id:
                return cell, ast.unparse(node.args[1])
    raise AssertionError(f"notebooks/{stem}.ipynb never calls dlp.check({id!r}, …)")


def solution_of(stem, id):
    """The Python code in the page's solution to ex-<id>."""
    for _, label, body in SOLUTION.findall(page(stem)):
        if label == id:
            found = CODE.search(body)
            assert found, f"the solution of ex-{id} in book/{stem}.md has no Python code"
            return found[1]
    raise AssertionError(f"book/{stem}.md has no solution to ex-{id}")


def in_width(value, single):
    """`value` with all floating-point arrays and tensors in it in single or double precision."""
    if isinstance(value, (tuple, list)):
        return type(value)(in_width(part, single) for part in value)
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.float() if single else value.double()
    if isinstance(value, (np.ndarray, np.floating)) and value.dtype.kind == "f":
        return value.astype(np.float32 if single else np.float64)
    return value


def as_view(value):
    """`value` with all arrays and tensors in it as views that are not contiguous."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(as_view, value))
    if isinstance(value, torch.Tensor):
        return torch.stack([value, value], dim=-1)[..., 0]
    if isinstance(value, np.ndarray):
        return np.stack([value, value], axis=-1)[..., 0]
    return value


def spoil(value):
    """Change every array, tensor and list of names in `value` in place; tell whether there was one."""
    if isinstance(value, dict):
        return any([spoil(part) for part in value.values()])
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        value.clear()
        return True
    if isinstance(value, (tuple, list)):
        return any([spoil(part) for part in value])
    if isinstance(value, np.ndarray) and value.size:
        value[...] = ~value if value.dtype == bool else value + 1
        return True
    if isinstance(value, torch.Tensor) and value.numel():
        value.data[...] = ~value if value.dtype == torch.bool else value + 1
        return True
    return False


def narrowed(answer):
    return lambda *args: answer(*in_width(args, single=True))


FORMS = {
    "single": lambda answer: lambda *args: in_width(answer(*args), single=True),
    "double": lambda answer: lambda *args: in_width(answer(*args), single=False),
    "view": lambda answer: lambda *args: as_view(answer(*args)),
    "narrowed": narrowed,
}


def tables_of(stem):
    path = ROOT / "tests" / "exercises" / f"test_{stem}.py"
    assert path.is_file(), f"chapter {stem} has exercises, but there is no tests/exercises/{path.name}"
    spec = importlib.util.spec_from_file_location(f"wrong_{stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wrong_answers(stem):
    return tables_of(stem).WRONG


def right_answers(stem):
    return getattr(tables_of(stem), "RIGHT", {})


@pytest.mark.parametrize(("stem", "id"), IDS)
def test_stub_is_not_attempted(stem, id):
    judged = []
    run(stub_of(stem, id)[0], stem, lambda id, answer: judged.append(exercises.judge(id, answer)))
    assert [result.status for result in judged] == ["not attempted"]


@pytest.mark.parametrize(("stem", "id"), IDS)
def test_solution_of_the_page_passes(stem, id):
    name = stub_of(stem, id)[1]
    result = exercises.judge(id, run(solution_of(stem, id), stem, None)[name])
    assert result.status == "passed", str(result)


@pytest.mark.parametrize(("stem", "id"), IDS)
def test_solution_in_other_forms(stem, id):
    answer = run(solution_of(stem, id), stem, None)[stub_of(stem, id)[1]]
    if not isinstance(answer, types.FunctionType):
        return
    for form, change in FORMS.items():
        result = exercises.judge(id, functools.wraps(answer)(change(answer)))
        assert result.status == "passed", f"{form}: {result}"
    spoiled = []

    def in_place(*args):
        result = answer(*args)
        spoiled.append(spoil(args))
        return result

    result = exercises.judge(id, functools.wraps(answer)(in_place))
    if any(spoiled):
        assert result.status == "failed" and "in place" in result.message, str(result)


@pytest.mark.parametrize(("stem", "id"), IDS)
def test_right_answers_in_another_form_pass(stem, id):
    for number, answer in enumerate(right_answers(stem).get(id, [])):
        result = exercises.judge(id, answer)
        assert result.status == "passed", f"RIGHT[{id!r}][{number}]: {result}"


@pytest.mark.parametrize(("stem", "id"), IDS)
def test_wrong_answers_fail_with_their_hint(stem, id):
    answers = wrong_answers(stem).get(id, [])
    assert len(answers) >= 2, f"{id} needs at least two wrong answers in its tests"
    for answer, hint in answers:
        result = exercises.judge(id, answer)
        assert result.status == "failed", f"{id} lets a wrong answer pass"
        assert hint in result.hint, f"{id}: expected a hint with {hint!r}, got {str(result)!r}"


@pytest.mark.parametrize("stem", sorted(BY_CHAPTER))
def test_page_states_and_solves_every_exercise(stem):
    stated, solved = EXERCISE.findall(page(stem)), [label for _, label, _ in SOLUTION.findall(page(stem))]
    assert set(BY_CHAPTER[stem]) <= set(stated)
    assert sorted(stated) == sorted(solved)
    assert len(stated) == len(set(stated))


@pytest.mark.parametrize("stem", sorted(BY_CHAPTER))
def test_no_wrong_answers_for_unknown_exercises(stem):
    assert set(wrong_answers(stem)) | set(right_answers(stem)) <= set(BY_CHAPTER[stem])


def test_every_chapter_with_checks_has_a_module():
    assert BY_CHAPTER
    for stem in BY_CHAPTER:
        assert importlib.util.find_spec(f"{dlp_utils.models.__name__}.{stem}")
