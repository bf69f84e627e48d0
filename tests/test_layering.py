"""The direction of imports: a lower layer never imports a higher one."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "nengo_jax"
SOURCE = Path(__file__).resolve().parents[1] / "src" / PACKAGE
FILES = sorted(SOURCE.rglob("*.py"))

# A unit is a module or a package right below nengo_jax. Its layer is the number of
# layers that it may rest on; units of one layer may import each other.
LAYERS = {
    6: {"cli", "convert", "energy", "layers", "live", "nir", "optimizers", "plants"},
    5: {"simulator"},
    4: {
        "callbacks",
        "checks",
        "data",
        "engine",
        "feeder",
        "forward",
        "functional",
        "hosted",
        "losses",
        "model",
        "names",
        "params",
        "signals",
        "trainable",
    },
    3: {"compiler"},
    2: {"dists", "families", "neurons", "nodes", "options", "transforms"},
    1: {"runtime", "surrogates"},
    0: {"core", "version"},
}
LAYER_OF = {unit: layer for layer, units in LAYERS.items() for unit in units}

# The large libraries, and the units that do without some of them. Runtime knowing
# neither nengo nor Keras is the test of the design: JAX alone runs a program.
LIBRARIES = {"jax", "keras", "nengo"}
ALLOWED = {
    "core": set(),
    "version": set(),
    "runtime": {"jax"},
    "surrogates": {"jax"},
    "families": {"jax", "nengo"},
    "compiler": {"nengo"},
}
EXCEPTIONS = {("families/keras_layer.py", "keras")}  # for Keras layers in a node


def unit_of(path: Path) -> str:
    """Return the unit that a file belongs to; "" for the package's own __init__."""
    first = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported_names(tree: ast.AST, path: Path) -> set[str]:
    """Return the full names of all that a file imports, anywhere in it."""
    package = [PACKAGE, *path.relative_to(SOURCE).parent.parts]
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = [*base, node.module] if node.module else base
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names


def read_imports(path: Path) -> set[str]:
    return imported_names(ast.parse(path.read_text(encoding="utf-8")), path)


def imported_units(path: Path) -> set[str]:
    """Return the units that a file imports; "" for the package itself."""
    own = [name.split(".") for name in read_imports(path)]
    units = {parts[1] if len(parts) > 1 else "" for parts in own if parts[0] == PACKAGE}
    return {unit if unit in LAYER_OF else "" for unit in units}


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("core.py", "import nengo.builder", "nengo.builder"),
        (
            "core.py",
            "from .simulator import Simulator",
            "nengo_jax.simulator.Simulator",
        ),
        ("runtime/step.py", "from ..core import Role", "nengo_jax.core.Role"),
        ("runtime/step.py", "from .. import core", "nengo_jax.core"),
        ("runtime/__init__.py", "from . import step", "nengo_jax.runtime.step"),
        ("families/neurons/lif.py", "from ...core import Run", "nengo_jax.core.Run"),
        ("core.py", "def f():\n    from nengo_jax import engine", "nengo_jax.engine"),
    ],
)
def test_imports_are_found(file, text, expected):
    assert imported_names(ast.parse(text), SOURCE / file) == {expected}


def test_every_unit_has_a_layer():
    units = {unit_of(path) for path in FILES} - {""}
    assert units >= {"core", "runtime", "families", "compiler", "simulator"}
    assert units <= set(LAYER_OF), "Give new modules and packages a place in LAYERS"
    assert sum(len(units) for units in LAYERS.values()) == len(LAYER_OF)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_import_from_a_higher_layer(path):
    unit = unit_of(path)
    if unit == "":
        return  # the package itself only hands out public names
    imported = imported_units(path)
    assert "" not in imported, "Import from the module that defines it"
    higher = {other for other in imported if LAYER_OF[other] > LAYER_OF[unit]}
    assert not higher, f"{unit} is in layer {LAYER_OF[unit]}"


def test_units_do_not_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {}
    for path in FILES:
        unit = unit_of(path)
        graph.setdefault(unit, set()).update(imported_units(path) - {unit, ""})
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_libraries_of_each_layer(path):
    unit = unit_of(path)
    used = {name.split(".")[0] for name in read_imports(path)} & LIBRARIES
    forbidden = used - ALLOWED.get(unit, LIBRARIES)
    assert not {(relative(path), library) for library in forbidden} - EXCEPTIONS


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_only_declared_dependencies(path):
    roots = {name.split(".")[0] for name in read_imports(path)}
    declared = LIBRARIES | {PACKAGE, "numpy", "safetensors", "scipy"}
    if unit_of(path) == "cli":
        declared |= {"matplotlib", "sklearn"}  # the extra [demo]
    if unit_of(path) == "callbacks":
        declared |= {"matplotlib", "tensorboard"}  # the extra [tensorboard]
    if unit_of(path) == "convert":
        declared |= {"matplotlib"}  # the extra [demo]
    if unit_of(path) == "live":
        declared |= {"h5py"}  # the extra of the same name
    if unit_of(path) == "nir":
        declared |= {"nir"}  # the extra of the same name
    if unit_of(path) == "plants":
        declared |= {"gymnasium", "matplotlib", "mujoco"}  # the extra [control]
    assert roots <= declared | sys.stdlib_module_names
