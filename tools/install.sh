#!/bin/sh
# Makes the environment $1 and installs dissectreport into it; with "dev" as $2 also what the tests need.
#
#   PYTHON   the interpreter to start from; the first one of 3.11 or newer that is found when empty
#   TORCH    what pip installs as torch; when empty, a version known to work, in its CPU build on a Linux machine
#            without an NVIDIA driver. TORCH="torch" takes the newest, with CUDA on Linux.
#
# An environment that is there is kept, and so is its torch.
set -eu

environment=$1
extra=${2:-}
export PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_ROOT_USER_ACTION=ignore

say() { printf '%s\n' "dissectreport: $*" >&2; }
fail() { say "$@"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }
is_debian() { [ -r /etc/os-release ] && grep -qx 'ID="\{0,1\}debian"\{0,1\}' /etc/os-release; }
python() { "$environment/bin/python" "$@"; }
pip() { python -m pip --quiet --quiet "$@"; }

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if recent "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    found=$("${PYTHON:-python3}" --version 2>&1 | head -n 1 || true)
    fail "Python 3.11 or newer is needed, and there is ${found:-none}; install one, or name it: make PYTHON=/path/to/python3.11 …"
}

make_environment() {
    if python -m pip --version >/dev/null 2>&1; then
        recent "$environment/bin/python" || fail "$environment has $(python --version 2>&1), and 3.11 or newer is needed; remove it: make clean"
        return
    fi
    interpreter=$(find_python)
    say "making $environment with $("$interpreter" --version)"
    if ! "$interpreter" -c 'import ensurepip' 2>/dev/null && is_debian && is_root; then
        { apt-get -qq update && apt-get -qq install -y --no-install-recommends python3-venv >/dev/null; } || true
    fi
    "$interpreter" -m venv "$environment" ||
        fail "$interpreter could not make $environment; on Debian and Ubuntu: apt-get install python3-venv"
}

cpu_index() {
    index=https://download.pytorch.org/whl/cpu
    [ "$(uname -s)" = Linux ] || return 0
    ! has nvidia-smi || return 0
    # Asked once, shortly: pip itself would retry an index that cannot be reached for a minute.
    ! python -c "import urllib.request; urllib.request.urlopen('$index/torch/', timeout=10)" >/dev/null 2>&1 ||
        echo "--extra-index-url $index"
}

install_torch() {
    if python -c 'import torch' >/dev/null 2>&1; then
        return
    fi
    wanted=${TORCH:-torch==2.13.0 $(cpu_index)}
    say "installing $wanted"
    # Unquoted: TORCH may hold options for pip, such as an index.
    # shellcheck disable=SC2086
    pip install $wanted ||
        fail "pip could not install $wanted; choose another with e.g. TORCH=\"torch\", or use an environment that has one: make VENV=/path …"
}

install_package() {
    say "installing dissectreport${extra:+ and what its tests need}"
    # Without another extra the one for the Paint page: a demo is complete.
    pip install --editable ".[${extra:-paint}]" || fail "pip could not install what pyproject.toml asks for; its message is above"
}

has_browser() {
    for name in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable; do
        ! has "$name" || return 0
    done
    python - <<'EOF' >/dev/null 2>&1
from pathlib import Path
from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
    raise SystemExit(not Path(playwright.chromium.executable_path).exists())
EOF
}

install_browser() {
    if has_browser; then
        return
    fi
    say "installing Chromium"
    if is_debian && is_root && apt-get -qq update; then
        for name in chromium-headless-shell chromium; do
            ! DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$name" >/dev/null || return 0
        done
    fi
    with_libraries=$(if is_root && has apt-get; then echo --with-deps; fi)
    # shellcheck disable=SC2086
    python -m playwright install $with_libraries chromium >/dev/null ||
        say "no Chromium could be installed: the tests that open pages will fail; the others: make test PYTEST=\"-m 'not browser'\""
}

cd "$(dirname "$0")/.."
make_environment
install_torch
install_package
if [ "$extra" = dev ]; then
    install_browser
fi
touch "$environment/.ready${extra:+-$extra}"
