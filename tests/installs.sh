#!/usr/bin/env bash
# Installs the sets of dependencies that pyproject.toml allows, each into a fresh environment,
# imports every module, runs the demo and a rendering, and prints what broke. Run before a release.
#
#   bash tests/installs.sh                 the oldest set of the ranges, then the newest
#   bash tests/installs.sh oldest|newest   one of them; 5 GB on disk where torch comes with CUDA
#   PYTHON=3.13 bash tests/installs.sh newest   with another Python
#   bash tests/installs.sh lock            writes constraints.txt anew: the newest set, torch as it is
set -uo pipefail
exec </dev/null
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
root=$PWD

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PIP_DISABLE_PIP_VERSION_CHECK=1 UV_CACHE_DIR="$scratch/cache" UV_NO_PROGRESS=1

python3.11 -m venv "$scratch/tools" && "$scratch/tools/bin/pip" install --quiet uv || exit 2
uv=$scratch/tools/bin/uv

lock() {
    local header torch
    header=$(grep '^#' constraints.txt)
    torch=$(grep '^torch==' constraints.txt)
    echo "$torch" >"$scratch/torch"
    "$uv" pip compile --quiet --no-annotate --no-header --python-version 3.11 \
        --constraint "$scratch/torch" --extra train --extra test --extra cluster --extra docs \
        --output-file "$scratch/locked" pyproject.toml || exit 1
    { echo "$header"; grep -vE '^(nvidia|cuda|triton)' "$scratch/locked"; } >constraints.txt
}

# Where it is said to be: every module, in an order that does not matter, and no module of the
# checkout in place of an installed one.
imports='
import importlib, pkgutil, sys
import audiotransfer, separation, vocoder
broken = 0
for package in (audiotransfer, separation, vocoder):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if found.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(found.name)
        except Exception as error:
            broken += 1
            print(f"{found.name}: {type(error).__name__}: {error}")
sys.exit(broken > 0)
'

try() {
    local name=$1 resolution=$2 place=$scratch/$1
    echo "== $name"
    "$uv" venv --quiet --python "${PYTHON:-3.11}" "$place" || return 1
    # shellcheck source=/dev/null
    . "$place/bin/activate"
    mkdir "$place/work"
    step "$name" install "$uv" pip install --quiet --resolution "$resolution" "$root[train]" &&
        "$uv" pip list 2>/dev/null | grep -iE '^(torch|numpy|scipy|numba|librosa|demucs|av) ' &&
        step "$name" import python -c "$imports" &&
        step "$name" doctor audiotransfer doctor &&
        step "$name" demo audiotransfer demo -q &&
        step "$name" render audiotransfer accompany twinkle -o twinkle.mid --render
    local failed=$?
    deactivate
    rm -rf "$place"
    return "$failed"
}

step() {
    local name=$1 what=$2
    shift 2
    if (cd "$scratch/$name/work" && "$@") >"$scratch/log" 2>&1; then
        echo "$name $what: ok"
    else
        echo "$name $what: BROKEN"
        tail -n 15 "$scratch/log"
        return 1
    fi
}

case "${1:-all}" in
    lock) lock ;;
    oldest) try oldest lowest-direct ;;
    newest) try newest highest ;;
    all)
        try oldest lowest-direct
        oldest=$?
        try newest highest && exit "$oldest"
        ;;
    *)
        echo "tests/installs.sh: there are oldest, newest and lock, not $1" >&2
        exit 2
        ;;
esac
