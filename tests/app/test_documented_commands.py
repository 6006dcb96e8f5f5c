"""The commands that the documentation shows are understood, and print what is shown beside them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from fgtune.app.cli import app, main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHORT_FORM = ("python", "-m", "fgtune.run")


def blocks_of(page: Path) -> list[str]:
    """The shell blocks of a page."""
    return re.findall(r"^```(?:sh|bash)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def shown(page: Path) -> list[list[str]]:
    """Every fgtune command in the shell blocks of a page, as its words after ``fgtune``."""
    lines = [line for block in blocks_of(page) for line in block.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := words_after_fgtune(line))]


def words_after_fgtune(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if tuple(words[:3]) == SHORT_FORM:
        return ["run", *words[3:]]
    return words[1:] if words[:1] == ["fgtune"] else []


def understood(words: list[str]) -> None:
    """Parse a command as the command line would, without doing anything; raise where it is not one."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        verb, *words = words
        command = command.commands[verb]
    command.make_context(verb, list(words))


def quoted_options() -> Iterator[tuple[str, str, str]]:
    """Page, verb and option, of every ``fgtune VERB ... --option`` within a sentence."""
    for page in PAGES:
        for verb, rest in re.findall(r"`fgtune (\w+(?: check| convert)?)([^`]*)`", page.read_text(encoding="utf-8")):
            for option in re.findall(r"(?<!\S)--[a-z-]+", rest):
                yield page.name, verb, option


@pytest.mark.parametrize("page", [page for page in PAGES if shown(page)], ids=lambda page: page.stem)
def test_every_command_of_a_page_is_understood(page):
    for words in shown(page):
        understood(words)
        for word in words:
            assert not re.fullmatch(r"studies/[a-z0-9_]+\.yaml", word) or (ROOT / word).exists(), word


def test_what_a_console_block_shows_is_what_its_command_prints(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    found = [re.findall(r"^```console\n\$ (.*)\n((?:.*\n)*?)```", text, re.MULTILINE) for text in texts]
    blocks = [block for each in found for block in each]
    assert blocks
    for line, output in blocks:
        main(words_after_fgtune(line))
        printed = capsys.readouterr()
        assert printed.out + printed.err == output


@pytest.mark.parametrize(
    ("words", "why"),
    [(["run", "a.yaml", "--smokey"], "--smokey"), (["rum", "a.yaml"], "rum"), (["export"], "(?i)missing .*folder|DIR")],
)
def test_what_is_no_command_is_not_understood(words, why):
    with pytest.raises(Exception, match=why):
        understood(words)


def test_every_option_that_a_sentence_names_is_one_of_its_verb():
    verbs = typer.main.get_command(app).commands
    known = {verb: {opt for param in each.params for opt in param.opts} for verb, each in verbs.items()}
    for verb, each in verbs["data"].commands.items():
        known[f"data {verb}"] = {opt for param in each.params for opt in param.opts}
    found = list(quoted_options())
    assert len(found) > 10
    assert [each for each in found if each[2] not in known.get(each[1], ())] == []
