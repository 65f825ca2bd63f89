#!/bin/sh
# Rewrite constraints.txt with the newest release of each development dependency, including transitive ones.
# Run it with the oldest supported Python, 3.11.2 in Debian 12, because some releases require a later 3.11.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info >= (3, 11, 3))' || {
    echo "pins: ${PYTHON:-python3} is newer than 3.11.2, so the pins may be too new for it: make pins PYTHON=..." >&2
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
    echo "pins: the lines above are not releases; constraints.txt is unchanged." >&2
    exit 1
fi
mv "$scratch/constraints.txt" constraints.txt
