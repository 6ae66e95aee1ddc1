#!/usr/bin/env bash
# Guess: R's `parallel::mclapply` stops with an error where the kernel killed one of its processes (SIGKILL, as for
#   memory), as `parLapply` does when it loses a worker.
# Seen: it warns ("scheduled core 1 did not deliver a result, all values of the job will be affected"), puts NULL in
#   the place of all that this process was to do, and goes on; Rscript ends with 0. `unlist` drops the NULLs, and so
#   does `mcmapply`: two values of four come back, with no gap where the others were.
# Versions: r-base-core 4.2.2.20221110-2 (Debian 12); 2026-12-01.
# So: memory that ran out is a SUCCEEDED job with half of its genes, or a failure two lines later of "arguments imply
#   differing number of rows". "did not deliver a result" in a log is a killed process: more memory, fewer `mc.cores`.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null || exit 2
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

cat >genes.R <<'X'
library(parallel)
fit <- function(gene) {
  if (gene == 3) tools::pskill(Sys.getpid(), 9)
  2 * gene
}
fits <- mclapply(1:4, fit, mc.cores = 2)
cat("NULL:", sum(sapply(fits, is.null)), "of", length(fits), "\n")
cat("unlist:", unlist(fits), "\n")
cat("mcmapply:", mcmapply(fit, 1:4, mc.cores = 2), "\n")
X
code=0
"${R[@]}" -f genes.R >out 2>err || code=$?
cat out
grep -m 1 -oE "scheduled core.*|did not deliver a result.*" err
echo "exit code $code"
[ "$code" = 0 ] && grep -q "did not deliver a result" err
[ "$(tr -s ' \n' ' ' <out)" = "NULL: 2 of 4 unlist: 4 8 mcmapply: 4 8 " ]
