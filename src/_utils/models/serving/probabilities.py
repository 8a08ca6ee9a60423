"""Load a model for serving: it answers with labels, or with the probability of each class."""

from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel

from _utils.errors import UserError


def load(folder: Path, probabilities: bool) -> tuple[PyFuncModel, list[str] | None]:
    """A model from its own copy; and its classes, if it answers with the probability of each.

    Raises:
        UserError: It has no probabilities.
    """
    if not probabilities:
        return mlflow.pyfunc.load_model(str(folder)), None
    about = Model.load(str(folder))
    about.flavors["python_function"]["predict_fn"] = "predict_proba"
    about.save(str(folder / "MLmodel"))
    try:
        model = mlflow.pyfunc.load_model(str(folder))
        return model, [str(name) for name in model.get_raw_model().classes_]
    except (AttributeError, MlflowException, NotImplementedError) as error:
        raise UserError(
            "serving.probabilities=true needs a classifier with predict_proba, which this model "
            "is not. Leave it false."
        ) from error
