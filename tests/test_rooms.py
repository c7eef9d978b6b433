"""Imports go one way: a room imports only from above it in the table of docs/architecture.md."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = {package: sorted((ROOT / package).rglob("*.py")) for package in ("msgpass", "hmm", "rnn")}


def rooms():
    """Rooms of the table, each with its row."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = text.split("| room |")[1].split("\n\n")[0].splitlines()[2:]
    return {
        room: k for k, row in enumerate(rows) for room in re.findall(r"`(\w+)(?:\.py|/)`", row.split("|")[1])
    }


def room_of(path):
    """ "kernels" of msgpass/kernels/simd.py."""
    return path.relative_to(ROOT).parts[1].removesuffix(".py")


def imports(path, *, everywhere=False):
    """Modules that a file imports when it is loaded, or anywhere in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_the_table_is_complete():
    assert set(rooms()) == {room_of(path) for path in FILES["msgpass"]} - {"__init__"}


def test_rooms_import_from_above():
    order, wrong = rooms(), []
    for path in FILES["msgpass"]:
        own = room_of(path)
        for module in imports(path):
            package, _, rest = module.partition(".")
            room = rest.split(".")[0]
            if own in order and package == "msgpass" and order.get(room, -1) > order[own]:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong, wrong


def test_packages_do_not_know_each_other():
    for package, others in {"msgpass": ("hmm", "rnn"), "hmm": ("rnn",), "rnn": ("hmm",)}.items():
        for path in FILES[package]:
            found = [m for m in imports(path, everywhere=True) if m.split(".")[0] in others]
            assert not found, f"{path.relative_to(ROOT)} imports {found}"
