"""What a discovery was asked, kept in its folder, so that a second call continues it and another one is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fgtune.app.discovery.budget import Schedule
from fgtune.app.discovery.source import Asked
from fgtune.data.given import file_at
from fgtune.errors import ConfigError, DataError
from fgtune.files import read_text, write_atomically
from fgtune.memory import require_memory
from fgtune.results.claiming import is_leftover

FILE = "request.json"
FORMAT = 1


@dataclass(frozen=True)
class Request:
    """What was asked, and what follows from it for good.

    Attributes:
        asked: About the data.
        num_fine: Number of fine classes, where it is known.
        content: Digest of the user's data.
        schedule: What is run; None until the data are found to be usable and cells have been timed.
        seconds: Seconds of earlier calls.
        guessed: The column of coarse labels, where none was named and an earlier call found it.
    """

    asked: Asked
    num_fine: int | None
    content: str
    schedule: Schedule | None = None
    seconds: float = 0.0
    guessed: str | None = None

    def command(self, out: Path, minutes: float) -> str:
        """The command line that continues this."""
        asked = self.asked
        parts = ["fgtune", "discover", str(asked.data), "--out", str(out)]
        parts += ["--coarse", asked.coarse] if asked.coarse else []
        parts += ["--fine", asked.fine] if asked.fine else []
        parts += ["--text", asked.text] if asked.text else []
        parts += [part for name in asked.left_out for part in ("--leave-out", name)]
        parts += ["--num-fine", str(self.num_fine)] if self.num_fine else []
        parts += ["--minutes", f"{minutes:g}"] if minutes != DEFAULT_MINUTES else []
        return shlex.join(parts)

    def write(self, out: Path) -> None:
        """Keep it in the folder."""
        schedule = None if self.schedule is None else self.schedule.to_plain()
        known = {"guessed": self.guessed} if self.guessed else {}
        settled = {"schedule": schedule, "seconds": round(self.seconds, 1), **known}
        plain = {**self._identity(), "format": FORMAT, **settled}
        write_atomically(out / FILE, (json.dumps(plain, indent=2) + "\n").encode())

    def _identity(self) -> dict[str, Any]:
        asked = self.asked
        of_texts = {"text": asked.text} if asked.text else {}
        return of_texts | {
            "data": str(asked.data.resolve()),
            "coarse": asked.coarse,
            "fine": asked.fine,
            "left_out": list(asked.left_out),
            "num_fine": self.num_fine,
            "content": self.content,
        }

    def continued(self, out: Path) -> Request:
        """This request with what an earlier call has settled; a call that ended before that has settled nothing.

        Raises:
            ConfigError: The folder holds something else, or a discovery of other data or of another question.
        """
        path = out / FILE
        if not path.is_file():
            if out.exists() and (not out.is_dir() or any(not is_leftover(each) for each in out.iterdir())):
                rule = "is there already and holds no discovery"
                raise ConfigError(rule, where=str(out), fix="choose another place with --out")
            return self
        try:
            plain = json.loads(read_text(path))
            schedule = plain["schedule"] and Schedule(**{**plain["schedule"], **_tuples(plain["schedule"])})
            seconds = float(plain["seconds"])
            if plain["schedule"] is None:
                return self
            guessed = plain.get("guessed")
            free = {"fine"}
            if guessed and {self.asked.coarse, plain["coarse"]} <= {None, guessed}:
                free.add("coarse")  # found by one call and named by another
            own = self._identity()
            differs = [name for name in own if name not in free and plain.get(name) != own[name]]
            differs += ["text"] if plain.get("text") and not self.asked.text else []
        except (ConfigError, ValueError, KeyError, TypeError, RecursionError) as error:
            fix = "choose another place with --out"
            raise ConfigError("cannot be read as the request of a discovery", where=str(path), fix=fix) from error
        if differs:
            what = "other data" if differs == ["content"] else f"another {', '.join(differs)}"
            raise ConfigError(f"holds a discovery with {what}", where=str(out), fix="choose another place with --out")
        return replace(self, schedule=schedule, seconds=seconds, guessed=guessed)


DEFAULT_MINUTES = 10.0


def _tuples(schedule: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) for name, value in schedule.items() if isinstance(value, list)}


def content_of(path: Path) -> str:
    """Digest of a file, or of the names and sizes of the files in a folder."""
    digest, path = hashlib.sha256(), file_at(path)
    if path.is_dir():
        for file in sorted(Path(place, name) for place, _, files in os.walk(path) for name in files):
            if file.is_file():
                digest.update(os.fsencode(f"{file.relative_to(path)}\0{file.stat().st_size}\0"))
    elif path.is_file():
        require_memory(path.stat().st_size, "the bytes of this file", kind=DataError, where=str(path))
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
    return digest.hexdigest()[:16]
