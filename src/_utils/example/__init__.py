"""What is special to the example's data: modules of rules, which cleaning.rules chooses from.

A module has `correct`, which corrects cells, or `violations`, which data_check refuses, or both. To
have one, import it here and add it to RULES. Most tables need none: their contract says all of it.
"""

from types import ModuleType

from _utils.errors import UserError
from _utils.example import fuel_economy

RULES: dict[str, ModuleType] = {"fuel_economy": fuel_economy}


def find_rules(name: str) -> ModuleType | None:
    """The rules of this name; None for an empty name.

    Raises:
        UserError: There are no such rules.
    """
    if name and name not in RULES:
        raise UserError(
            f"cleaning.rules is '{name}', which is not among the rules {[*RULES]}. Use one of "
            "them, or '' for none."
        )
    return RULES.get(name)
