"""Add to a LiteLLM configuration of several files: each addition goes to the file whose section holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rb_litellm.litellm_adapter.proxy.starting.config_files import ConfigFile, list_entries, section_file
from rb_litellm.setup.yaml_edit import CannotEdit, YamlEdit
from rb_litellm.setup.yaml_edit import Path as Place


class ConfigEdit:
    """Places are those of the merged configuration; `model_list` numbers its entries over all files."""

    def __init__(self, files: Sequence[ConfigFile]) -> None:
        self._files = files
        self._entries = list_entries(files, "model_list")
        self._edits: dict[Path, YamlEdit] = {}

    def get(self, place: Place) -> Any:
        """What the configuration will hold there, None for nothing."""
        edit, path = self._find(place)
        return edit.get(path)

    def set(self, place: Place, value: Any, comment: str = "") -> None:
        """See `YamlEdit.set`.

        Raises:
            CannotEdit: the file cannot be added to; names it.
        """
        edit, path = self._find(place)
        edit.set(path, value, comment)

    def append(self, place: Place, item: Any) -> None:
        """See `YamlEdit.append`.

        Raises:
            CannotEdit: the file cannot be added to; names it.
        """
        edit, path = self._find(place)
        edit.append(path, item)

    def sharing(self, place: Place) -> list[int]:
        """Numbers of the other entries of `model_list` that hold the very mapping of this place."""
        edit, path = self._find(place)
        file = self._entries[int(place[1])][0]
        others = {
            number: (path[0], its, *path[2:])
            for number, (other, its) in enumerate(self._entries)
            if other is file and number != place[1]
        }
        held = edit.get(path)
        return [number for number, other in others.items() if held is not None and edit.get(other) is held]

    def results(self) -> Mapping[Path, str]:
        """The new text of each file that changes.

        Raises:
            CannotEdit: a file would not say what was meant; names it.
        """
        texts = {}
        for file in self._files:
            if file.path in self._edits:
                try:
                    text = self._edits[file.path].result()
                except CannotEdit as error:
                    raise CannotEdit(f"{file.path}: {error}") from error
                if text != file.text:
                    texts[file.path] = text
        return texts

    def _find(self, place: Place) -> tuple[YamlEdit, Place]:
        if place[0] == "model_list":
            file, number = self._entries[int(place[1])]
            place = (place[0], number, *place[2:])
        else:
            file = section_file(self._files, str(place[0]))
        if file.path not in self._edits:
            try:
                self._edits[file.path] = YamlEdit(file.text)
            except CannotEdit as error:
                raise CannotEdit(f"{file.path}: {error}") from error
        return self._edits[file.path], place
