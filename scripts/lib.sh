# What the scripts share: finding Pythons, making virtual environments, installing system packages.
# Sourced from the root of the checkout, never run.

# Tests start hundreds of processes. Without compiled modules each of them, and each process of pytest, compiles all again.
unset PYTHONDONTWRITEBYTECODE

PYTHONS="3.10 3.11 3.12 3.13 3.14"
MAIN_PYTHON=3.11
MAIN_DJANGO=5.2

say() { printf '== %s\n' "$*"; }
warn() { printf '!! %s\n' "$*" >&2; }
die() {
    printf '!! %s\n' "$@" >&2
    exit 1
}

in_ci() { [ "${CI:-}" = true ]; }

# The path of a working Python of version $1 ("3.11"): from pyenv, else from PATH. Fails where there is none.
find_python() {
    local candidate
    for candidate in "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/"$1".*/bin/python "$(command -v "python$1" || true)" \
        "/usr/bin/python$1" "$(command -v python3 || true)"; do
        if [ -x "$candidate" ] && is_final "$candidate" "$1"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

# A pyenv shim exists for versions it then refuses to run, so what was found is asked what it is.
is_final() {
    "$1" -c '
import sys
sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1] or sys.version_info[3] != "final")' "$2" 2>/dev/null
}

# The Python everything is tried with first: MAIN_PYTHON, else the first there is. Prints its version.
main_python() {
    local version
    for version in $MAIN_PYTHON $PYTHONS; do
        if find_python "$version" >/dev/null; then
            printf '%s\n' "$version"
            return
        fi
    done
    die "routechan needs Python 3.10 or later, and none was found." \
        "On Debian or Ubuntu install it with: apt-get install python3 python3-venv"
}

# How apt-get may be run here: as it is for root, with sudo where that asks no password. Fails where neither goes.
apt_get() {
    if ! command -v apt-get >/dev/null; then
        return 1
    elif [ "$(id -u)" = 0 ]; then
        echo "env DEBIAN_FRONTEND=noninteractive apt-get"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        echo "sudo env DEBIAN_FRONTEND=noninteractive apt-get"
    else
        return 1
    fi
}

# Installs a Debian package where that is allowed, and says what to do where it is not or fails.
install_system() {
    local package=$1 apt log
    if apt=$(apt_get); then
        say "installing $package with apt-get"
        log=$(mktemp)
        # apt's words are kept for when it fails
        if { $apt update && $apt install -y "$package"; } </dev/null >"$log" 2>&1; then
            rm -f "$log"
            return
        fi
        tail -n 5 "$log" >&2
        rm -f "$log"
    fi
    warn "$package is needed and could not be installed from here. By hand: sudo apt-get install $package"
    return 1
}

# make_venv DIR VERSION REQUIREMENT...: a virtual environment of Python VERSION with the requirements, made or
# reused. One that is complete, for this checkout and these requirements, is left alone.
make_venv() {
    local dir=$1 version=$2
    shift 2
    is_complete "$dir" "$@" && return
    new_venv "$dir" "$version" && install_into "$dir" "$@"
}

# make_overlay DIR VERSION BASE REQUIREMENT...: as make_venv, on top of BASE, a complete environment of the same Python.
# Only what BASE lacks or has in another version is installed, so a second Django takes seconds.
make_overlay() {
    local dir=$1 version=$2 base=$3
    shift 3
    is_complete "$dir" "$@" && return
    new_venv "$dir" "$version" --without-pip || return
    "$dir/bin/python" - "$PWD/$base" <<'PYTHON' || return
import pathlib, sys, sysconfig
own, base = (sysconfig.get_path("purelib", vars={"base": prefix}) for prefix in (sys.prefix, sys.argv[1]))
pathlib.Path(own, "base.pth").write_text(f"import site; site.addsitedir({base!a})\n")
PYTHON
    install_into "$dir" "$@"
}

# What an environment with the requirements $@ is made from: those, this checkout, and its own requirements.
stamp_of() {
    printf '%s\n' "$PWD $* $(cat setup.cfg pyproject.toml | cksum)"
}

# is_complete DIR REQUIREMENT...
is_complete() {
    local dir=$1
    shift
    [ "$(cat "$dir/complete" 2>/dev/null)" = "$(stamp_of "$@")" ] && "$dir/bin/python" -c "" 2>/dev/null
}

# new_venv DIR VERSION OPTION...: an empty virtual environment, in place of what was there. OPTIONs are venv's.
new_venv() {
    local dir=$1 version=$2 python
    shift 2
    python=$(find_python "$version") || return
    if ! "$python" -c "import ensurepip" 2>/dev/null; then
        # Debian's Python comes without what venv needs; other Pythons are complete.
        install_system "python$version-venv" || return
    fi
    say "making $dir with Python $version"
    rm -f "$dir/complete"
    "$python" -m venv --clear "$@" "$dir" || {
        warn "the virtual environment could not be made. By hand: $python -m venv --clear ${*@Q} ${dir@Q}"
        return 1
    }
}

# install_into DIR REQUIREMENT...: modules are compiled when they are imported, for most of them never are.
install_into() {
    local dir=$1
    shift
    say "installing $*"
    "$dir/bin/python" -m pip --disable-pip-version-check install -q --no-compile "$@" || {
        warn "pip could not install $* into $dir (its own words are above; is there a network?)." \
            "By hand: $dir/bin/python -m pip install ${*@Q}"
        return 1
    }
    stamp_of "$@" >"$dir/complete"
}

# The directory of the environment for lint and for the full suite, made where it is missing.
make_main_venv() {
    local version
    version=$(main_python)
    MAIN_VENV=".venvs/py$version-django$MAIN_DJANGO"
    make_venv "$MAIN_VENV" "$version" -e ".[test,lint]" "django==$MAIN_DJANGO.*"
}
