"""Compare batch_scoring with a bare loop over the same model's `predict`: time and memory.

python benchmarks/batch.py [rows]

The input repeats the sample data of 2021, as one Parquet file. The model is a small forest of 10
trees, so that prediction does not hide the rest. Both are measured as whole processes. The bare
loop reads a chunk, predicts, and writes the chunk with its predictions, without checks or versions.
The script prints wall seconds, CPU seconds and peak memory of each, then the ratios of throughput
(use CPU seconds on a busy machine). Goals: a ratio of at least 0.8, and under 2 GB for 5 million
rows.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from reuse import ROOT, copy_repository

ROWS = 5_000_000
BARE = """
import sys
import mlflow
import pyarrow as pa
import pyarrow.parquet as pq

source, target, model = sys.argv[1:]
model = mlflow.sklearn.load_model(model)
writer = None
for batch in pq.ParquetFile(source).iter_batches(50_000):
    frame = batch.to_pandas()
    frame["prediction"] = model.predict(frame[model.feature_names_in_])
    table = pa.Table.from_pandas(frame, schema=writer and writer.schema, preserve_index=False)
    writer = writer or pq.ParquetWriter(target, table.schema)
    writer.write_table(table)
writer.close()
"""
PARAMETERS = {
    "input_artifact": "",
    "predictions_artifact": "predictions.parquet",
    "rejected_artifact": "rejected.parquet",
    "unknown_codes": '["??"]',
    "rules": "fuel_economy",
}
TRAIN = "data_extraction,basic_cleaning,data_split,train_random_forest,evaluation"


def make_input(folder: Path, rows: int) -> Path:
    sys.path.append(str(ROOT / "src"))
    from _utils.tabular.convert import to_parquet

    to_parquet(ROOT / "resources/data/epa_fuel_economy_2021.csv", folder / "once.parquet")
    once, target = pq.read_table(folder / "once.parquet"), folder / "input.parquet"
    some = pa.concat_tables([once] * 100)
    with pq.ParquetWriter(target, once.schema) as writer:
        while rows > 0:
            writer.write_table(some.slice(0, rows))
            rows -= some.num_rows
    return target


def measure(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds, and the peak memory of the largest process, in GB."""
    code = (
        "import resource, subprocess, sys, time; start = time.monotonic(); "
        "subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr); "
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)"
    )
    command = [sys.executable, "-c", code, *command]
    ran = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    seconds, cpu_seconds, memory = map(float, ran.stdout.split())
    return seconds, cpu_seconds, memory / (1 << (30 if sys.platform == "darwin" else 20))


def main(rows: int) -> None:
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for variable in ("PYTHONDONTWRITEBYTECODE", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        os.environ.pop(variable, None)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "clone"
        copy_repository(folder)
        source = make_input(Path(parent), rows)
        python, few = [sys.executable], "modeling.random_forest.n_estimators=10"
        subprocess.run([*python, "main.py", f"--steps={TRAIN}", few], cwd=folder, check=True)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        (folder / "bare.py").write_text(BARE)
        model = ["models:/fuel_economy/1"]
        bare = measure([*python, "bare.py", str(source), f"{parent}/bare.parquet", *model], folder)
        parameters = PARAMETERS | {"input_url": str(source), "model": model[0]}
        options = [f"--{key}={value}" for key, value in parameters.items()]
        ours = measure([*python, "src/batch_scoring/run.py", *options], folder)
        for name, each in {"bare loop": bare, "batch_scoring": ours}.items():
            seconds, cpu_seconds, memory = each
            print(f"{name:14} {seconds:.0f} s, CPU {cpu_seconds:.0f} s, {memory:.2f} GB")
        ratio, cpu_ratio = (theirs / own for theirs, own in zip(bare[:2], ours[:2], strict=True))
        print(f"ratio {ratio:.2f}, by CPU seconds {cpu_ratio:.2f}")
        runs = MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).search_runs(["0"])
        counts = runs[0].data.metrics
        assert counts["rows"] == counts["scored"] + counts["rejected"] == rows, counts


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
