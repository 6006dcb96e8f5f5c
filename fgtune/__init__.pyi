"""What ``fgtune`` offers, for type checkers; ``__init__.py`` imports it when it is first used."""

from fgtune.app.api import load_study as load_study
from fgtune.app.api import open_results as open_results
from fgtune.app.api import plan as plan
from fgtune.app.api import run_study as run_study
from fgtune.app.discover import discover as discover
from fgtune.app.import_results import import_results as import_results
from fgtune.errors import ConfigError as ConfigError
from fgtune.errors import FgtuneError as FgtuneError

__version__: str
__all__ = [
    "ConfigError",
    "FgtuneError",
    "__version__",
    "discover",
    "import_results",
    "load_study",
    "open_results",
    "plan",
    "run_study",
]
