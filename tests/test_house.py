"""The rules of the house: the order of the rooms, their size, verbs under one name, and nothing that executes data."""

import ast
from functools import cache
from pathlib import Path

import pytest

import groundup
from groundup import verbs

SOURCE = Path(groundup.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
# a room imports only rooms above it
ROOMS = [
    {"errors", "events", "seeds", "cores"},
    *({room} for room in ("config", "runs", "documents", "corpus", "model", "parallel", "evaluation", "inference")),
    *({room} for room in ("training", "planning", "insight", "benchmarking", "reporting", "export", "serving")),
    *({room} for room in ("studio", "verbs", "cli", "__main__")),
]
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}
LINES = 350
EXECUTE_DATA = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Every room that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("groundup.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            if node.module == "groundup":
                found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
            elif node.module and node.module.startswith("groundup."):
                found.add(node.module.split(".")[1])
    return found


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(SOURCE).as_posix() for path in paths]


ROOM_FILES = [path for path in FILES if path.parent != SOURCE or path.name != "__init__.py"]


def test_the_rules_see_the_house() -> None:
    assert len(ROOM_FILES) > 80
    assert imported_rooms(SOURCE / "training" / "job.py") >= {"config", "corpus", "runs", "model", "training"}
    assert imported_rooms(SOURCE / "cli" / "making.py") >= {"verbs", "cli"}  # inside functions too


@pytest.mark.parametrize("path", ROOM_FILES, ids=names(ROOM_FILES))
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    room = room_of(path)
    assert room in RANK, f"{room} has no place in the house"
    below = {other for other in imported_rooms(path) if other != room and RANK.get(other, 99) >= RANK[room]}
    assert not below, f"{room} imports {below}"


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_a_file_is_short_says_what_it_is_for_and_executes_no_data(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES
    assert ast.get_docstring(tree(path)), "no docstring"
    for node in ast.walk(tree(path)):
        here = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            assert not EXECUTE_DATA & {alias.name.split(".")[0] for alias in node.names}, here
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.split(".")[0] not in EXECUTE_DATA, here
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                assert node.func.id not in ("exec", "eval", "compile", "__import__"), here
            assert ast.unparse(node.func) not in ("torch.load", "torch.save", "yaml.load"), here
            assert not any(
                keyword.arg in ("allow_pickle", "trust_remote_code", "shell") and ast.unparse(keyword.value) != "False"
                for keyword in node.keywords
            ), here


def test_verbs_have_one_name_in_the_library_and_on_the_command_line() -> None:
    commands = set()
    for path in (SOURCE / "cli").glob("*.py"):
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef) and "app.command" in map(ast.unparse, node.decorator_list):
                commands.add(node.name)
            elif isinstance(node, ast.Expr) and ast.unparse(node.value).startswith("app.command("):
                commands.add(ast.unparse(node.value)[len("app.command(") : -1])  # a verb with commands of its own
    assert commands == set(groundup.__all__) == set(verbs.__all__)
    for name in groundup.__all__:
        assert getattr(groundup, name) is getattr(verbs, name)
        assert callable(getattr(groundup, name))
        assert getattr(groundup, name).__doc__
