"""The package as a whole: what the wheel holds, what importing costs, what is public."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("train", "convert", "edge_runtime", "benchmarks")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names inside a wheel built from this tree."""
    pytest.importorskip("build", reason="needs the dev extra")
    pytest.importorskip("setuptools", reason="needs setuptools beside build")
    out, copy = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("copy") / "tree"
    ignore = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "runs", "tests")
    shutil.copytree(ROOT, copy, ignore=ignore)  # a build folder beside the tree would bring back deleted modules
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


@pytest.mark.tree
def test_the_wheel_holds_every_module_of_the_tree(wheel: set[str]) -> None:
    wanted = {
        f"edge_emotion/{path.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix == ".py" or path.name == "py.typed" or path.parent == ROOT / "edge_runtime" / "models"
    }
    assert wanted
    assert wanted - wheel == set()
    assert not any(name.endswith(".keras") for name in wheel), "the sources of the weights stay in the repository"


@pytest.mark.tree
def test_the_wheel_adds_no_generic_top_level_name(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"edge_emotion"}


@pytest.mark.tree
def test_every_sub_package_is_listed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        "edge_emotion." + path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert found == listed


@pytest.mark.tree
def test_edge_runtime_imports_none_of_the_others() -> None:
    for path in (ROOT / "edge_runtime").rglob("*.py"):
        text = path.read_text()
        for other in ("train", "convert", "benchmarks"):
            assert f"from ..{other}" not in text, path
            assert f"from edge_emotion.{other}" not in text, path
            assert f"import edge_emotion.{other}" not in text, path


def test_importing_the_library_loads_no_heavy_package() -> None:
    program = (
        "import sys; import edge_emotion.edge_runtime\n"
        "heavy = {'tensorflow', 'keras', 'torch', 'jax', 'matplotlib', 'ai_edge_litert', 'tflite_runtime', 'typer'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.tree
def test_the_command_line_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_cli", ROOT / "docs" / "make_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "cli.md").read_text() == module.page(), "run python docs/make_cli.py"
    assert "| `--seed` | Seed of the calibration sample. | `0` |" in module.page()
    assert "| `--pin, --no-pin` |" in module.page()


@pytest.mark.tree
def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
