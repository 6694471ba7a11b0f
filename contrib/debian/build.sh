#!/bin/sh
# SPDX-License-Identifier: ISC
# Builds the Debian package from what is in the tree: `make deb` calls it with
# the version, which stands in the Makefile alone, and the folder to build in.
# debian/ isn't at the top of the tree because that is the distributions' own
# place: whoever packages flyball elsewhere brings another one.
set -eu
version=$1
work=$2/deb
root=$(cd "$(dirname "$0")/../.." && pwd)

case $work in
/*) ;;
*) work=$root/$work ;;
esac
rm -rf "$work"
mkdir -p "$work/flyball-$version"
cd "$root"
if [ -e .git ]; then
	git ls-files -z --cached --others --exclude-standard
else
	find . -type f ! -path './build/*' -print0
fi | tar --null --files-from=- --ignore-failed-read -cf - |
	tar -xf - -C "$work/flyball-$version"
cd "$work/flyball-$version"
mv contrib/debian debian
rm debian/build.sh
mkdir -p debian/source
mv debian/source.format debian/source/format
# Whoever builds it maintains it: as dch(1) has it.
maintainer="${DEBFULLNAME:-flyball developers} <${DEBEMAIL:-flyball@localhost.localdomain}>"
sed -i "s/@MAINTAINER@/$maintainer/" debian/control
cat > debian/changelog <<END
flyball ($version${DEB_REVISION:-}) unstable; urgency=medium

  * See CHANGES.

 -- $maintainer  $(date -R -d "@${SOURCE_DATE_EPOCH:-$(stat -c %Y CHANGES)}")
END
dpkg-buildpackage -us -uc -b >"$work/build.log" 2>&1 || {
	tail -40 "$work/build.log" >&2
	exit 1
}
ls "$work"/*.deb
