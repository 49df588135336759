#!/usr/bin/env bash
# Run in the folder that the content of all parts of pack.sh was copied into: checks and unpacks them, links CUDA's library where there is
# an NVIDIA card, and writes `env`. Then:
#
#   . ./env && zk0-verify --device cuda --out DIR
set -euo pipefail
cd "$(dirname "$0")"; here=$PWD
[ -x node ] || { gzip -dkf node.gz 2>/dev/null || python3 -c "import gzip,shutil;shutil.copyfileobj(gzip.open('node.gz'),open('node','wb'))"; chmod +x node; }
sha256sum --quiet -c SHA256SUMS
mkdir -p tree
cat piece.* | ./node -e "process.stdin.pipe(require('zlib').createZstdDecompress()).pipe(process.stdout)" | tar x -C tree
libraries=$(find / -xdev \( -name 'libcublasLt.so.1[23]' -o -name 'libcurand.so.10' -o -name 'libcudart.so.1[23]' -o -name 'libcudnn.so.9' -o -name 'libcufft.so.1[12]' -o -name 'libnvrtc.so.1[23]' \) -printf '%h\n' 2>/dev/null | sort -u | paste -sd:)
{
  echo "export PATH=$here:\$PATH ZK0_HOME=$here/home ZK0_BENCH_DIRECTORY=$here/bench LD_LIBRARY_PATH=$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
  echo "zk0-verify() { node --conditions=@zk0/source $here/tree/zk0/tools/verify-gpu/main.ts \"\$@\"; }"
  echo "zk0-client() { node --conditions=@zk0/source $here/tree/zk0/apps/client/src/main.ts \"\$@\"; }"
  [ ! -d tree/wheels ] || echo "export PYTHONPATH=$here/site\${PYTHONPATH:+:\$PYTHONPATH}"
} > env
mkdir -p bench home
if [ -d tree/wheels ]; then python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target site tree/wheels/*.whl; fi
# shellcheck disable=SC1091
. ./env
if command -v nvidia-smi >/dev/null; then zk0-client cuda use --from "$here/tree/cuda"; else echo 'no nvidia-smi here: CUDA is not linked'; fi
echo "unpacked; run: . $here/env && zk0-verify --device cuda --out $here/out"
