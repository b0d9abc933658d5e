#!/bin/sh
# install_packages.sh FOLDER PACKAGE...: Debian packages, with what they need. Root installs them; everyone else gets them unpacked
# into FOLDER, whose programs the Makefile finds.
set -eu
folder=$1
shift
if ! command -v apt-get >/dev/null; then
    echo "make: this needs the programs of the Debian packages '$*'; install them, there is no apt-get to do it" >&2
    exit 75
fi
cannot() {
    echo "make: the Debian packages '$*' cannot be had; is there a network, and has apt-get its lists?" >&2
    exit 75
}
if [ "$(id -u)" = 0 ]; then
    apt-get install -qq --no-install-recommends "$@" >/dev/null || {
        apt-get update -qq && apt-get install -qq --no-install-recommends "$@" >/dev/null
    } || cannot "$@"
    exit 0
fi
mkdir -p "$folder"
cd "$folder"
needed=$(apt-get -s install --no-install-recommends "$@" | awk '/^Inst/ { print $2 }') || cannot "$@"
# shellcheck disable=SC2086 # one word for each package
[ -z "$needed" ] || apt-get download -qq $needed || cannot "$@"
for package in *.deb; do
    [ -e "$package" ] || break
    dpkg -x "$package" .
    rm "$package"
done
