"""What of the template goes, and what is changed, in a new project with a table or without one."""

import re
from pathlib import Path

TEXTS = Path(__file__).with_name("new_project")  # files that replace the template's
TABLE = TEXTS / "table"  # those of a project with a table
COMPONENTS = (
    *("data_extraction", "eda", "basic_cleaning", "data_check", "data_split"),
    *("train_random_forest", "train_gradient_boosting", "evaluation"),
    *("batch_scoring", "monitoring", "infer_contract"),
)
# Files of the example. They are listed one by one, because the folders may also hold your files
GONE = (TEXTS / "gone.txt").read_text("utf-8").splitlines()
# Of these, what a project with a table keeps: the components, and what cleaning looks for rules in
KEPT = re.compile(rf"src/({'|'.join(COMPONENTS)})/|search/|src/_utils/example/__init__\.py")
CONFIGS = ("config.yaml", "MLproject")
# Keys to remove from both in an empty project, with everything below them
KEYS = {
    *(f"components.{name}" for name in COMPONENTS),
    *(f"main.execute_steps.{name}" for name in COMPONENTS),
    *("main.aliases.download", "main.aliases.train_model"),
    *("data", "cleaning", "checks", "split", "modeling", "scoring", "monitoring"),
    *(f"deployment.{key}" for key in ("model", "metric", "direction", "min_improvement", "limits")),
    "entry_points.new_project",
}
# The same for a project with a table, which has no new data yet
KEYS_WITH_TABLE = {
    *("main.execute_steps.batch_scoring", "main.execute_steps.monitoring"),
    "entry_points.new_project",
}
# Other texts about the example: file, pattern, and replacement
EDITS = (
    ("MLproject", r"(?<=^name: ).*", "{name}"),
    ("config.yaml", r"(?<=  project_name: ).*", "{name}"),
    ("config.yaml", r"(?<=  registered_model: )\w+", "{name}"),
    ("environment.yml", "base_project_env", "{name}_env"),
    (".github/workflows/tests.yml", "base_project_env", "{name}_env"),
    ("Makefile", r" benchmark(?= )", ""),
    ("tasks.py", r'    "benchmark": \[\n(        .*\n)+    \],\n', ""),
    ("pyproject.toml", r'"benchmarks/.*\n', ""),
    ("cookie-mlflow-step/templates/script", r"; src/\S+ is an example", ""),
    ("cookie-mlflow-step/local_extensions.py", r"; src/\S+ is an example", ""),
    ("MLpipeline.md", r"\A(.*)\n", r"\1\n\nThe examples on this page are those of the template.\n"),
)
EDITS_WITHOUT_TABLE = (
    ("config.yaml", r"(?<=    metric: ).*", "null"),
    ("config.yaml", r": here .*\n  retrain:\n(    - .*\n)+", "\n  retrain:\n"),
    ("pyproject.toml", r'"src/data_check/.*\n', ""),
    ("src/_utils/models/registry.py", r"\[evaluation\]", "[<component>]"),
    *(
        (f"schedules/{name}", r" -P steps=[\w,]+ -P hydra_options=main\.on_alarm=retrain", "")
        for name in (
            *("crontab", "github-actions.yml", "kubernetes-cronjob.yaml", "pipeline.service"),
            "schtasks.cmd",
        )
    ),
)
EDITS_WITH_TABLE = (
    ("config.yaml", r"columns\.comb_mpg\b", "columns.<column>"),
    ("config.yaml", r"models:/fuel_economy\b", "models:/{name}"),
    ("config.yaml", r"; mae is in the\s+# unit of the target, miles per gallon", ""),
    ("search/random_forest.yaml", "the car line's name", "each text"),
    ("src/_utils/example/__init__.py", "from _utils.example import fuel_economy\n", ""),
    ("src/_utils/example/__init__.py", '{"fuel_economy": fuel_economy}', "{}"),
    (
        "src/_utils/example/__init__.py",
        r"What is special to the example's data:",
        "What is special to this project's data:",
    ),
)
