"""What nbval leaves unsaid: a cell that writes to stderr fails, marked or not.

So does a cell of zoo or exercises that gives a name of the lesson another
value: tools/lesson.py, loaded into the kernel, compares them. After the last
cell the lesson's own cells must run again: at the smoke profile all of them,
else those that are exported, the models; trainings would take as long again.

A cell's time is limited by nbval (--nbval-cell-timeout in the Makefile), not
by pytest: its limit in pyproject.toml is for unit tests, and on a slow machine
it would end a training that is well.

At the smoke profile cells are run and their outputs not compared: the stored
ones come from the cpu profile.
"""

import ast
import os
import sys
import tempfile
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"
sys.path.insert(0, str(TOOLS))
import lesson  # noqa: E402


def pytest_configure(config):
    # A solved exercise must not turn "not attempted yet" into something else.
    folder = tempfile.mkdtemp(prefix="dlp-progress-")
    os.environ["DLP_PROGRESS"] = os.path.join(folder, "progress.json")


def pytest_collection_modifyitems(items):
    for item in items:
        if type(item).__module__.startswith("nbval"):
            item.add_marker(pytest.mark.timeout(0))
    if (
        os.environ.get("DLP_PROFILE") == "smoke"
    ):  # stored outputs come from the cpu profile: run, do not compare
        for item in items:
            if "check" in getattr(item, "options", {}):
                item.options["check"] = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    changed = after_the_lesson(item)
    if changed and item.parent.watched != item.cell_num - 1:
        changed()
    outcome = yield
    for output in getattr(item, "test_outputs", None) or ():
        if (
            output.get("output_type") == "stream"
            and output.get("name") == "stderr"
        ):
            pytest.fail(
                f"{item.name} wrote to stderr: {output['text'][:500]}",
                pytrace=False,
            )
    if changed:
        names = changed()
        item.parent.watched = item.cell_num
        if names:
            pytest.fail(
                f"{item.name}, of zoo or exercises, changes what the lesson "
                f"uses, so that it cannot be run again: {', '.join(names)}",
                pytrace=False,
            )
    if hasattr(item, "cell_num") and (broken := again(item)):
        pytest.fail(
            "after the last cell these of the lesson do not run again: "
            + "; ".join(broken),
            pytrace=False,
        )
    return outcome


def again(item):
    """After a notebook's last cell: those of the lesson that fail now."""
    notebook = item.parent
    cells = notebook.nb.cells
    code = [i for i, cell in enumerate(cells) if cell.cell_type == "code"]
    if item.cell_num != len(code) - 1:
        return []
    smoke = os.environ.get("DLP_PROFILE") == "smoke"
    own, _ = lesson.lesson_and_rest(cells)
    broken = []
    for number in map(code.index, own):
        source = cells[code[number]].source
        wanted = smoke or source.startswith("#| export")
        if number == 0 or "# @title" in source or not wanted:
            continue  # set-up, pictures and claims
        sent = notebook.kernel.execute_cell_input(source, allow_stdin=False)
        while True:
            reply = notebook.kernel.get_message("shell", timeout=1800)
            if reply["parent_header"].get("msg_id") == sent:
                break
        content = reply["content"]
        if content["status"] != "ok":
            error = f"{content.get('ename')}: {content.get('evalue')}"[:200]
            broken.append(f"Cell {number}, {error}")
    return broken


def after_the_lesson(item):
    """For a cell of zoo or exercises, a function that asks what changed."""
    if not hasattr(item, "cell_num"):
        return None
    notebook = item.parent
    if not hasattr(notebook, "rest"):
        cells = notebook.nb.cells
        code = [i for i, c in enumerate(cells) if c.cell_type == "code"]
        own, rest = lesson.lesson_and_rest(cells)
        notebook.rest = {code.index(i) for i in rest}
        used = (lesson.used_names(cells[i].source) for i in own)
        notebook.names, notebook.watched = sorted(set().union(*used)), None
    if item.cell_num not in notebook.rest:
        return None
    there = "__import__('sys').modules"
    if notebook.watched is None:
        source, name = str(TOOLS / "lesson.py"), "_dlp_lesson"
        module = f"__import__('types').ModuleType({name!r})"
        read = f"open({source!r}, encoding='utf-8').read()"
        place = f"{there}.setdefault({name!r}, {module}).__dict__"
        ask(
            notebook.kernel,
            f"exec(compile({read}, {source!r}, 'exec'), {place})",
        )
        watch = f"{there}[{name!r}].Watch({notebook.names!r}, globals())"
        ask(notebook.kernel, f"setattr({there}[{name!r}], 'watch', {watch})")
        notebook.watched = -2
    question = f"{there}['_dlp_lesson'].watch.changed()"
    return lambda: ask(notebook.kernel, question)


def ask(kernel, expression):
    """The value of an expression in the kernel, whose cells see nothing."""
    sent = kernel.kc.execute(
        "", silent=True, user_expressions={"answer": expression}
    )
    while True:
        reply = kernel.get_message("shell", timeout=600)
        if reply["parent_header"].get("msg_id") == sent:
            break
    kernel.await_idle(sent, 60)
    answer = reply["content"]["user_expressions"]["answer"]
    if answer["status"] != "ok":
        raise RuntimeError(f"{expression[:80]}: {answer.get('evalue')}")
    return ast.literal_eval(answer["data"]["text/plain"])
