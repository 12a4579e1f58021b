"""Compile llama.cpp's llama-server from the sources that `llama-cpp-python` carries: FOLDER RELEASE.

It runs with a Python that has pip and CMake, and needs a C++ compiler. Prints where the server is.
"""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

folder, release = Path(sys.argv[1]), sys.argv[2]
source = folder / f"llama_cpp_python-{release}"
if not source.exists():
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:")
    # Its own build is not wanted: without isolation no tools are fetched for it.
    alone = ("--no-build-isolation", "--dest", str(folder), f"llama-cpp-python=={release}")
    subprocess.run([*pip, *alone], check=True)
    with tarfile.open(folder / f"{source.name}.tar.gz") as packed:
        packed.extractall(folder, filter="data")
build = source / "vendor" / "llama.cpp" / "build"
server = build / "bin" / "llama-server"
if not server.exists():
    left_out = ("LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_APP", "LLAMA_BUILD_UI",
                "LLAMA_USE_PREBUILT_UI", "LLAMA_OPENSSL")  # fmt: skip
    options = [f"-D{name}=OFF" for name in left_out]
    options += ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_BUILD_NUMBER=0"]
    # Half the time of a compilation with all optimisations; the arithmetic is in files of its own.
    options += ["-DCMAKE_CXX_FLAGS=-O1"]
    cmake = (sys.executable, "-m", "cmake")
    quiet = subprocess.DEVNULL
    subprocess.run([*cmake, "-S", build.parent, "-B", build, *options], check=True, stdout=quiet)
    jobs = f"-j{os.cpu_count() or 1}"
    subprocess.run([*cmake, "--build", build, "--target", "llama-server", jobs], check=True, stdout=quiet)
print(server)
