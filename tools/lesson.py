"""Whether zoo and exercises leave a lesson as it was, so that its cells can be run again in any order.

notebooks/conftest.py loads this file into the kernel of each notebook that nbval runs, and asks after each cell of zoo
or exercises which names of the lesson have another value now. The upper half reads cells and runs outside.
"""

import ast
import re
import symtable
import sys
import types
import zlib


def without_magic(source):
    return re.sub(r"^(\s*)%.*$", r"\1pass", source, flags=re.M)


def parsed(source):
    """A cell's syntax tree, without its lines of `%` magic."""
    return ast.parse(without_magic(source))


def bound_names(source, imports=True):
    """Names that a cell binds at its top level: assigned, defined, imported, of loops and of `with`."""
    names, todo = set(), [parsed(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.alias) and imports:
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif not isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            todo += ast.iter_child_nodes(node)
    return names - {"_"}


class Anonymous(ast.NodeTransformer):
    """Calls the variables of comprehensions `_`: from Python 3.12 on they stand in the table of the scope around."""

    def visit_ListComp(self, node):
        first = node.generators[0]
        outside, first.iter = first.iter, ast.Constant(0)  # what it runs over is looked up outside
        own = {
            name.id
            for generator in node.generators
            for name in ast.walk(generator.target)
            if isinstance(name, ast.Name)
        }
        for name in ast.walk(node):
            if isinstance(name, ast.Name) and name.id in own:
                name.id = "_"
        first.iter = outside
        return self.generic_visit(node)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp


def used_names(source):
    """Names outside of functions that a cell binds or reads: `sum` is one, and a zoo that binds it would break the cell."""
    tree = ast.unparse(Anonymous().visit(parsed(source)))
    names, tables = set(), [symtable.symtable(tree, "cell", "exec")]
    top = tables[0]
    while tables:
        table = tables.pop()
        names |= {symbol.get_name() for symbol in table.get_symbols() if table is top or symbol.is_global()}
        tables += table.get_children()
    return names - {"_"}


def lesson_and_rest(cells):
    """Indices of the code cells of the lesson, and of those of zoo and exercises (and of what comes after)."""
    lesson, rest, over = [], [], False
    for i, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            over = over or re.search(r"^## (?:The bug zoo|Exercises)\b", source, re.M) is not None
        elif source.startswith("#| export") or not (over or "dlp.check(" in source):
            lesson.append(i)
        else:
            rest.append(i)
    return lesson, rest


class Watch:
    """Remembers what names stand for in a namespace, and the settings that all cells share."""

    def __init__(self, names, space):
        self.names, self.space, self.state, self.known = sorted(names), space, {}, {}

    def changed(self):
        """Return what has another value than at the last call, and remember the new values."""
        before, self.state = self.state, settings()
        for name in self.names:
            digest = _Digest(self.known)
            digest.add(self.space.get(name, "no such name"))
            self.state[name] = digest.crc
        return sorted(name for name in before if before[name] != self.state.get(name))


def settings():
    """What a cell can set for all others, by the name under which it is set."""
    found, loaded = {}, sys.modules
    if "torch" in loaded:
        torch = loaded["torch"]
        found["torch.set_default_dtype"] = torch.get_default_dtype()
        found["torch.set_default_device"] = str(torch.get_default_device())
        found["torch.set_grad_enabled"] = torch.is_grad_enabled()
        found["torch.use_deterministic_algorithms"] = torch.are_deterministic_algorithms_enabled()
        found["torch.set_printoptions"] = repr(torch._tensor_str.PRINT_OPTS)
    if "numpy" in loaded:
        found["np.seterr"] = loaded["numpy"].geterr()
        found["np.set_printoptions"] = repr(loaded["numpy"].get_printoptions())
    if "matplotlib" in loaded:
        found["plt.rcParams"] = repr(dict.items(loaded["matplotlib"].rcParams))
    return found


PLAIN = (str, bytes, int, float, complex, bool, type(None), type(...), range, slice)
OWN = ("__main__", "dlp_utils")  # whose objects are looked into; of a library's only those that hold numbers


class _Digest:
    """A checksum over all that a value holds. Random number generators do not count: the lesson draws from them, too."""

    def __init__(self, known):
        self.crc, self.seen, self.known = 0, {}, known
        self.kept = []  # what was seen stays: an id that is free again would be taken for the same value

    def feed(self, *parts):
        for part in parts:
            self.crc = zlib.crc32(part if isinstance(part, memoryview) else repr(part).encode(), self.crc)

    def add(self, value):
        kind = type(value)
        if isinstance(value, PLAIN):
            return self.feed(kind.__name__, value)
        if id(value) in self.seen:
            return self.feed("again", self.seen[id(value)])
        self.seen[id(value)] = len(self.seen)
        self.kept.append(value)
        self.feed(kind.__module__, kind.__qualname__)
        if isinstance(value, dict):
            self.all(part for pair in value.items() for part in pair)
        elif isinstance(value, (list, tuple)) or kind.__name__ == "deque":
            self.all(value)
        elif isinstance(value, (set, frozenset)):
            self.feed(sorted(map(repr, value)))
        elif isinstance(value, types.ModuleType):
            self.module(value)
        elif isinstance(value, types.FunctionType):
            self.feed(hash(value.__code__))
            cells = [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
            self.all([value.__defaults__, value.__kwdefaults__, cells, vars(value)])
        elif isinstance(value, type):
            if value.__module__.partition(".")[0] in OWN:
                self.all(
                    part for name, part in vars(value).items() if not name.startswith("__") or callable(part)
                )
        elif not self.numbers(value) and self.looked_into(kind):
            self.all(part for pair in getattr(value, "__dict__", {}).items() for part in pair)
        return None

    def all(self, values):
        for value in values:
            self.add(value)

    def module(self, module):
        """Functions and classes of a module, those that were there when it was seen first."""
        here = vars(module)
        for name in self.known.setdefault(module.__name__, [name for name in here if callable(here[name])]):
            self.feed(name, id(here.get(name)))

    def looked_into(self, kind):
        names = {(base.__module__.partition(".")[0], base.__name__) for base in kind.__mro__}
        holders = {
            ("torch", "Module"),
            ("torch", "Optimizer"),
            ("torch", "Dataset"),
            ("sklearn", "BaseEstimator"),
        }
        return bool(names & holders) or any(module in OWN for module, _ in names)

    def numbers(self, value):
        """Take in tensors, arrays and tables; return whether it was one."""
        torch, numpy, pandas = (sys.modules.get(name) for name in ("torch", "numpy", "pandas"))
        if pandas and isinstance(value, (pandas.DataFrame, pandas.Series, pandas.Index)):
            labels = value.axes if isinstance(value, (pandas.DataFrame, pandas.Series)) else ()
            self.all([value.to_numpy(), *(label.to_numpy() for label in labels)])
        elif torch and isinstance(value, torch.Tensor):
            self.feed(value.dtype, tuple(value.shape), value.device.type, value.requires_grad)
            if value.is_leaf and value.grad is not None:
                self.add(value.grad)
            if value.layout is torch.strided and value.device.type != "meta" and value.numel():
                flat = value.detach().cpu().contiguous().reshape(-1)
                self.feed(memoryview(flat.view(torch.uint8).numpy()))
        elif numpy and isinstance(value, numpy.ndarray) and value.dtype != object:
            self.feed(value.dtype, value.shape)
            if value.size:
                self.feed(memoryview(numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8)))
        elif numpy and isinstance(value, numpy.ndarray):
            self.all(value.ravel().tolist())
        elif numpy and isinstance(value, numpy.generic):
            self.feed(value)
        else:
            return False
        return True


def _filled(cell):
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
