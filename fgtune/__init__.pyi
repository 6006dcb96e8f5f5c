"""What ``fgtune`` offers, for type checkers; ``__init__.py`` imports it when it is first used."""

from fgtune.api import load_study as load_study
from fgtune.api import open_results as open_results
from fgtune.api import plan as plan
from fgtune.api import run as run
from fgtune.errors import ConfigError as ConfigError
from fgtune.errors import FgtuneError as FgtuneError

__version__: str
__all__ = ["ConfigError", "FgtuneError", "__version__", "load_study", "open_results", "plan", "run"]
