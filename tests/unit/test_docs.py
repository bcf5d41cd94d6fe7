"""What the documents name is there, and what they tell one to type is a command."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.core.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TOP = ("app", "alembic", "bench", "docs", "openapi", "scripts", "tests", ".ci")
PATH = re.compile(rf"`((?:{'|'.join(map(re.escape, TOP))})/[A-Za-z0-9_./-]*|Makefile)`")
DECISION = re.compile(r"docs/decisions/[\w-]+\.md")
SETTING = re.compile(r"\bHANDOFF_[A-Z_]*[A-Z]\b(?!_)")
FOR_TESTS = {"HANDOFF_TEST_DATA", "HANDOFF_TEST_DATABASE_URL"}
LINK = re.compile(r"\]\((?!https?://)([^)#]+)\)")
COMMAND = re.compile(r"`?(?:\.venv/bin/)?handoff ((?:db |client |webhook |delivery )?[a-z]+(?:-[a-z]+)*)\b")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
TARGET = re.compile(r"`make ([a-z]+)`|^make ([a-z]+)$", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: str(each.relative_to(ROOT)))
def test_named_files_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    missing = [name for name in PATH.findall(text) if not (ROOT / name).exists()]
    missing += [name for name in DECISION.findall(text) if not (ROOT / name).exists()]
    missing += [name for name in LINK.findall(text) if not (document.parent / name).exists()]
    assert missing == []


def test_settings_that_are_named_are_settings() -> None:
    named = {name for document in DOCUMENTS for name in SETTING.findall(document.read_text("utf-8"))}
    assert named <= {f"HANDOFF_{name.upper()}" for name in Settings.model_fields} | FOR_TESTS


def test_no_two_decisions_have_one_number() -> None:
    numbers = [each.name.partition("-")[0] for each in (ROOT / "docs" / "decisions").glob("*.md")]
    assert len(numbers) == len(set(numbers))


def test_the_tree_names_every_room() -> None:
    tree = (ROOT / "README.md").read_text("utf-8").split("```\napp/\n")[1].split("```")[0]
    named = {line.split()[0].rstrip("/") for line in tree.splitlines() if line.strip()}
    rooms = {each.stem for each in (ROOT / "app").iterdir() if not each.name.startswith("__")}
    assert {each.removesuffix(".py") for each in named} >= rooms
    folders = {each.name for each in ROOT.iterdir() if each.is_dir() and each.name in TOP} - {"app", ".ci"}
    assert named >= folders


def test_named_commands_are_commands() -> None:
    runner = CliRunner()
    commands = {command for document in DOCUMENTS for command in COMMAND.findall(document.read_text("utf-8"))}
    assert {"serve", "client add", "token", "webhook add", "delivery replay", "db reindex"} <= commands
    for command in sorted(commands):
        result = runner.invoke(app, [*command.split(), "--help"])
        assert result.exit_code == 0, f"handoff {command}: {result.output}"


def test_named_make_targets_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {one or other for document in DOCUMENTS for one, other in TARGET.findall(document.read_text("utf-8"))}
    assert named
    assert named <= targets


def test_named_tests_are_tests() -> None:
    named = {each for document in DOCUMENTS for each in TEST.findall(document.read_text("utf-8"))}
    assert named
    assert sorted(f"{path}::{name}" for path, name in named if name not in list_functions(ROOT / path)) == []


def list_functions(path: Path) -> set[str]:
    """Those at the top of a file; none where there is no such file."""
    text = path.read_text("utf-8") if path.exists() else ""
    return {each.name for each in ast.parse(text).body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_each_threat_has_its_test() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    rows = page.split("## Threats")[1].split("\n## ")[0].split("|---|---|---|\n")[1].strip().splitlines()
    assert len(rows) >= 30
    assert [row for row in rows if row.count(" | ") != 2 or not TEST.search(row.rsplit(" | ", 1)[1])] == []


def test_no_dependency_is_without_its_reason() -> None:
    named = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    project = (ROOT / "pyproject.toml").read_text("utf-8").split("[project.scripts]")[0]
    wanted = set(re.findall(r'^    "([a-z0-9.-]+)', project, re.MULTILINE))
    assert {each for each in wanted if each not in named} == set()


def test_ci_runs_the_readmes_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert "make test" in (ROOT / "README.md").read_text("utf-8")


def test_no_file_holds_a_marker_of_unfinished_work() -> None:
    tracked = subprocess.run(["git", "ls-files", "app", "bench", "scripts"], cwd=ROOT, capture_output=True, text=True)
    marks = [
        name
        for name in tracked.stdout.split()
        if name.endswith(".py") and re.search(r"\b(TODO|FIXME|XXX)\b", (ROOT / name).read_text("utf-8"))
    ]
    assert marks == []
