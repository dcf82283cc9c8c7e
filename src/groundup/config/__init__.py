"""One tree of dataclasses is the configuration: TOML in, resolved TOML out; every value knows where it came from.

`groundup train ... --config run/config.toml` repeats a run.
"""

from groundup.config.reference import describe
from groundup.config.toml import dump_config, load_config, parse_settings
from groundup.config.tree import BUDGETS, KEYS, Config, Health, Optimizer, Schedule

__all__ = [
    "BUDGETS",
    "KEYS",
    "Config",
    "Health",
    "Optimizer",
    "Schedule",
    "describe",
    "dump_config",
    "load_config",
    "parse_settings",
]
