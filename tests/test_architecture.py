"""Rules of the house that import-linter cannot hold: about main.py, run.py, notebooks and sizes."""

import ast
import json
import re

from documents import ROOT

SRC, UTILS = ROOT / "src", ROOT / "src/_utils"
# Parts that can be deleted: nothing imports them but by name, through capabilities.py
CAPABILITY = re.compile(
    r"_utils\.(sweeps|backends|models\.serving|artifacts\.stores\.(wandb|reference)|tabular\.from_database)"
)
# What MLflow, Hydra, joblib and scikit-learn document; all else of theirs is for internals.py
PUBLIC = re.compile(
    r"mlflow(\.(artifacts|entities(\.model_registry)?|environment_variables|exceptions|models"
    r"|projects|pyfunc|sklearn|types))?|joblib|sklearn(\.[a-z]\w*)*"
    r"|hydra(\.(core\.(hydra_config|global_hydra)|errors|experimental\.callback|types|utils))?"
)


def imports_of(path):
    """The modules that a file or a notebook imports, and the names that it takes from them."""
    code = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(code)["cells"] if cell["cell_type"] == "code"]
        code = "\n".join("".join(cell["source"]) for cell in cells)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def forbidden(paths, rule):
    """The imports in these files that break a rule."""
    pairs = [(path, name) for path in paths for name in imports_of(path)]
    return [f"{path.relative_to(ROOT)}: {name}" for path, name in pairs if rule(name)]


def test_components_import_neither_the_pipeline_nor_each_other():
    files = [*SRC.glob("[!_]*/*.py"), *SRC.glob("[!_]*/*.ipynb"), *ROOT.glob("notebooks/*/*.ipynb")]
    names = "|".join(path.name for path in SRC.glob("[!_]*"))
    rule = re.compile(rf"(main|_utils\.(pipeline|sweeps|backends)|(src\.)?({names}))\b").match
    assert not forbidden(files, rule)


def test_parts_that_can_be_deleted_are_reached_by_name():
    def module(path):
        return ".".join(path.relative_to(SRC).with_suffix("").parts)

    files = [path for path in UTILS.rglob("*.py") if not CAPABILITY.match(module(path))]
    assert not forbidden([*files, ROOT / "main.py"], CAPABILITY.match)


def test_only_internals_uses_what_packages_do_not_document():
    def is_hidden(name):
        if not name.startswith(("mlflow", "hydra", "joblib", "sklearn")):
            return False
        module, _, attribute = name.rpartition(".")
        return attribute.startswith("_") or not PUBLIC.fullmatch(module or name)

    files = [ROOT / "main.py", *UTILS.rglob("*.py"), *SRC.glob("[!_]*/*.py")]
    assert not forbidden({*files} - {UTILS / "internals.py"}, is_hidden)


def test_only_internals_uses_attributes_that_others_hide():
    """Of modules and objects of other packages; a class may use its own, and os._exit is public."""

    def hidden(path):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
                owner = ast.unparse(node.value)
                if owner not in ("self", "cls", "os"):
                    yield f"{path.relative_to(ROOT)}: {owner}.{node.attr}"

    files = {ROOT / "main.py", *UTILS.rglob("*.py"), *SRC.glob("[!_]*/*.py")}
    found = [each for path in files - {UTILS / "internals.py"} for each in hidden(path)]
    assert not found
