# Sourced by the scripts beside it: make_environment EXTRA makes .venv and installs the project with that extra.
# A second run reuses both; a changed pyproject.toml installs again.

make_environment() {
  local extra=$1 python=${PYTHON:-python3} ours=
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || {
    echo "Python 3.10 or newer is needed; '$python' is $("$python" --version 2>&1). Set PYTHON=/path/to/python3." >&2
    exit 1
  }
  # without pip it is what a venv that failed half-way left behind; with a python that does not run, no use to anyone
  if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    echo "making a virtual environment in .venv"
    .venv/bin/python -c '' 2>/dev/null || ours=.venv
    rm -rf $ours
    "$python" -m venv .venv || {
      rm -rf $ours
      echo "$python -m venv failed; on Debian and Ubuntu it is a package of its own: python3-venv" >&2
      exit 1
    }
  fi
  if ! is_installed "$extra"; then
    echo "installing edge-inspect and its '$extra' extra"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extra]" || return 1
    cksum pyproject.toml > ".venv/installed-$extra"
  fi
}

# Whether the project is installed with that extra, as pyproject.toml stands now.
is_installed() {
  .venv/bin/python -c 'import pip' 2>/dev/null && [ "$(cat ".venv/installed-$1" 2>/dev/null)" = "$(cksum pyproject.toml)" ]
}
