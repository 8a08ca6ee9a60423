"""The words of a contract: kinds of columns, and tasks."""

NUMBER, CATEGORY, TEXT, DATE, ID = "number", "category", "text", "date", "id"
REGRESSION, CLASSIFICATION = "regression", "classification"
FEATURE_KINDS = (NUMBER, CATEGORY, TEXT, DATE)  # the order of the features in a model
