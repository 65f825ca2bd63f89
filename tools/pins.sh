#!/bin/sh
# Write constraints.txt anew: the newest release of everything that development installs, transitive ones included.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"${PYTHON:-python3}" -m venv "$scratch/venv"
pip="$scratch/venv/bin/python -m pip --quiet --disable-pip-version-check"
$pip install --upgrade pip
$pip install --editable '.[all]' --group dev
{
    echo "# What development and the gate install. Renew it with \`make pins\` on the oldest Python supported."
    $pip freeze --all --exclude-editable --exclude setuptools
} >"$scratch/constraints.txt"
if grep -vE '^(#.*|[A-Za-z0-9._-]+==[^ @/]+)$' "$scratch/constraints.txt"; then
    echo "pins: the lines above name something else than a release; constraints.txt is left as it was." >&2
    exit 1
fi
mv "$scratch/constraints.txt" constraints.txt
