"""After the files: the component's place in config.yaml, its test, and what was made."""

import json
import sys

answers = json.loads({{ cookiecutter | as_json }})
sys.path.insert(0, answers["_repo_dir"])

from register import finish

finish(answers)
