"""Names of columns as MLflow and file systems accept them."""

import re
from collections.abc import Iterable


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Names for metrics and files about columns, by the columns' names.

    MLflow and file systems refuse most signs: `displacement (l)` becomes `displacement _l_`.
    """
    plain: dict[str, str] = {}
    for name in names:
        new = re.sub(r"[^\w .-]", "_", name)[:200]  # MLflow takes 250, and there is a prefix
        while new in plain.values():
            new += "_"
        plain[name] = new
    return plain
