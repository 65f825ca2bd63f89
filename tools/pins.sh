#!/bin/sh
# Write constraints.txt anew: the newest release of everything that development installs, transitive ones included.
# Run it with the oldest Python supported, Debian 12's 3.11.2: some releases want a later 3.11.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info >= (3, 11, 3))' || {
    echo "pins: ${PYTHON:-python3} is newer than 3.11.2, and so may be what is pinned: make pins PYTHON=..." >&2
    exit 1
}
"${PYTHON:-python3}" -m venv "$scratch/venv"
pip="$scratch/venv/bin/python -m pip --quiet --disable-pip-version-check"
$pip install --upgrade pip
$pip install --editable '.[all]' --group dev
{
    echo "# What development and the gate install. Renew it: \`make pins PYTHON=/usr/bin/python3\` on Debian 12."
    $pip freeze --all --exclude-editable --exclude setuptools
} >"$scratch/constraints.txt"
if grep -vE '^(#.*|[A-Za-z0-9._-]+==[^ @/]+)$' "$scratch/constraints.txt"; then
    echo "pins: the lines above name something else than a release; constraints.txt is left as it was." >&2
    exit 1
fi
mv "$scratch/constraints.txt" constraints.txt
