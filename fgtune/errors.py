"""The errors that fgtune raises on purpose; every one is written for the person who has to act on it."""

from __future__ import annotations

from collections.abc import Sequence

from fgtune.visible import brief, masked, visible

MOST_ERRORS = 50
"""Lines of a ``MultiConfigError``; what is wrong beyond them is counted."""


class FgtuneError(Exception):
    """Base of all errors raised on purpose; the command line prints its text without a traceback."""


class ConfigError(FgtuneError):
    """The study file, the command line or the user's data is wrong; nothing was started (exit code 2).

    Args:
        rule: What must hold, in a sentence fragment ("must be >= 1", "unknown key").
        where: File and line, e.g. ``studies/x.yaml:12``; empty when there is none.
        path: Dotted config path, e.g. ``trial.optimizer.lr``; empty when the rule is about the whole file.
        value: The given value, shown with ``repr``; leave out when there is none.
        fix: A likely remedy, one sentence.
    """

    _MISSING = object()

    def __init__(self, rule: str, *, where: str = "", path: str = "", value: object = _MISSING, fix: str = "") -> None:
        self.rule, self.where, self.path, self.fix = rule, where, path, fix
        self.has_value = value is not self._MISSING
        self.value = value if self.has_value else None
        super().__init__(str(self))

    def located(self, where: str, path: str | None = None) -> ConfigError:
        """The same error, with its place in the study file."""
        given = {"value": self.value} if self.has_value else {}
        return type(self)(self.rule, where=where, path=self.path if path is None else path, fix=self.fix, **given)

    def __str__(self) -> str:
        head = ": ".join(part for part in (self.where, self.path) if part)
        text = f"{head}: {self.rule}" if head else self.rule
        if self.has_value:
            text += f", got {brief(self.value)}"
        text = visible(masked(text))
        return f"{text}. Fix: {visible(masked(self.fix))}" if self.fix else text


class MultiConfigError(ConfigError):
    """Several things are wrong at once; the text has one line each.

    Attributes:
        errors: The single errors, in the order of the file.
    """

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        self.errors = tuple(errors)
        lines = [str(error) for error in self.errors[:MOST_ERRORS]]
        left = len(self.errors) - len(lines)
        super().__init__("\n".join([*lines, f"and {left} more errors like these"] if left else lines))

    def __str__(self) -> str:
        return self.rule  # of lines that are fit to be seen already

    def __reduce__(self) -> tuple[type[MultiConfigError], tuple[tuple[ConfigError, ...]]]:
        return type(self), (self.errors,)

    def located(self, where: str, path: str | None = None) -> MultiConfigError:
        """The same errors, each with its place in the study file."""
        return type(self)([error.located(where, path) for error in self.errors])

    @staticmethod
    def raise_all(errors: Sequence[ConfigError]) -> None:
        """Raise what was collected: nothing, the one error as it is, or all of them together."""
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise MultiConfigError(errors)


class DataError(ConfigError):
    """The data set cannot be used as it is (exit code 2)."""


class LimitError(DataError):
    """``data.limit`` leaves too few samples for the labels of the data (exit code 2)."""


class StudyFolderError(ConfigError):
    """The study folder cannot take this study (exit code 2)."""


class DamagedFileError(StudyFolderError):
    """A file of the study folder cannot be read (exit code 2)."""


class RayError(FgtuneError):
    """Ray could not start on this machine; nothing was started."""


class SessionLostError(RayError):
    """The Ray session was lost while cells ran; what is finished is saved, and the rest can be run in another one."""


class SolverError(FgtuneError):
    """A relations solver found no usable solution, or one that breaks the post-condition."""


class TrialError(FgtuneError):
    """A trial cannot go on, and repeating it would fail in the same way (a non-finite loss, say)."""


class TrackingError(FgtuneError):
    """The tracking store did not take something; the ledger has it, and a later sync brings it there."""
