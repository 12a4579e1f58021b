"""A proxy's configuration as LiteLLM reads it: one file, those that it includes, and the environment.

LiteLLM merges by top-level key, in the order of the `include` lists, breadth first: lists grow, everything
else is the later file's, whole. So a section belongs to the last file that has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_FILES = 256
"""Files that are read at most; a configuration that includes more is refused."""


class ConfigUnreadable(ValueError):
    """A file that LiteLLM could not read as its configuration either; names file, line and cause."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file of a configuration."""

    path: Path
    text: str
    content: Mapping[str, Any]


def read_files(config_file: Path, texts: Mapping[Path, str] | None = None) -> list[ConfigFile]:
    """The file and all that it includes, in the order in which they are merged.

    `texts` are read in the place of what stands in the files of these resolved paths.

    Raises:
        ConfigUnreadable: naming the file and what is wrong with it.
    """
    files: list[ConfigFile] = []
    waiting = [config_file]
    known = {config_file.resolve()}
    while waiting:
        if len(files) == MAX_FILES:
            raise ConfigUnreadable(f"{config_file}: includes more than {MAX_FILES} files")
        file = _read(waiting.pop(0), texts or {})
        files.append(file)
        for included in _included(file, config_file):
            if included.resolve() not in known:
                known.add(included.resolve())
                waiting.append(included)
    return files


def merged(files: Sequence[ConfigFile]) -> Mapping[str, Any]:
    """What LiteLLM makes of the files, with `os.environ/NAME` replaced.

    A variable that is not set stays as it is written.
    """
    config: dict[str, Any] = {}
    for file in files:
        for key, value in file.content.items():
            grows = isinstance(value, list) and isinstance(config.get(key), list)
            config[key] = [*config[key], *value] if grows else value
    config.pop("include", None)
    resolved: Mapping[str, Any] = with_environment(config)
    return resolved


def read_config(config_file: Path) -> Mapping[str, Any]:
    """A configuration as LiteLLM sees it; see `read_files` and `merged`.

    Raises:
        ConfigUnreadable: naming the file and what is wrong with it.
    """
    return merged(read_files(config_file))


def section_file(files: Sequence[ConfigFile], section: str) -> ConfigFile:
    """The file whose section holds; the first one where none has it."""
    return next((file for file in reversed(files) if section in file.content), files[0])


def list_entries(files: Sequence[ConfigFile], section: str) -> list[tuple[ConfigFile, int]]:
    """For each entry of a merged list: the file that it stands in, and its number there."""
    entries: list[tuple[ConfigFile, int]] = []
    before: object = None
    for file in files:
        if section in file.content:
            value = file.content[section]
            if not (isinstance(value, list) and isinstance(before, list)):
                entries = []
            entries += [(file, number) for number in range(len(value) if isinstance(value, list) else 0)]
            before = value
    return entries


def with_environment(value: Any) -> Any:
    """The value with LiteLLM's `os.environ/NAME` replaced by what the environment holds."""
    if isinstance(value, str) and value.startswith("os.environ/"):
        return os.environ.get(value.removeprefix("os.environ/"), value)
    if isinstance(value, dict):
        return {key: with_environment(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_environment(item) for item in value]
    return value


def _read(path: Path, texts: Mapping[Path, str]) -> ConfigFile:
    import yaml

    from rb_litellm import bounded_yaml

    try:
        text = texts.get(path.resolve())
        if text is None:
            with path.open(encoding="utf-8", newline="") as opened:  # line ends as they are
                text = opened.read()
        content = bounded_yaml.load(text)
    except OSError as error:
        raise ConfigUnreadable(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigUnreadable(f"{path}: is no text in UTF-8: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        raise ConfigUnreadable(f"{path}:{where} {error.problem or error.context}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigUnreadable(f"{path}: {error}") from error
    if content is not None and not isinstance(content, dict):
        raise ConfigUnreadable(f"{path}: holds a {type(content).__name__}; a configuration is a mapping")
    return ConfigFile(path, text, content or {})


def _included(file: ConfigFile, root: Path) -> Iterator[Path]:
    named = file.content.get("include")
    if named is None:
        return
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ConfigUnreadable(f"{file.path}: include: holds {named!r}; allowed is a list of file names")
    for name in named:
        beside = file.path.parent / name
        # As LiteLLM: beside the file that names it, else beside the first one.
        yield beside if beside.exists() or not (root.parent / name).exists() else root.parent / name
