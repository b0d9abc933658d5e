#!/bin/sh
# Makes build/arm64, in which fastnn for 64-bit Arm is built and tested on a Linux machine of another kind:
#
#     build/arm64/emulator    runs a program for arm64
#     build/arm64/python      runs an arm64 CPython under the emulator, with the package built for it on its path
#     build/arm64/tools       the emulator and the cross-compiler, programs of this machine
#     build/arm64/root        Debian packages for arm64: the C library, OpenMP, CPython with headers
#     build/arm64/site        wheels for arm64: NumPy, and what builds and tests need
#     build/arm64/lib         fastnn, built
#
# Nothing is installed and no rights are needed: packages are downloaded by apt-get with lists of its own, and unpacked.
# What is there is kept, so a second call only builds what has changed.
#
# Usage: prepare.sh [PYTHON]      PYTHON of this machine, with pip and Cython (python3)
# Exit:  0 ready; 75 packages cannot be had here, which says nothing about fastnn; anything else is an error.
set -eu

python=${1:-python3}
sources=$(cd "$(dirname "$0")/../.." && pwd)
base=$sources/build/arm64
cannot_be_had=75

missing() {
    echo "arm64: NOT TESTED: $1" >&2
    exit $cannot_be_had
}

# Debian's packages of one architecture. With a list of what is installed, only what is missing is downloaded; with an
# empty one all that is needed.
unpack() { # architecture, installed, folder, packages...
    architecture=$1 installed=$2 folder=$3
    shift 3
    state=$base/apt/$architecture
    rm -rf "$folder" "$state"
    mkdir -p "$folder" "$state/lists/partial" "$state/archives/partial"
    apt() {
        apt-get -qq -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o APT::Sandbox::User= \
            -o Dir::State::status="$installed" -o Dir::State::lists="$state/lists" -o Dir::Cache="$state" \
            -o Dir::Cache::archives="$state/archives" -o Debug::NoLocking=1 "$@"
    }
    apt update || missing "apt-get cannot read the lists of packages for $architecture"
    apt --yes --no-install-recommends --download-only install "$@" >/dev/null ||
        missing "apt-get has no packages for $architecture: $*"
    for package in "$state"/archives/*.deb; do
        dpkg -x "$package" "$folder"
    done
    rm -rf "$state"
}

if [ ! -e "$base/.packages" ]; then
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || missing "this takes apt-get and dpkg, of Debian"
    mkdir -p "$base"
    : >"$base/nothing"
    unpack "$(dpkg --print-architecture)" /var/lib/dpkg/status "$base/tools" qemu-user-static gcc-aarch64-linux-gnu
    unpack arm64 "$base/nothing" "$base/root" python3 libpython3-dev libgomp1 libstdc++6
    touch "$base/.packages"
fi

# The tools were unpacked, unless this machine has them.
PATH=$base/tools/usr/bin:$PATH
emulator=$(command -v qemu-aarch64-static)
compiler=$(command -v aarch64-linux-gnu-gcc)
version=$(cd "$base/root/usr/bin" && readlink python3) # python3.11

# The CPU is that of a Raspberry Pi 4, which has NEON and nothing later: what runs on it runs on all. With the emulator's own,
# NumPy's products use SVE, and warn of invalid numbers that are in no array.
# A program of arm64 cannot start another one, but this script can be started. CPython takes argv[0] for sys.executable.
cat >"$base/python" <<END
#!/bin/sh
PYTHONHOME=$base/root/usr PYTHONPATH=$base/lib:$base/site PYTHONNOUSERSITE=1 PYTHONPYCACHEPREFIX=$base/compiled
export PYTHONHOME PYTHONPATH PYTHONNOUSERSITE PYTHONPYCACHEPREFIX
unset PYTHONDONTWRITEBYTECODE
exec $base/emulator -0 "\$0" $base/root/usr/bin/$version "\$@"
END
cat >"$base/emulator" <<END
#!/bin/sh
exec $emulator -cpu cortex-a72 -L $base/root "\$@"
END
chmod +x "$base/python" "$base/emulator"

if [ ! -e "$base/.wheels" ]; then
    rm -rf "$base/site"
    "$python" -m pip --quiet --disable-pip-version-check install --target "$base/site" --only-binary=:all: \
        --implementation cp --python-version "${version#python}" \
        --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 \
        numpy tqdm setuptools pytest hypothesis threadpoolctl || missing "pip has no wheels for arm64 and $version"
    touch "$base/.wheels"
fi

# The compiler is a program of this machine, and as fast as ever. Cython runs here too: setup.py, in an environment without
# Cython, takes what it wrote.
cat >"$base/cc" <<END
#!/bin/sh
LD_LIBRARY_PATH=$base/tools/usr/lib/$(uname -m)-linux-gnu
export LD_LIBRARY_PATH
exec $compiler --sysroot=$base/root -I$base/root/usr/include/$version "\$@"
END
chmod +x "$base/cc"
cd "$sources"
"$python" -m cython -3 fastnn/_native.pyx
CC=$base/cc LDSHARED="$base/cc -shared" FASTNN_WERROR=1 \
    "$base/python" setup.py --quiet build --build-base "$base/objects" --build-lib "$base/lib"
