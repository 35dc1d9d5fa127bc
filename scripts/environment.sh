# Sourced by the scripts beside it: make_environment EXTRA makes .venv and installs the project with that extra.
# A second run reuses both; a changed pyproject.toml installs again.

make_environment() {
  local extra=$1 python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || {
    echo "Python 3.10 or newer is needed; '$python' is $("$python" --version 2>&1). Set PYTHON=/path/to/python3." >&2
    exit 1
  }
  if [ ! -x .venv/bin/python ]; then
    echo "making a virtual environment in .venv"
    "$python" -m venv .venv || {
      echo "python3 -m venv failed; on Debian and Ubuntu it is a package of its own: python3-venv" >&2
      exit 1
    }
  fi
  local want stamp=.venv/installed-$extra
  want=$(cksum pyproject.toml)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    echo "installing edge-inspect and its '$extra' extra"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extra]" || return 1
    echo "$want" > "$stamp"
  fi
}
