#!/usr/bin/env bash
# Guess: `xargs` whose command signal 9 killed (as for memory) ends with 137, as a shell does, or with 123, its code for
#   a command that failed.
# Seen: it ends with 125, and gives up: the samples behind the killed one are not run. With a shell between, the same
#   kill is 123, and all others are run. BusyBox's xargs ends with 125 as well.
# Versions: findutils 4.9.0-4, busybox 1:1.35.0-4+deb12u1+b1 (Debian 12); 2026-12-01.
# So: no 137 reaches the job: 125 (which `docker run` uses for its own failures) and 123 beside `terminated by signal
#   9` or the shell's `Killed` are memory before anything else; and after 125 most samples are not bad but never begun.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null || exit 2
for package in findutils=4.9.0-4 busybox=1:1.35.0-4+deb12u1+b1; do
  apt-get download "$package" >/dev/null 2>&1 || exit 2
done
for file in *.deb; do dpkg-deb -x "$file" . || exit 2; done

cat >align.sh <<'SH'
[ "$1" != 2 ] || kill -9 $$
echo "sample $1 aligned"
SH
printf '%s\n' 1 2 3 4 >samples
seen=""
run() { # a name, then the command
  local name="$1" code=0 done
  shift
  "$@" <samples >out 2>err || code=$?
  done="$(grep -c aligned out)" || true
  echo "$name: exit code $code, $done of 4 samples; $(grep -iE 'signal|killed' err | head -1)"
  seen="$seen $code/$done"
}
run "xargs" usr/bin/xargs -n 1 sh align.sh
run "xargs over a shell" usr/bin/xargs -n 1 sh -c 'sh align.sh "$0" || exit $?'
run "BusyBox" bin/busybox xargs -n 1 sh align.sh
[ "$seen" = " 125/1 123/3 125/1" ]
