#!/usr/bin/env bash
# Guess: on a full disk R's write.csv() and saveRDS() stop with an error, and Rscript ends with a code other
#   than 0.
# Seen: that holds for what outgrows a buffer ("error writing to connection"). What is small is written when
#   its connection is closed: of that failure write.csv() only warns, saveRDS() says nothing, and both end
#   with exit code 0 and a file of 0 bytes.
# Versions: r-base-core 4.2.2.20221110-2 (Debian 12); 2026-11-30.
# So: a job in R whose disk its checkpoints filled is told as SUCCEEDED with empty metrics, and the step that
#   reads them seems to have bad input ("no lines available in input"). An empty file is a hint at a full disk.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null && command -v unshare >/dev/null || exit 2
# R itself is pinned; the libraries that it is linked with are the release's
apt-get download r-base-core=4.2.2.20221110-2 libblas3 liblapack3 libgfortran5 libgomp1 libtirpc3 \
  libicu72 libpcre2-8-0 libreadline8 libbz2-1.0 liblzma5 >/dev/null 2>&1 || exit 2
for package in *.deb; do dpkg-deb -x "$package" . || exit 2; done
libraries="$folder/usr/lib/x86_64-linux-gnu"
export R_HOME="$folder/usr/lib/R" R_SHARE_DIR="$folder/usr/share/R/share" R_LIBS_SITE="" LC_ALL=C.UTF-8
export LD_LIBRARY_PATH="$R_HOME/lib:$libraries:$libraries/blas:$libraries/lapack:$folder/lib/x86_64-linux-gnu"
export R_DEFAULT_PACKAGES=base,utils
R=("$R_HOME/bin/exec/R" --no-echo --no-restore --no-save --no-environ --no-site-file)
[ "$("${R[@]}" -e 'cat(R.home())' 2>/dev/null)" = "$R_HOME" ] || exit 2

mkdir small
cat >table.R <<'X'
write.csv(data.frame(epoch = 1:3, loss = c(0.9, 0.4, 0.3)), "small/table", row.names = FALSE)
cat("written\n")
X
cat >model.R <<'X'
saveRDS(list(weights = seq(0, 1, length.out = 500)), "small/model")
cat("written\n")
X
cat >large.R <<'X'
write.csv(data.frame(row = 1:50000), "small/large")
X
cat >run.sh <<'SH'
mount -t tmpfs -o size=64k tmpfs small || exit 2
head -c 1M /dev/zero >small/checkpoint 2>/dev/null || true
for step in table model large; do
  code=0
  "$@" -f "$step.R" >"$step.log" 2>&1 || code=$?
  echo "$code" >"$step.code"
  stat -c %s "small/$step" >"$step.size"
done
SH
unshare --user --map-root-user --mount bash run.sh "${R[@]}" || exit 2
for step in table model large; do
  echo "$step.R: exit code $(cat "$step.code"), $(cat "$step.size") bytes: $(tr '\n' ' ' <"$step.log")"
done
for step in table model; do [ "$(cat $step.code) $(cat $step.size)" = "0 0" ]; done
[ "$(cat model.log)" = written ] && grep -q "^Warning" table.log && ! grep -q "^Error" table.log
[ "$(cat large.code)" != 0 ] && grep -q "riting to connection" large.log
