"""A predictor's folder that cannot be written: who is told of it is told of the folder that was asked for."""

import re
from pathlib import Path

import pytest

from rb_litellm.train.folder import write_files


def test_a_folder_that_cannot_be_made_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "model"
    with pytest.raises(OSError, match=f"^{re.escape(str(out))} cannot be written: "):
        write_files(out, {"a": b""}, lambda path: path)
